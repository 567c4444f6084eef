//! `kill -9` at random moments while clients publish and services handle. One state lives through all crashes. In the
//! end every acknowledged event was handled, and each effect through the handler's own data happened once.

use super::super::atoll::{Home, TIMEOUT};
use super::{Book, MANIFEST, MODES};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

const CRASHES: usize = 25;
/// Publishers at the same time, each with a key of its own, so that commits share a sync and are lost together.
const PUBLISHERS: usize = 6;
/// How long they publish before a crash, in milliseconds.
const LIFE: std::ops::Range<u64> = 60..400;

/// Publishes entries one after the other until the host is gone. Returns those that were acknowledged, and the one that
/// was under way at the end.
async fn publish(
    book: Book,
    publisher: usize,
    first: usize,
) -> (Vec<(String, &'static str)>, Option<(String, &'static str)>) {
    let mut acknowledged = Vec::new();
    for n in first.. {
        let (id, mode) = (format!("p{publisher}-{n}"), MODES[(n + publisher) % MODES.len()]);
        match book.try_entry(&id, &format!("k{publisher}"), mode).await {
            Ok(answer) if answer.status.is_success() => acknowledged.push((id, mode)),
            _ => return (acknowledged, Some((id, mode))),
        }
    }
    (acknowledged, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_is_handled_and_has_its_effect_once() {
    let seed = seed();
    println!("set ATOLL_TEST_SEED={seed} to repeat the same crashes");
    let mut random = SmallRng::seed_from_u64(seed);
    let home = Home::new(MANIFEST);
    let mut acknowledged: BTreeMap<String, &str> = BTreeMap::new();
    let mut in_doubt: BTreeMap<String, &str> = BTreeMap::new();
    let mut next = [0; PUBLISHERS];
    for _ in 0..CRASHES {
        let host = home.start().await;
        let book = Book::of(&host);
        let publishers: Vec<_> =
            (0..PUBLISHERS).map(|one| tokio::spawn(publish(book.clone(), one, next[one]))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
        host.kill().await;
        for (one, publisher) in publishers.into_iter().enumerate() {
            let (done, doubt) = tokio::time::timeout(TIMEOUT, publisher).await.unwrap().unwrap();
            next[one] += done.len() + usize::from(doubt.is_some());
            acknowledged.extend(done);
            in_doubt.extend(doubt);
        }
    }
    let host = home.start().await;
    let book = Book::of(&host);
    let end = book.settled("entries").await;
    book.settled("echo").await;
    assert_eq!(end["dead"], 0, "{end}");
    println!("{} events were acknowledged, {} are in doubt", acknowledged.len(), in_doubt.len());
    assert!(acknowledged.len() > CRASHES * PUBLISHERS, "this test has tried little");
    for (id, mode) in acknowledged.iter().chain(&in_doubt) {
        let written = book.value("writer", &format!("written/{id}")).await;
        // What is in doubt was written together with its event, or neither was.
        assert!(written == "1" || in_doubt.contains_key(id), "{id} is lost");
        let effect = |word: &str| if mode.split(' ').any(|own| own == word) { written.clone() } else { String::new() };
        assert_eq!(book.value("reader", &format!("seen/{id}")).await, written, "{id} {mode}");
        assert_eq!(book.value("reader", &format!("again/{id}")).await, effect("twice"), "{id} {mode}");
        assert_eq!(book.value("echoes", &format!("echoed/{id}")).await, effect("echo"), "{id} {mode}");
    }
    for (one, next) in next.iter().enumerate() {
        let order = book.value("reader", &format!("order/k{one}")).await;
        let numbers: Vec<usize> =
            order.split_whitespace().map(|id| id.rsplit_once('-').unwrap().1.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() <= *next, "k{one}: {order}");
    }
    host.stop().await;
}

/// The seed of ATOLL_TEST_SEED, or a random one.
#[expect(clippy::disallowed_methods, reason = "a test reads its seed, the host does not")]
fn seed() -> u64 {
    std::env::var("ATOLL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}
