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
limits = { wait = "1m" }

[service.relay]
component = "{component:fixture-relay}"
calls = ["kept"]
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = AT_ONCE, idle_timeout = "1h" }
limits = { wait = "1m" }

[service.hello]
component = "{component:fixture-hello}"
limits = { wait = "1m" }

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

/// The value of one series of the metrics.
async fn series(atoll: &Atoll, http: &Http, name: &str, service: &str) -> f64 {
    let text = String::from_utf8(http.get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
    let series = format!("{name}{{service=\"{service}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("{series} is missing")).parse().unwrap()
}

#[tokio::test]
async fn a_service_that_fills_the_pool_starves_no_other_and_is_named() {
    let (home, atoll) = open(
        16,
        r#"
[service.slow]
component = "{component:fixture-types}"
limits = { timeout = "5m", waiting = 1000, wait = "5m" }

[service.hello]
component = "{component:fixture-hello}"
limits = { wait = "1m" }

[service.hasty]
component = "{component:fixture-types}"
limits = { wait = "50ms" }

[gateway]
timeout = "5m"

[[route]]
method = "GET"
path = "/slow/{ms}"
call = "slow/faults#sleep"

[[route]]
method = "GET"
path = "/hasty/{ms}"
call = "hasty/faults#sleep"

[[route]]
prefix = "/"
service = "hello"
"#,
    )
    .await;
    let http = Http::default();
    // These calls end when they are dropped.
    let floods = [flood(&atoll, "/slow/240000", 40), flood(&atoll, "/hasty/240000", 40)].map(Box::pin);
    let operator = async {
        let full = async || {
            let held = series(&atoll, &http, "atoll_pool_slots", "slow").await;
            let waiting = series(&atoll, &http, "atoll_pool_waiting", "slow").await;
            let hasty = series(&atoll, &http, "atoll_pool_slots", "hasty").await;
            // Three slots are for deeper calls, and one is the reserve for `hello`.
            (held + hasty == 12.0 && waiting > 20.0 && hasty >= 1.0 && held >= 1.0).then_some(())
        };
        eventually("the pool is used up", full).await;
        assert!(series(&atoll, &http, "atoll_pool_longest_wait_seconds", "slow").await > 0.0);
        // Without a place of its own, `hello` would wait for four minutes.
        assert_eq!(flood(&atoll, "/", 1).await, [200]);
        assert_eq!(flood(&atoll, "/", 20).await, [200; 20]);
        // A call waits for no longer than its service says.
        assert_eq!(flood(&atoll, "/hasty/0", 3).await, [503; 3]);
        assert!(series(&atoll, &http, "atoll_pool_wait_seconds_count", "hasty").await >= 3.0);

        let slow = http.get(&format!("{}/v1/services/slow", atoll.admin)).await.json();
        assert!(slow["pool"]["held"].as_u64() >= Some(1) && slow["pool"]["waiting"].as_u64() > Some(20), "{slow}");
        let ps = home.output(&["ps", "--admin", &atoll.admin]).await;
        let ps = String::from_utf8(ps.stdout).unwrap();
        let said = ["~ slow: holds ", "calls wait for one, the first for ", "~ hasty: holds "];
        assert!(said.iter().all(|part| ps.contains(part)), "{ps}");
    };
    let [slow, hasty] = floods;
    tokio::select! {
        statuses = join(slow, hasty) => panic!("they ended too early: {statuses:?}"),
        () = operator => {}
    }
}

/// Who comes first has the whole pool, since nobody else wants it; as its calls end, the shares are those of the
/// weights.
#[tokio::test]
async fn a_service_of_weight_three_gets_three_times_as_much_of_a_full_pool() {
    let service = |name: &str, share: u8| {
        format!(
            "[service.{name}]\ncomponent = \"{{component:fixture-types}}\"\n\
             limits = {{ timeout = \"5m\", waiting = 1000, wait = \"5m\", share = {share} }}\n\
             [[route]]\nmethod = \"GET\"\npath = \"/{name}/{{ms}}\"\ncall = \"{name}/faults#sleep\"\n"
        )
    };
    let (_home, atoll) =
        open(32, &(service("much", 3) + &service("little", 1) + "[gateway]\ntimeout = \"5m\"\n")).await;
    let http = Http::default();
    let load = async |service: &str| {
        let path = format!("/{service}/500");
        // Forty clients of each, which send again as soon as they are answered.
        join_all((0..40).map(async |_| {
            for _ in 0..u32::MAX {
                assert_eq!(flood(&atoll, &path, 1).await, [200]);
            }
        }))
        .await
    };
    let shared = async {
        let shares = async || {
            let much = series(&atoll, &http, "atoll_pool_slots", "much").await;
            let little = series(&atoll, &http, "atoll_pool_slots", "little").await;
            // A sample may be taken between the end of a call and the begin of the next.
            (much + little >= 20.0 && much > 2.0 * little && much < 4.5 * little).then_some(())
        };
        eventually("both share the pool by their weights", shares).await;
        // And it stays so: of a hundred samples most are near the weights.
        let (mut much, mut little) = (0.0, 0.0);
        for _ in 0..100 {
            much += series(&atoll, &http, "atoll_pool_slots", "much").await;
            little += series(&atoll, &http, "atoll_pool_slots", "little").await;
        }
        assert!(much > 2.0 * little && much < 4.5 * little, "{much} and {little} in a hundred samples");
    };
    tokio::select! {
        _ = async { tokio::join!(load("much"), load("little")) } => panic!("the clients have ended"),
        () = shared => {}
    }
}
