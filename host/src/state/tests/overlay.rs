//! An overlay against a map: whoever reads it sees the base with its changes, and the base sees nothing.

use super::{name, puts, sim_disk::SimDisk};
use crate::state::tests::concurrency::store_on;
use crate::state::{Bucket, Change, Overlay, Settings, StateError, Transaction};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step: a key of 0 to 15, and a value, or its removal.
type Step = (u8, Option<u8>);

fn writes(steps: &[Step]) -> Transaction {
    let change = |value: Option<u8>| value.map_or(Change::Delete, |value| Change::Put(vec![value]));
    let writes = steps.iter().map(|(key, value)| (vec![*key % 16 + 1], change(*value))).collect();
    Transaction { writes, ..Transaction::default() }
}

fn apply(model: &mut BTreeMap<u8, u8>, steps: &[Step]) {
    for (key, value) in steps {
        match value {
            Some(value) => drop(model.insert(key % 16 + 1, *value)),
            None => drop(model.remove(&(key % 16 + 1))),
        }
    }
}

/// All entries, in pages of `limit`.
async fn listed(bucket: &Bucket, limit: usize) -> BTreeMap<u8, u8> {
    let (mut all, mut after) = (BTreeMap::new(), None);
    loop {
        let page = bucket.scan(Vec::new(), after, limit).await.expect("read");
        assert!(page.items.len() <= limit && page.items.is_sorted_by(|one, next| one.key < next.key));
        all.extend(page.items.iter().map(|entry| (entry.key[0], entry.value.value[0])));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_reads_as_the_base_with_its_changes_and_commits_them_as_one(
        base in prop::collection::vec((any::<u8>(), any::<Option<u8>>()), 0..20),
        laid in prop::collection::vec(prop::collection::vec((any::<u8>(), any::<Option<u8>>()), 1..5), 0..8),
        limit in 1..6_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let bucket = store_on(&SimDisk::default(), &Settings::default()).bucket(&name("a"));
            bucket.commit(writes(&base)).await.expect("written");
            let mut model = BTreeMap::new();
            apply(&mut model, &base);
            let before = model.clone();
            let overlay = Overlay::over(&bucket).await.expect("open");
            let over = overlay.bucket(&bucket);
            for steps in &laid {
                over.commit(writes(steps)).await.expect("within the bounds");
                apply(&mut model, steps);
                prop_assert_eq!(&listed(&over, limit).await, &model);
            }
            for key in 1..=16 {
                let found = over.get(vec![vec![key]]).await.expect("read").remove(0);
                prop_assert_eq!(found.map(|found| found.value[0]), model.get(&key).copied());
            }
            prop_assert_eq!(overlay.is_empty().await.expect("read"), model.is_empty());
            prop_assert_eq!(&listed(&bucket, limit).await, &before);
            bucket.commit_whole(overlay.transaction()).await.expect("nobody else has written");
            prop_assert_eq!(&listed(&bucket, limit).await, &model);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn checks_hold_and_what_others_have_changed_refuses_its_commit() {
    let bucket = store_on(&SimDisk::default(), &Settings::default()).bucket(&name("a"));
    let version = bucket.commit(puts(&[("a", "1"), ("b", "1")])).await.expect("written").version;
    let overlay = Overlay::over(&bucket).await.expect("open");
    let over = overlay.bucket(&bucket);
    let checked = |version| Transaction { checks: vec![(b"a".to_vec(), version)], ..puts(&[("a", "2")]) };
    let conflict = over.commit(checked(version + 7)).await;
    assert_eq!(conflict, Err(StateError::Conflict { key: b"a".to_vec() }));
    let laid = over.commit(checked(version)).await.expect("it has this version");
    assert!(laid.version > version);
    assert!(over.commit(checked(laid.version)).await.is_ok(), "its own writes have versions, too");
    // A counter goes on from what is there.
    let add = |delta| Transaction { writes: vec![(b"n".to_vec(), Change::Add(delta))], ..Transaction::default() };
    over.commit(add(2)).await.expect("a new counter");
    assert_eq!(over.commit(add(3)).await.expect("a number").sums, [5]);
    // Another key of the base may change, and none of those that are changed here.
    bucket.commit(puts(&[("b", "9")])).await.expect("written");
    assert!(Overlay::over(&bucket).await.is_ok());
    bucket.commit(puts(&[("a", "9")])).await.expect("written");
    let refused = bucket.commit_whole(overlay.transaction()).await;
    assert_eq!(refused, Err(StateError::Conflict { key: b"a".to_vec() }));
}

#[tokio::test]
async fn what_was_read_by_its_name_must_not_change_either() {
    let bucket = store_on(&SimDisk::default(), &Settings::default()).bucket(&name("a"));
    bucket.commit(puts(&[("a", "1"), ("b", "1"), ("c", "1")])).await.expect("written");
    for (read, changed, refused) in [("a", "a", true), ("a", "c", false), ("gone", "gone", true)] {
        let overlay = Overlay::over(&bucket).await.expect("open");
        let over = overlay.bucket(&bucket);
        over.get(vec![read.into()]).await.expect("read");
        over.commit(puts(&[("b", "2")])).await.expect("laid over");
        bucket.commit(puts(&[(changed, "9")])).await.expect("written");
        let outcome = bucket.commit_whole(overlay.transaction()).await;
        assert_eq!(outcome.is_err(), refused, "{read} was read, {changed} has changed: {outcome:?}");
    }
}

/// A commit that is refused in its middle.
#[tokio::test]
async fn a_commit_that_is_refused_leaves_nothing() {
    let bucket = store_on(&SimDisk::default(), &Settings::default()).bucket(&name("a"));
    bucket.commit(puts(&[("n", "no number")])).await.expect("written");
    let overlay = Overlay::over(&bucket).await.expect("open");
    let over = overlay.bucket(&bucket);
    let mut transaction = puts(&[("a", "1")]);
    transaction.writes.push((b"n".to_vec(), Change::Add(1)));
    assert_eq!(over.commit(transaction).await, Err(StateError::NotANumber { key: b"n".to_vec() }));
    assert_eq!(over.get(vec![b"a".to_vec()]).await.expect("read"), [None]);
    assert!(overlay.transaction().writes.is_empty());
}

#[tokio::test]
async fn an_overlay_is_bounded() {
    let bucket = store_on(&SimDisk::default(), &Settings::default()).bucket(&name("a"));
    let overlay = Overlay::over(&bucket).await.expect("open");
    let over = overlay.bucket(&bucket);
    let large =
        |key: u8| Transaction { writes: vec![(vec![key], Change::Put(vec![0; 1 << 20]))], ..Transaction::default() };
    for key in 1..32 {
        over.commit(large(key)).await.expect("within the bounds");
    }
    for key in 32..200 {
        over.commit(large(key)).await.expect_err("32 MiB are reached");
    }
    assert_eq!(overlay.transaction().writes.len(), 31, "what is refused takes no memory");
    // Nor does what is written again count again.
    over.commit(large(1)).await.expect("the same size as before");
    over.commit(Transaction { writes: vec![(vec![1], Change::Delete)], ..Transaction::default() }).await.expect("less");
    over.commit(large(32)).await.expect("there is room again");
}
