//! `isolation = "reuse"`: what stays is what an instance keeps, for as long as its bounds allow, and in no other instance.

use super::{CLEAN, Host, MARKED, RUST, SLOTS, WAYS};
use crate::it::atoll::{Home, Http, eventually};
use crate::it::components::workspace;
use futures_util::future::join_all;
use std::collections::HashSet;
use std::time::Duration;

/// An instance serves this many in the tests that count.
const SERVES: usize = 4;

fn reuse(more: &str) -> String {
    format!("isolation = \"reuse\"\nreuse = {{ {more} }}")
}

#[tokio::test]
async fn marks_stay_until_the_instance_has_served_its_number() {
    let host = Host::of_one(&reuse(&format!("max_requests = {SERVES}, idle_timeout = \"1h\""))).await;
    for way in WAYS {
        let mut drawn = HashSet::new();
        for life in 0..3 {
            let first = host.visit(way).await;
            assert!(first.is_clean(), "{way:?}, life {life}: {first:?}");
            let mut last = first.clone();
            for _ in 1..SERVES {
                let visit = host.visit(way).await;
                assert_eq!((visit.found.as_str(), visit.kept), (MARKED, last.random), "{way:?}, life {life}");
                assert!(visit.handle > last.handle, "{way:?}: {visit:?} after {last:?}");
                // Kept state is carried over, randomness is not.
                assert!(drawn.insert(visit.random), "{way:?}: {visit:?}");
                last = visit;
            }
            assert!(drawn.insert(first.random), "{way:?}: {first:?}");
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
                assert_eq!(visit["seed"], first["seed"], "{service}: the keys of a hash map are drawn once");
                assert_ne!(visit["heap"], first["heap"], "{service}");
            }
            assert!(seeds.insert(first["seed"].as_str().unwrap().to_owned()), "{service}");
        }
    }
}

#[tokio::test]
async fn a_handle_that_was_kept_is_there_for_the_next_call() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for way in WAYS {
        let visit = host.visit(way).await;
        assert_eq!(
            host.text(way, &format!("/has/{}", visit.handle)).await,
            "0",
            "{way:?}: there, and without that header"
        );
        let answer = host.get(&format!("/{}/has/{}", way.service(), visit.handle + 1_000)).await;
        assert_eq!(answer.problem()["type"], "urn:atoll:problem:trap", "{way:?}");
    }
}

#[tokio::test]
async fn the_monotonic_clock_goes_on() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        let clock = async || Duration::from_nanos(host.visit_rust(service).await["clock"].as_u64().unwrap());
        let first = clock().await;
        host.get(&format!("/{service}/sleep?ms=50")).await;
        assert!(clock().await >= first + Duration::from_millis(50), "{service}");
    }
}

#[tokio::test]
async fn a_line_that_one_call_began_the_next_one_ends() {
    let host = Host::of_one(&reuse("max_requests = 2, idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        for word in ["one", "two", "three", "four"] {
            assert_eq!(host.get(&format!("/{service}/say/{word}")).await.status, 200, "{service}");
        }
        host.said(service, "one two").await;
        host.said(service, "three four").await;
    }
}

#[tokio::test]
async fn what_one_call_has_taken_the_next_one_cannot_have() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for (service, _) in RUST {
        for _ in 0..2 {
            // 40 MiB of 64, and 40 more; the instance that cannot have them ends.
            assert_eq!(host.get(&format!("/{service}/take/40")).await.status, 200, "{service}");
            let refused = host.get(&format!("/{service}/take/40")).await;
            assert_eq!(refused.problem()["type"], "urn:atoll:problem:memory-limit", "{service}");
        }
    }
}

#[tokio::test]
async fn a_trap_ends_the_instance_with_all_that_it_kept() {
    let host = Host::of_one(&reuse("idle_timeout = \"1h\"")).await;
    for way in WAYS {
        for _ in 0..5 {
            assert_eq!(host.visit(way).await.found, CLEAN, "{way:?}");
            assert_eq!(host.visit(way).await.found, MARKED, "{way:?}");
            host.trap(way.service()).await;
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
async fn whoever_rests_for_too_long_is_forgotten() {
    let host = Host::of_one(&reuse("idle_timeout = \"5ms\"")).await;
    for way in WAYS {
        assert!(host.visit(way).await.is_clean(), "{way:?}");
        // Between two looks it rests for longer than it may.
        eventually("a fresh instance", async || host.visit(way).await.is_clean().then_some(())).await;
    }
    for (service, _) in RUST {
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
        eventually("a fresh instance", async || (host.visit_rust(service).await["visits"] == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn services_and_instances_do_not_find_each_others_marks() {
    let host = Host::start(&reuse("idle_timeout = \"50ms\"")).await;
    for _ in 0..5 {
        for way in WAYS {
            let visits = join_all((0..20).map(|_| host.visit(way))).await;
            // Whatever stood in an instance was left there by the visit before: the chains of kept numbers never meet.
            let kept: Vec<_> = visits.iter().map(|visit| visit.kept).filter(|kept| *kept != 0).collect();
            assert_eq!(kept.iter().collect::<HashSet<_>>().len(), kept.len(), "{way:?}");
            for visit in visits {
                let expected = if visit.kept == 0 { CLEAN } else { MARKED };
                assert_eq!(visit.found, expected, "{way:?}: {visit:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_instance_serves_no_more_at_a_time_than_it_may() {
    for (service, at_once) in [("rust03", 1), ("rust03", 3), ("rust02", 1)] {
        let host = Host::start(&reuse(&format!("max_concurrent = {at_once}, idle_timeout = \"1h\""))).await;
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
        host.until_calls(service, 0).await;
        let mut sleepers = Vec::new();
        for _ in 1..at_once {
            sleepers.push(host.sleeper(service, sleepers.len() + 1).await);
        }
        assert_eq!(host.visit_rust(service).await["visits"], 1, "{service}: there is room for one more");
        host.until_calls(service, sleepers.len()).await;
        sleepers.push(host.sleeper(service, sleepers.len() + 1).await);
        assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}: it has as many as it may");
    }
}

/// Instances that rest keep their slots of the pool. Whoever needs one must not wait until they are given up.
#[tokio::test]
async fn instances_that_rest_leave_room_for_other_services() {
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
    // As many at once as there are slots for, each on an instance of its own, which is kept.
    let url = format!("{}/many/sleep/300", atoll.gateway);
    let sleeping = (0..SLOTS).map(|_| http.get(&url));
    join_all(sleeping).await;
    assert_eq!(http.get(&format!("{}/other/count", atoll.gateway)).await.json(), 1);
}
