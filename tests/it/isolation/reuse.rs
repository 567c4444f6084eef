//! `isolation = "reuse"`: an instance keeps its own state for as long as its bounds allow, and no other instance sees
//! it.

use super::{CLEAN, Host, MARKED, PROTOCOLS, RUST, SLOTS};
use crate::it::atoll::{Home, Http, eventually};
use crate::it::components::workspace;
use futures_util::future::join_all;
use std::collections::HashSet;
use std::time::Duration;

/// How many calls an instance serves in the tests that count.
const SERVES: usize = 4;

fn reuse(more: &str) -> String {
    format!("isolation = \"reuse\"\nreuse = {{ {more} }}")
}

#[tokio::test]
async fn marks_stay_until_the_instance_has_served_max_requests() {
    let host = Host::of_one(&reuse(&format!("max_requests = {SERVES}, idle_timeout = \"1h\""))).await;
    for protocol in PROTOCOLS {
        let mut drawn = HashSet::new();
        for life in 0..3 {
            let first = host.visit(protocol).await;
            assert!(first.is_clean(), "{protocol:?}, life {life}: {first:?}");
            let mut last = first.clone();
            for _ in 1..SERVES {
                let visit = host.visit(protocol).await;
                assert_eq!((visit.found.as_str(), visit.kept), (MARKED, last.random), "{protocol:?}, life {life}");
                assert!(visit.handle > last.handle, "{protocol:?}: {visit:?} after {last:?}");
                // Kept state is carried over. Randomness is not.
                assert!(drawn.insert(visit.random), "{protocol:?}: {visit:?}");
                last = visit;
            }
            assert!(drawn.insert(first.random), "{protocol:?}: {first:?}");
        }
    }
    for (service, _) in RUST {
        let mut seeds = HashSet::new();
        for _ in 0..3 {
            let first = host.visit_rust(service).await;
            assert_eq!(first["visits"], 0, "{service}");
            for visits in 1..SERVES {
                let visit = host.visit_rust(service).await;
                assert_eq!((&visit["visits"], &visit["kept"]), (&visits.into(), &visits.into()), "{service}");
                assert_eq!(
                    visit["seed"], first["seed"],
                    "{service}: the keys of a hash map are drawn once in an instance"
                );
                assert_ne!(visit["heap"], first["heap"], "{service}");
            }
            assert!(seeds.insert(first["seed"].as_str().unwrap().to_owned()), "{service}");
        }
    }
}

/// The guest gets a GET, and nobody reads its content.
#[tokio::test]
async fn a_head_that_is_served_as_a_get_does_not_end_the_instance() {
    let manifest: String = RUST
        .map(|(name, component)| {
            let isolation = reuse("idle_timeout = \"1h\"");
            format!(
                "[service.{name}]\ncomponent = \"{{component:{component}}}\"\n{isolation}\n\
             limits = {{ concurrency = 1, wait = \"1m\" }}\n\n[[route]]\nmethod = \"GET\"\nprefix = \"/{name}\"\n\
             strip_prefix = \"/{name}\"\nservice = \"{name}\"\n\n"
            )
        })
        .concat();
    let home = Home::new(&manifest);
    let atoll = home.start().await;
    let http = Http::default();
    for (service, _) in RUST {
        let url = format!("{}/{service}/visit", atoll.gateway);
        for visits in [0, 2, 4] {
            assert_eq!(http.get(&url).await.json()["visits"], visits, "{service}");
            let head = http.send(http::Request::head(&url), "").await;
            assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{service}: {head:?}");
        }
    }
}

#[tokio::test]
async fn a_handle_that_a_call_kept_is_valid_in_the_next_call_of_its_instance() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for protocol in PROTOCOLS {
        let visit = host.visit(protocol).await;
        assert_eq!(
            host.text(protocol, &format!("/has/{}", visit.handle)).await,
            "0",
            "{protocol:?}: the handle must exist, and its fields lack that header"
        );
        let answer = host.get(&format!("/{}/has/{}", protocol.service(), visit.handle + 1_000)).await;
        assert_eq!(answer.problem()["type"], "urn:atoll:problem:trap", "{protocol:?}");
    }
}

#[tokio::test]
async fn the_monotonic_clock_of_a_kept_instance_runs_on() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        let clock = async || Duration::from_nanos(host.visit_rust(service).await["clock"].as_u64().unwrap());
        let first = clock().await;
        host.get(&format!("/{service}/sleep?ms=50")).await;
        assert!(clock().await >= first + Duration::from_millis(50), "{service}");
    }
}

#[tokio::test]
async fn an_output_line_begun_by_one_call_is_finished_by_the_next_call_of_the_instance() {
    let host = Host::of_one(&reuse("max_requests = 2, idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        for word in ["one", "two", "three", "four"] {
            assert_eq!(host.get(&format!("/{service}/say/{word}")).await.status, 200, "{service}");
        }
        host.wait_for_stdout_line(service, "one two").await;
        host.wait_for_stdout_line(service, "three four").await;
    }
}

#[tokio::test]
async fn memory_taken_by_one_call_counts_against_the_next_call_of_the_instance() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        for _ in 0..2 {
            // 40 MiB of 64, and then 40 more. The instance that cannot get them ends.
            assert_eq!(host.get(&format!("/{service}/take/40")).await.status, 200, "{service}");
            let refused = host.get(&format!("/{service}/take/40")).await;
            assert_eq!(refused.problem()["type"], "urn:atoll:problem:memory-limit", "{service}");
        }
    }
}

#[tokio::test]
async fn a_trap_ends_the_instance_and_its_kept_state() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for protocol in PROTOCOLS {
        for _ in 0..5 {
            assert_eq!(host.visit(protocol).await.found, CLEAN, "{protocol:?}");
            assert_eq!(host.visit(protocol).await.found, MARKED, "{protocol:?}");
            host.trap(protocol.service()).await;
        }
    }
    for (service, _) in RUST {
        for _ in 0..5 {
            assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
            assert_eq!(host.visit_rust(service).await["visits"], 1, "{service}");
            host.trap(service).await;
        }
    }
}

#[tokio::test]
async fn an_instance_idle_for_longer_than_idle_timeout_is_given_up() {
    let host = Host::of_one(&reuse("idle_timeout = \"5ms\"")).await;
    for protocol in PROTOCOLS {
        assert!(host.visit(protocol).await.is_clean(), "{protocol:?}");
        // Between two polls the instance is idle for longer than its `idle_timeout`.
        eventually("a fresh instance", async || host.visit(protocol).await.is_clean().then_some(())).await;
    }
    for (service, _) in RUST {
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
        eventually("a fresh instance", async || (host.visit_rust(service).await["visits"] == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn no_service_or_instance_finds_the_marks_of_another() {
    let host = Host::start(&reuse("idle_timeout = \"50ms\"")).await;
    for _ in 0..5 {
        for protocol in PROTOCOLS {
            let visits = join_all((0..20).map(|_| host.visit(protocol))).await;
            // A mark in an instance was left there by the visit before. Each kept number must be found by one visit
            // only.
            let kept: Vec<_> = visits.iter().map(|visit| visit.kept).filter(|kept| *kept != 0).collect();
            assert_eq!(kept.iter().collect::<HashSet<_>>().len(), kept.len(), "{protocol:?}");
            for visit in visits {
                let expected = if visit.kept == 0 { CLEAN } else { MARKED };
                assert_eq!(visit.found, expected, "{protocol:?}: {visit:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_instance_serves_at_most_max_concurrent_calls_at_a_time() {
    for (service, at_once) in [("rust03", 1), ("rust03", 3), ("rust02", 1)] {
        let host = Host::start(&reuse(&format!("max_concurrent = {at_once}, idle_timeout = \"1h\""))).await;
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
        host.until_calls(service, 0).await;
        let mut sleepers = Vec::new();
        for _ in 1..at_once {
            sleepers.push(host.sleeper(service, sleepers.len() + 1).await);
        }
        assert_eq!(host.visit_rust(service).await["visits"], 1, "{service}: the instance has room for one more call");
        host.until_calls(service, sleepers.len()).await;
        sleepers.push(host.sleeper(service, sleepers.len() + 1).await);
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}: a full instance must get no further call");
    }
}

/// Idle instances keep their slots of the pool. A service that needs a slot must not wait until the idle instances
/// are given up.
#[tokio::test]
async fn idle_instances_give_their_slots_to_a_service_that_needs_one() {
    let lines = reuse("idle_timeout = \"1h\"");
    let service = |name: &str| {
        let calls = ["sleep/{ms}", "count"].map(|call| {
            let function = call.split('/').next().unwrap();
            format!("[[route]]\nmethod = \"GET\"\npath = \"/{name}/{call}\"\ncall = \"{name}/faults#{function}\"\n")
        });
        let limits = "limits = { timeout = \"5s\" }";
        format!("[service.{name}]\ncomponent = \"{{component:fixture-types}}\"\n{limits}\n{lines}\n{}", calls.concat())
    };
    let cache = workspace().join("target/test-cache").display().to_string();
    let runtime = format!("[runtime]\ncache = {cache:?}\ninstances = {SLOTS}\n");
    let home = Home::new(&format!("{runtime}{}{}", service("many"), service("other")));
    let (atoll, http) = (home.start().await, Http::default());
    // As many calls at once as there are slots, each in its own instance, which is kept afterwards.
    let url = format!("{}/many/sleep/300", atoll.gateway);
    let sleeping = (0..SLOTS).map(|_| http.get(&url));
    join_all(sleeping).await;
    assert_eq!(http.get(&format!("{}/other/count", atoll.gateway)).await.json(), 1);
}
