//! Endpoints of Eureka.

use super::fake_eureka::{EurekaInstance, FakeEureka};
use super::fake_registry::{FakeManner, FakeRegistry};
use super::{Host, PlainServer, fails, manifest, places, recovers, serves, source};

#[tokio::test]
async fn instances_that_are_up_serve_and_the_last_good_ones_stay() {
    let (a, b) = (PlainServer::start("a").await, PlainServer::start("b").await);
    let mut eureka = FakeRegistry::start(FakeEureka { unwraps: true, ..FakeEureka::new(&places(&[&a, &b])) }).await;
    let host = Host::start(&manifest(&format!("eureka://{}/users", eureka.address), "")).await;
    serves(&host, &[&a, &b]).await;
    assert_eq!(source(&host).await["zones"]["zone-a"], 2);
    // One goes down; the list of one is written as its element.
    let instance = |server: &PlainServer, status| EurekaInstance { at: server.address, status };
    eureka.wire.has(vec![instance(&a, "UP"), instance(&b, "DOWN")]);
    serves(&host, &[&a]).await;
    eureka.wire.has(vec![instance(&b, "UP")]);
    serves(&host, &[&b]).await;
    // The head of a request names the instance's host name; the connection goes to its address.
    let places = host.endpoints("legacy", "place").await;
    assert!(places[0].as_str().unwrap().contains("http://localhost:"), "{places:?}");
    eureka.wire.has(vec![instance(&b, "OUT_OF_SERVICE"), instance(&a, "STARTING")]);
    fails(&host, "it names no endpoint that can be called: 2 are not healthy").await;
    eureka.wire.has(Vec::new());
    fails(&host, "it knows no such service (status 404)").await;
    eureka.behave(FakeManner::Garbage);
    fails(&host, "it is no JSON").await;
    eureka.go_away().await;
    fails(&host, "cannot connect").await;
    serves(&host, &[&b]).await;
    eureka.behave(FakeManner::Good);
    eureka.wire.has(vec![instance(&a, "UP")]);
    eureka.come_back().await;
    serves(&host, &[&a]).await;
    recovers(&host).await;
}
