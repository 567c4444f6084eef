//! A pool that is too small for all: callers wait, and whatever happens, they get their turn.

use crate::it::atoll::{Atoll, Home, Http, eventually};
use crate::it::components::workspace;
use futures_util::future::{join, join_all};
use std::time::{Duration, Instant};

/// A host with so many slots, and the tests' common cache.
async fn open(instances: usize, services: &str) -> (Home, Atoll) {
    let cache = workspace().join("target/test-cache");
    let runtime = format!("[runtime]\ncache = {:?}\ninstances = {instances}\n", cache.display().to_string());
    let home = Home::new(&(runtime + services));
    let atoll = home.start().await;
    (home, atoll)
}

/// The statuses of so many calls of `path` at once.
async fn flood(atoll: &Atoll, path: &str, calls: usize) -> Vec<u16> {
    let (http, url) = (Http::default(), format!("{}{path}", atoll.gateway));
    join_all((0..calls).map(async |_| http.get(&url).await.status.as_u16())).await
}

#[tokio::test]
async fn floods_and_chains_share_a_pool_of_eight() {
    let (_home, atoll) = open(
        8,
        r#"
[gateway]
timeout = "1m"

[service.cycle]
component = "{component:fixture-cycle}"
calls = ["cycle"]
limits = { timeout = "1m", waiting = 1000, wait = "1m" }

[service.types]
component = "{component:fixture-types}"
limits = { timeout = "1m", waiting = 1000, wait = "1m" }

[service.hello]
component = "{component:fixture-hello}"
limits = { timeout = "1m", waiting = 1000, wait = "1m" }

[[route]]
method = "GET"
path = "/hop/{left}"
call = "cycle/hop#hop"

[[route]]
method = "GET"
path = "/sleep/{ms}"
call = "types/faults#sleep"

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"
"#,
    )
    .await;
    let asked = Instant::now();
    // Chains of four take a slot of every class; the floods take all that calls from outside may have.
    let chains = join(flood(&atoll, "/hop/3", 60), flood(&atoll, "/hop/2", 60));
    let floods = join(flood(&atoll, "/sleep/5", 200), flood(&atoll, "/hello/slow?ms=5", 200));
    let ((long, short), (typed, plain)) = join(chains, floods).await;
    for statuses in [long, short, typed, plain] {
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(45), "{:?}: they waited for each other", asked.elapsed());
    // Every slot came back: a chain that takes one of each class has its own again.
    let (http, metrics) = (Http::default(), format!("{}/metrics", atoll.admin));
    let rest = async || {
        let text = String::from_utf8(http.get(&metrics).await.body.to_vec()).unwrap();
        let mut used = text.lines().filter(|line| line.starts_with("atoll_instances{"));
        used.all(|line| line.ends_with(" 0")).then_some(())
    };
    eventually("no instance serves", rest).await;
    assert_eq!(flood(&atoll, "/hop/3", 1).await, [200]);
}

#[tokio::test]
async fn an_instance_that_rests_gives_way_to_whoever_waits_for_its_slot() {
    let (_home, atoll) = open(
        6,
        r#"
[service.kept]
component = "{component:fixture-types}"
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = 1, idle_timeout = "1h" }

[service.relay]
component = "{component:fixture-relay}"
calls = ["kept"]
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = 1, idle_timeout = "1h" }

[service.hello]
component = "{component:fixture-hello}"

[[route]]
method = "GET"
path = "/kept/{ms}"
call = "kept/faults#sleep"

[[route]]
method = "GET"
path = "/relay/{ms}"
call = "relay/reports#sleep"

[[route]]
prefix = "/hello"
service = "hello"
"#,
    )
    .await;
    for round in 0..3 {
        // Of the six slots calls from outside may have three: all of them are kept now, by instances that rest.
        let kept = flood(&atoll, "/kept/300", 6).await;
        assert!(kept.contains(&200), "{kept:?}");
        let asked = Instant::now();
        assert_eq!(flood(&atoll, "/hello", 1).await, [200], "round {round}");
        // And by those of another service, which keep two classes busy.
        let relayed = flood(&atoll, "/relay/100", 6).await;
        assert_eq!(relayed, [200; 6], "round {round}");
        assert_eq!(flood(&atoll, "/hello", 3).await, [200; 3], "round {round}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?} in round {round}", asked.elapsed());
    }
}
