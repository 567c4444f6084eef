//! `isolation = "request"`, the default: no call finds a mark of another, one after the other, at once, and after a trap.

use super::{Host, RUST, SLOTS, Visit, WAYS, twin};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Calls of each service one after the other, and at once: each slot of the pool is used dozens of times.
const CALLS: usize = 60;
const AT_ONCE: usize = 24;

/// Two draws of the same 64 bits among some hundreds are not chance.
fn all_differ(numbers: impl Iterator<Item = u64>) {
    let mut seen = HashSet::new();
    for number in numbers {
        assert!(number != 0 && seen.insert(number), "{number:016x} was drawn twice");
    }
}

#[tokio::test]
async fn nothing_is_carried_over_from_one_call_to_the_next() {
    const { assert!(CALLS * 3 > 20 * SLOTS) };
    let host = Host::start("").await;
    let mut visits: Vec<(super::Way, Visit)> = Vec::new();
    let firsts = [host.visit(WAYS[0]).await, host.visit(WAYS[1]).await, host.visit(WAYS[2]).await];
    for turn in 0..CALLS {
        for way in WAYS {
            // A trap leaves the instance as it stands, with all of its marks.
            if turn % 8 == 7 {
                host.trap(way.service()).await;
            }
            visits.push((way, host.visit(way).await));
        }
    }
    // And with every slot of the pool in use at the same time.
    let calls = (0..CALLS * 3).map(|n| {
        let (host, way) = (&host, WAYS[n % 3]);
        async move {
            if n % 8 == 7 {
                host.trap(way.service()).await;
            }
            (way, host.visit(way).await)
        }
    });
    visits.extend(stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);

    for (way, visit) in &visits {
        assert!(visit.is_clean(), "{way:?}: {visit:?}");
        // Handles are numbered anew.
        assert_eq!(visit.handle, firsts[*way as usize].handle, "{way:?}: {visit:?}");
    }
    all_differ(firsts.iter().chain(visits.iter().map(|(_, visit)| visit)).map(|visit| visit.random));
}

#[tokio::test]
async fn a_handle_of_an_earlier_call_is_no_handle() {
    let host = Host::start("").await;
    for way in WAYS {
        let visit = host.visit(way).await;
        for _ in 0..SLOTS * 2 {
            let answer = host.get(&format!("/{}/has/{}", way.service(), visit.handle)).await;
            assert_eq!(answer.problem()["type"], "urn:atoll:problem:trap", "{way:?}");
        }
    }
}

#[tokio::test]
async fn what_a_program_keeps_without_being_asked_is_gone() {
    let host = Host::start("").await;
    let mut seeds = Vec::new();
    for (service, _) in RUST {
        let first = host.visit_rust(service).await;
        let mut visits = Vec::new();
        for _ in 0..CALLS / 8 {
            host.trap(service).await;
            visits.extend(join_all((0..8).map(|_| host.visit_rust(service))).await);
        }
        for visit in &visits {
            assert_eq!((&visit["visits"], &visit["kept"]), (&0.into(), &0.into()), "{service}: {visit}");
            // The heap and the stack lie where they lay in the first instance.
            assert_eq!((&visit["heap"], &visit["stack"]), (&first["heap"], &first["stack"]), "{service}: {visit}");
        }
        seeds.extend([first].into_iter().chain(visits));
    }
    let number = |visit: &Value| u64::from_str_radix(visit["seed"].as_str().unwrap(), 16).unwrap();
    all_differ(seeds.iter().map(number));
}

/// Services of one component share its code, and with it the slots of the pool that hold its memory already.
#[tokio::test]
async fn a_slot_that_is_warm_for_the_component_holds_nothing_of_another_service() {
    let host = Host::start("").await;
    for way in WAYS {
        for turn in 0..CALLS {
            let (service, other) = if turn % 2 == 0 {
                (way.service().to_owned(), twin(way.service()))
            } else {
                (twin(way.service()), way.service().to_owned())
            };
            if turn % 8 > 5 {
                host.trap(&service).await;
            }
            for service in [service, other] {
                let visit = host.visit_at(&service, way).await;
                assert!(visit.is_clean(), "{service}: {visit:?}");
            }
        }
    }
    for (name, _) in RUST {
        for service in [name.to_owned(), twin(name)].iter().cycle().take(20) {
            assert_eq!(host.visit_rust(service).await["visits"], 0, "{service}");
        }
    }
}

/// Its monotonic clock shows an instance how old it is, and nothing of the instances before.
#[tokio::test]
async fn the_monotonic_clock_starts_anew() {
    let host = Host::start("").await;
    for (service, _) in RUST {
        host.get(&format!("/{service}/sleep?ms=50")).await;
        for _ in 0..10 {
            let asked = Instant::now();
            let clock = Duration::from_nanos(host.visit_rust(service).await["clock"].as_u64().unwrap());
            assert!(clock <= asked.elapsed(), "{service}: {clock:?}");
        }
    }
}

#[tokio::test]
async fn each_call_ends_its_own_line() {
    let host = Host::of_one("").await;
    for (service, _) in RUST {
        for word in ["one", "two"] {
            assert_eq!(host.get(&format!("/{service}/say/{word}")).await.status, 200, "{service}");
        }
        host.said(service, "one").await;
        host.said(service, "two").await;
    }
}

#[tokio::test]
async fn each_call_has_all_of_the_memory() {
    let host = Host::of_one("").await;
    for (service, _) in RUST {
        // 40 MiB of 64, each time.
        for _ in 0..3 {
            assert_eq!(host.get(&format!("/{service}/take/40")).await.status, 200, "{service}");
        }
    }
}
