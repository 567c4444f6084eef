//! Seeded runs: publishers, verdicts, and restarts at random; then everything that was published was handled or is a
//! dead letter, in the order of its key, and nothing that was settled came again.

use super::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_and_restarts_each_event_ends_in_the_order_of_its_key() {
    for seed in 1..=6 {
        one_run(seed).await;
    }
}

async fn one_run(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (store, script) = (store(folder.path()), Arc::new(Script::default()));
    let settings = SubscriptionSettings { concurrency: random.random_range(1..6), waiting: 20, ..quick() };
    let mut failures = BTreeMap::new();
    for number in 1..=120u64 {
        let verdicts: Vec<_> = (0..random.random_range(0..5u32))
            .map(|_| match random.random_range(0..4) {
                0 => TryEnd::NotNow("away".into()),
                1 => TryEnd::Failed("no".into()),
                _ => TryEnd::Handled,
            })
            .collect();
        // They are taken from the end.
        let ended = verdicts.iter().rposition(|verdict| *verdict == TryEnd::Handled);
        let counted = verdicts[ended.map_or(0, |at| at + 1)..].iter();
        failures.insert(number, counted.filter(|verdict| matches!(verdict, TryEnd::Failed(_))).count());
        script.verdicts.lock().unwrap().insert(number, verdicts);
    }
    let mut published = 0;
    while published < 120 {
        let deliveries = start(&store, &week(), settings.clone(), &script).await;
        for _ in 0..random.random_range(1..40) {
            if published < 120 {
                let key = format!("k{}", random.random_range(0..4));
                publish(&deliveries, (random.random_range(0..5) > 0).then_some(&*key)).await;
                published += 1;
            }
        }
        // Sometimes it stops in good order, and sometimes in the middle.
        if random.random_bool(0.5) {
            settled(&deliveries).await;
        }
        deliveries.stop(Duration::from_millis(random.random_range(0..3))).await;
    }
    let deliveries = start(&store, &week(), settings, &script).await;
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    let letters = deliveries.dead_letters("orders.placed", "mailer", 0, 1000).await.unwrap();
    for letter in &letters {
        assert!(failures[&letter.number] >= 3 || letter.tries >= 3, "seed {seed}: {letter:?}");
    }
    let calls = script.calls.lock().unwrap();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, key, _) in calls.iter() {
        let Some(key) = key else { continue };
        let before = last.entry(key).or_default();
        // An event comes again only before a later one of its key has come.
        assert!(*number >= *before, "seed {seed}: {number} of {key} after {before}");
        *before = *number;
    }
    let seen: std::collections::BTreeSet<u64> = calls.iter().map(|(number, ..)| *number).collect();
    assert_eq!(seen.len(), 120, "seed {seed}");
    assert_eq!(*script.overlap.lock().unwrap(), 1, "seed {seed}: two events of one key at the same time");
}
