//! An instance pool that is too small for all calls: callers wait, and every caller gets a slot in the end.

use crate::it::atoll::{Atoll, Home, Http, eventually};
use crate::it::components::{component, workspace};
use futures_util::future::{join, join_all};
use host::base::{CallContext, RequestId, ServiceName};
use host::egress::Allow;
use host::runtime::{Grants, InstancePool, Isolation, Limits, Runtime, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A host with so many slots and with the tests' common cache.
async fn open(instances: usize, services: &str) -> (Home, Atoll) {
    let cache = workspace().join("target/test-cache");
    let runtime = format!("[runtime]\ncache = {:?}\ninstances = {instances}\n", cache.display().to_string());
    let home = Home::new(&(runtime + services));
    let atoll = home.start().await;
    (home, atoll)
}

/// Sends so many GET requests for `path` at once. Returns the statuses.
async fn flood(atoll: &Atoll, path: &str, calls: usize) -> Vec<u16> {
    let (http, url) = (Http::default(), format!("{}{path}", atoll.gateway));
    join_all((0..calls).map(async |_| http.get(&url).await.status.as_u16())).await
}

#[tokio::test]
async fn floods_and_call_chains_in_a_pool_of_eight_all_succeed() {
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
    let started = Instant::now();
    // A chain of four calls takes a slot of every depth class. The floods take all slots that calls from outside may
    // have.
    let chains = join(flood(&atoll, "/hop/3", 60), flood(&atoll, "/hop/2", 60));
    let floods = join(flood(&atoll, "/sleep/5", 200), flood(&atoll, "/hello/slow?ms=5", 200));
    let ((long, short), (typed, plain)) = join(chains, floods).await;
    for statuses in [long, short, typed, plain] {
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(45),
        "chains and floods took {:?}: they waited for each other",
        started.elapsed()
    );
    // Every slot was given back: a chain that takes one slot of each class can run again.
    let (http, metrics) = (Http::default(), format!("{}/metrics", atoll.admin));
    let no_instance_serves = async || {
        let text = String::from_utf8(http.get(&metrics).await.body.to_vec()).unwrap();
        let mut used = text.lines().filter(|line| line.starts_with("atoll_instances{"));
        used.all(|line| line.ends_with(" 0")).then_some(())
    };
    eventually("no instance serves a call", no_instance_serves).await;
    assert_eq!(flood(&atoll, "/hop/3", 1).await, [200]);
}

/// One thread takes the slot that another gives back at that moment, thousands of times. The engine must never have
/// fewer free slots than the host's own count says.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn the_engine_has_an_instance_slot_for_every_permit() {
    let settings = Settings { cache: workspace().join("target/test-cache"), instances: 0 };
    let runtime = Arc::new(Runtime::new(&settings, 8, 64 << 20).unwrap());
    let hello = runtime.load(&component("fixture-hello")).unwrap();
    let service = ServiceName::new("hello").unwrap();
    let grants = Grants::new(service, None, Vec::new(), Allow::default(), &BTreeMap::new());
    let revision = Arc::new(hello.revision(&runtime, Arc::new(grants), &Limits::default(), &[]).unwrap());
    let pool = Arc::new(InstancePool::new(runtime, revision, Limits::default(), &Isolation::Request));
    let callers = (0..32).map(|_| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            for _ in 0..1000 {
                let context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(60));
                pool.rehearse(&context).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_instance_gives_its_slot_to_a_waiting_call() {
    for at_once in [1, 3] {
        gives_way(at_once).await;
    }
}

async fn gives_way(at_once: usize) {
    let services = r#"
[service.kept]
component = "{component:fixture-types}"
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = AT_ONCE, idle_timeout = "1h" }

[service.relay]
component = "{component:fixture-relay}"
calls = ["kept"]
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = AT_ONCE, idle_timeout = "1h" }

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
"#;
    let (_home, atoll) = open(6, &services.replace("AT_ONCE", &at_once.to_string())).await;
    for round in 0..4 {
        let step = format!("round {round}, {at_once} at a time");
        // Calls from outside may have three of the six slots. Idle instances of `kept` now hold all three.
        let keep = async || {
            let kept = flood(&atoll, "/kept/300", 6 * at_once).await;
            assert!(kept.contains(&200), "{step}: {kept:?}");
        };
        // And idle instances of another service hold slots of two classes.
        let relay = async || assert_eq!(flood(&atoll, "/relay/100", 6).await, [200; 6], "{step}");
        let hello = async |calls| assert!(flood(&atoll, "/hello", calls).await.iter().all(|it| *it == 200), "{step}");
        let started = Instant::now();
        if round % 2 == 0 {
            keep().await;
            hello(1).await;
            relay().await;
        } else {
            relay().await;
            hello(1).await;
            keep().await;
        }
        hello(3).await;
        // A call that had to wait for an idle timeout, or for its own deadline, would have waited for 10 s.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?} in {step}", started.elapsed());
    }
}
