//! Endpoints of Consul: what its health says, and what stays while it is away or says nonsense.

use super::fake_consul::{ConsulInstance, FakeConsul};
use super::fake_registry::{FakeManner, FakeRegistry};
use super::{
    Home, Host, Http, PlainServer, eventually, fails, manifest, places, recovers, serves, source, tells_no_secret,
};

const TOKEN: &str = "[discovery]\nanswer = \"64KiB\"\nendpoints = 2\nconsul = { token = { from_env = \"TOKEN\" } }\n";

async fn start(consul: &FakeRegistry<FakeConsul>, query: &str, token: &str) -> Host {
    let url = format!("consul://{}/users{query}", consul.address);
    let home = Home::new(&manifest(&url, TOKEN));
    Host { atoll: home.start_with(&[("TOKEN", token)]).await, http: Http::default(), home }
}

#[tokio::test]
async fn healthy_instances_serve_and_come_and_go_at_once() {
    let (a, b, c) = (PlainServer::start("a").await, PlainServer::start("b").await, PlainServer::start("c").await);
    let consul = FakeRegistry::start(FakeConsul::new("t", &places(&[&a, &b]))).await;
    let host = start(&consul, "?dc=dc1&tag=v2&near=_agent", "t").await;
    serves(&host, &[&a, &b]).await;
    let first = consul.wire.asked.borrow()[0].clone();
    assert_eq!(first, "passing=true&dc=dc1&near=_agent&tag=v2");
    // `b` fails its check, `c` comes and has another weight, and one has another tag.
    let of = ConsulInstance::passing;
    let untagged = ConsulInstance { tags: vec!["v1"], ..of(b.address) };
    consul.wire.has(vec![of(a.address), untagged, ConsulInstance { weight: 4, ..of(c.address) }]);
    serves(&host, &[&a, &c]).await;
    assert_eq!(host.endpoints("legacy", "weight").await.iter().filter(|weight| **weight == 4).count(), 1);
    // Fewer: they leave. It waits for each change, and does not ask again and again.
    consul.wire.has(vec![of(c.address), ConsulInstance { passing: false, ..of(a.address) }]);
    serves(&host, &[&c]).await;
    let questions = consul.wire.asked.borrow().clone();
    assert!(questions.len() < 9 && questions[1].contains("index=10&wait=60s"), "{questions:?}");
    let shown = source(&host).await;
    assert_eq!((&shown["endpoints"], &shown["error"]), (&1.into(), &serde_json::Value::Null), "{shown}");
    let series = format!("atoll_discovery_endpoints{{service=\"legacy\",source={}}}", shown["address"]);
    assert!((host.series(&series).await - 1.0).abs() < f64::EPSILON, "{series}");
}

#[tokio::test]
async fn the_last_good_instances_serve_whatever_the_registry_does() {
    let (a, b) = (PlainServer::start("a").await, PlainServer::start("b").await);
    let mut consul = FakeRegistry::start(FakeConsul::new("t", &places(&[&a, &b]))).await;
    let host = start(&consul, "", "t").await;
    serves(&host, &[&a, &b]).await;
    // An answer without instances, and one from which rules hide them.
    consul.wire.has(Vec::new());
    fails(&host, "it names no endpoint that can be called").await;
    consul.wire.catalog.send_modify(|catalog| (catalog.filtered, catalog.index) = (true, catalog.index + 1));
    fails(&host, "it hides instances from this token").await;
    serves(&host, &[&a, &b]).await;
    // The index goes back, as after a restore: the next question does not wait for a later one.
    let of = ConsulInstance::passing;
    consul.wire.catalog.send_modify(|catalog| {
        (catalog.filtered, catalog.index, catalog.instances) = (false, 3, vec![of(a.address)]);
    });
    serves(&host, &[&a]).await;
    let unwaited = || consul.wire.asked.borrow().iter().filter(|query| !query.contains("index=")).count();
    eventually("it begins anew", async || (unwaited() == 2).then_some(())).await;
    consul.wire.has(vec![of(a.address), of(b.address)]);
    serves(&host, &[&a, &b]).await;
    consul.go_away().await;
    fails(&host, "cannot connect").await;
    serves(&host, &[&a, &b]).await;
    let answer = host.atoll.logged("a registry was not read").await;
    assert!(answer.contains("\"known\":2"), "{answer}");
    for (manner, text) in [
        (FakeManner::Garbage, "its answer cannot be read: it is no JSON at line 1 column 1"),
        (FakeManner::Foreign, "its answer cannot be read: it has another form"),
        (FakeManner::Endless, "its answer is longer than 65536 bytes: raise `answer` in `[discovery]`"),
        (FakeManner::Status(500), "it answers with status 500"),
    ] {
        consul.go_away().await;
        consul.behave(manner);
        consul.come_back().await;
        fails(&host, text).await;
        serves(&host, &[&a, &b]).await;
    }
    // It is back, with fewer instances: the others leave.
    consul.wire.has(vec![of(a.address)]);
    consul.behave(FakeManner::Good);
    serves(&host, &[&a]).await;
    recovers(&host).await;
    tells_no_secret(&host);
}

#[tokio::test]
async fn a_wrong_token_and_a_slow_registry_are_told_without_the_token() {
    let a = PlainServer::start("a").await;
    let consul = FakeRegistry::start(FakeConsul::new("t", &places(&[&a]))).await;
    let host = start(&consul, "", "s3cret").await;
    let shown = fails(&host, "(status 403): correct `token` in `[discovery.consul]`").await;
    assert_eq!((&shown["endpoints"], &shown["age_seconds"]), (&0.into(), &serde_json::Value::Null), "{shown}");
    let output = host.home.output(&["ps", &format!("--admin={}", host.atoll.admin)]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("! legacy: consul://") && text.contains("it has never named an endpoint"), "{text}");
    assert_eq!(host.status("/plain/x").await, 503);
    tells_no_secret(&host);
    // A registry that does not answer holds up neither the start nor the other services.
    consul.behave(FakeManner::Silent);
    let began = tokio::time::Instant::now();
    let slow = start(&consul, "", "t").await;
    assert!(began.elapsed().as_secs() < 60);
    assert_eq!(slow.status("/plain/x").await, 503);
    slow.atoll.logged("sources of endpoints are still being asked").await;
}

#[tokio::test]
async fn instances_that_flap_do_not_publish_all_the_time_and_lists_have_a_bound() {
    let (a, b, c) = (PlainServer::start("a").await, PlainServer::start("b").await, PlainServer::start("c").await);
    let consul = FakeRegistry::start(FakeConsul::new("t", &places(&[&a, &b, &c]))).await;
    let host = start(&consul, "", "t").await;
    // `endpoints = 2`: the third is left out.
    eventually("two serve", async || (host.endpoints("legacy", "id").await.len() == 2).then_some(())).await;
    assert_eq!(source(&host).await["unusable"], 1);
    let before = consul.wire.asked.borrow().len();
    let of = ConsulInstance::passing;
    let began = tokio::time::Instant::now();
    while began.elapsed().as_millis() < 1_500 {
        for one in [&a, &b] {
            consul.wire.has(vec![of(one.address)]);
            assert_eq!(host.status("/plain/x").await, 200);
        }
    }
    // At most four answers a second, with whatever the machine adds.
    let most = 2 + usize::try_from(began.elapsed().as_millis() / 250).unwrap();
    let asked = consul.wire.asked.borrow().len() - before;
    assert!(asked <= most, "{asked} questions, at most {most}");
    consul.wire.has(vec![of(c.address)]);
    serves(&host, &[&c]).await;
}
