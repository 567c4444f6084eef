//! `isolation = "request"`, the default: no call finds a mark of another call, whether they run one after the other,
//! at the same time, or after a trap.

use super::{Host, PROTOCOLS, RUST, SLOTS, Visit, twin};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How many calls of each service run one after the other, and how many run at the same time. Each slot of the pool
/// is used dozens of times.
const CALLS: usize = 60;
const AT_ONCE: usize = 24;

/// Asserts that all numbers differ. Among some hundred draws of 64 bits, two equal ones are not an accident.
fn all_differ(numbers: impl Iterator<Item = u64>) {
    let mut seen = HashSet::new();
    for number in numbers {
        assert!(number != 0 && seen.insert(number), "{number:016x} was drawn twice");
    }
}

#[tokio::test]
async fn no_call_finds_a_mark_handle_or_random_number_of_another_call() {
    const { assert!(CALLS * 3 > 20 * SLOTS) };
    let host = Host::start("").await;
    let mut visits: Vec<(super::Protocol, Visit)> = Vec::new();
    let firsts = [host.visit(PROTOCOLS[0]).await, host.visit(PROTOCOLS[1]).await, host.visit(PROTOCOLS[2]).await];
    for turn in 0..CALLS {
        for protocol in PROTOCOLS {
            // A trap leaves the instance as it is, with all its marks.
            if turn % 8 == 7 {
                host.trap(protocol.service()).await;
            }
            visits.push((protocol, host.visit(protocol).await));
        }
    }
    // Now with every slot of the pool in use at the same time.
    let calls = (0..CALLS * 3).map(|n| {
        let (host, protocol) = (&host, PROTOCOLS[n % 3]);
        async move {
            if n % 8 == 7 {
                host.trap(protocol.service()).await;
            }
            (protocol, host.visit(protocol).await)
        }
    });
    visits.extend(stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);

    for (protocol, visit) in &visits {
        assert!(visit.is_clean(), "{protocol:?}: {visit:?}");
        // The numbers of handles start again.
        assert_eq!(visit.handle, firsts[*protocol as usize].handle, "{protocol:?}: {visit:?}");
    }
    all_differ(firsts.iter().chain(visits.iter().map(|(_, visit)| visit)).map(|visit| visit.random));
}

#[tokio::test]
async fn a_handle_number_of_an_earlier_call_traps() {
    let host = Host::start("").await;
    for protocol in PROTOCOLS {
        let visit = host.visit(protocol).await;
        for _ in 0..SLOTS * 2 {
            let answer = host.get(&format!("/{}/has/{}", protocol.service(), visit.handle)).await;
            assert_eq!(answer.problem()["type"], "urn:atoll:problem:trap", "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn statics_heap_stack_and_hash_seeds_are_fresh_in_every_call() {
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
            // The heap and the stack are at the same addresses as in the first instance.
            assert_eq!((&visit["heap"], &visit["stack"]), (&first["heap"], &first["stack"]), "{service}: {visit}");
        }
        seeds.extend([first].into_iter().chain(visits));
    }
    let number = |visit: &Value| u64::from_str_radix(visit["seed"].as_str().unwrap(), 16).unwrap();
    all_differ(seeds.iter().map(number));
}

/// Services of one component share its code, and so they share the pool's slots whose memory is already mapped for
/// it.
#[tokio::test]
async fn a_slot_reused_by_another_service_of_the_same_component_is_clean() {
    let host = Host::start("").await;
    for protocol in PROTOCOLS {
        for turn in 0..CALLS {
            let (service, other) = if turn % 2 == 0 {
                (protocol.service().to_owned(), twin(protocol.service()))
            } else {
                (twin(protocol.service()), protocol.service().to_owned())
            };
            if turn % 8 > 5 {
                host.trap(&service).await;
            }
            for service in [service, other] {
                let visit = host.visit_at(&service, protocol).await;
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

/// The monotonic clock tells an instance its own age, and nothing about earlier instances.
#[tokio::test]
async fn the_monotonic_clock_starts_again_for_every_call() {
    let host = Host::start("").await;
    for (service, _) in RUST {
        host.get(&format!("/{service}/sleep?ms=50")).await;
        for _ in 0..10 {
            let started = Instant::now();
            let clock = Duration::from_nanos(host.visit_rust(service).await["clock"].as_u64().unwrap());
            assert!(clock <= started.elapsed(), "{service}: {clock:?}");
        }
    }
}

#[tokio::test]
async fn an_unfinished_output_line_ends_with_its_call() {
    let host = Host::of_one("").await;
    for (service, _) in RUST {
        for word in ["one", "two"] {
            assert_eq!(host.get(&format!("/{service}/say/{word}")).await.status, 200, "{service}");
        }
        host.wait_for_stdout_line(service, "one").await;
        host.wait_for_stdout_line(service, "two").await;
    }
}

#[tokio::test]
async fn each_call_may_use_the_whole_memory_limit() {
    let host = Host::of_one("").await;
    for (service, _) in RUST {
        // 40 MiB of 64, each time.
        for _ in 0..3 {
            assert_eq!(host.get(&format!("/{service}/take/40")).await.status, 200, "{service}");
        }
    }
}
