//! Random transactions, reads and scans, compared with a simple map.

use super::{name, open_on, sim_disk::SimDisk};
use crate::state::sequence_key;
use crate::state::{Change, Committed, Key, Page, StateError, Transaction};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Two services with the same keys.
pub(super) const BUCKETS: [&str; 2] = ["users", "products"];

/// The naive model: value and version by bucket and key.
#[derive(Default)]
pub(super) struct Model {
    pub(super) buckets: [BTreeMap<Key, (Vec<u8>, u64)>; 2],
    pub(super) version: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) bucket: usize,
    /// Each checked key; `Ok`: with its present version, `Err`: with this version.
    checks: Vec<(Key, Result<(), u64>)>,
    writes: Vec<(Key, Change)>,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Transactions of one batch.
    Write(Vec<Step>),
    Get(usize, Vec<Key>),
    Scan(usize, Key, usize),
}

impl Model {
    pub(super) fn commit(&mut self, bucket: usize, transaction: &Transaction) -> Result<Committed, StateError> {
        let present = &self.buckets[bucket];
        for (key, version) in &transaction.checks {
            if present.get(key).map_or(0, |(_, v)| *v) != *version {
                return Err(StateError::Conflict { key: key.clone() });
            }
        }
        if transaction.writes.is_empty() {
            return Ok(Committed { version: self.version, sums: Vec::new() });
        }
        let mut after = present.clone();
        let mut sums = Vec::new();
        let version = self.version + 1;
        for (key, change) in &transaction.writes {
            match change {
                Change::Put(value) => drop(after.insert(key.clone(), (value.clone(), version))),
                Change::Delete => drop(after.remove(key)),
                Change::Add(_) | Change::Append(_) => {
                    let delta = if let Change::Add(delta) = change { *delta } else { 1 };
                    let number = match after.entry(key.clone()) {
                        Entry::Vacant(_) => Some(0),
                        Entry::Occupied(e) => String::from_utf8(e.get().0.clone()).unwrap().parse::<u64>().ok(),
                    };
                    let sum = number.and_then(|n| n.checked_add(delta));
                    let sum = sum.ok_or(StateError::NotANumber { key: key.clone() })?;
                    sums.push(sum);
                    if let Change::Append(value) = change {
                        after.insert(sequence_key(key, sum), (value.clone(), version));
                    }
                    after.insert(key.clone(), (sum.to_string().into(), version));
                }
            }
        }
        self.buckets[bucket] = after;
        self.version = version;
        Ok(Committed { version, sums })
    }

    pub(super) fn transaction(&self, step: &Step) -> Transaction {
        let present = |key: &Key| self.buckets[step.bucket].get(key).map_or(0, |(_, version)| *version);
        let checks = step.checks.iter().map(|(key, which)| (key.clone(), which.map_or_else(|v| v, |()| present(key))));
        Transaction { beside: Vec::new(), checks: checks.collect(), writes: step.writes.clone() }
    }
}

fn key() -> impl Strategy<Value = Key> {
    // Few different bytes, so that keys often coincide; and 255, where the end of a prefix's range could overflow.
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 7, 255]), 1..=3)
}

fn change() -> impl Strategy<Value = Change> {
    let text = prop_oneof!["[a-z]{0,3}", "[0-9]{1,2}", Just(u64::MAX.to_string())];
    prop_oneof![
        4 => text.prop_map(|text| Change::Put(text.into())),
        2 => Just(Change::Delete),
        2 => (0u64..5).prop_map(Change::Add),
        1 => "[a-z]{1,3}".prop_map(|text| Change::Append(text.into())),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let check = (key(), prop_oneof![6 => Just(Ok(())), 1 => (0u64..20).prop_map(Err)]);
    let step = (0..2usize, prop::collection::vec(check, 0..3), prop::collection::vec((key(), change()), 0..5))
        .prop_map(|(bucket, checks, writes)| Step { bucket, checks, writes });
    prop_oneof![
        4 => prop::collection::vec(step, 1..5).prop_map(Op::Write),
        2 => (0..2usize, prop::collection::vec(key(), 0..4)).prop_map(|(bucket, keys)| Op::Get(bucket, keys)),
        1 => (0..2usize, prop::collection::vec(prop::sample::select(vec![0u8, 1, 255]), 0..=2), 1..5usize)
            .prop_map(|(bucket, prefix, limit)| Op::Scan(bucket, prefix, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Property: after any batches, every answer, version, read, scan and page is that of the map.
    #[test]
    fn the_database_does_what_the_map_does(ops in prop::collection::vec(op(), 1..40)) {
        let database = open_on(&SimDisk::default()).unwrap();
        let buckets = BUCKETS.map(name);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Write(steps) => {
                    // All versions are read before the batch, so that transactions of one batch can conflict with each
                    // other.
                    let transactions: Vec<_> = steps.iter().map(|step| model.transaction(step)).collect();
                    let expected: Vec<_> =
                        steps.iter().zip(&transactions).map(|(step, t)| model.commit(step.bucket, t)).collect();
                    let batch: Vec<_> =
                        steps.iter().zip(transactions).map(|(step, t)| (buckets[step.bucket].clone(), t)).collect();
                    prop_assert_eq!(database.write(&batch).unwrap(), expected);
                }
                Op::Get(bucket, keys) => {
                    let found = database.get(&buckets[bucket], &keys).unwrap();
                    let found: Vec<_> = found.into_iter().map(|entry| entry.map(|e| (e.value, e.version))).collect();
                    let expected: Vec<_> = keys.iter().map(|key| model.buckets[bucket].get(key).cloned()).collect();
                    prop_assert_eq!(found, expected);
                }
                Op::Scan(bucket, prefix, limit) => {
                    let entries = pages(limit, |after| database.scan(&buckets[bucket], &prefix, after, limit).unwrap());
                    let found: Vec<_> =
                        entries.into_iter().map(|e| (e.key, (e.value.value, e.value.version))).collect();
                    let expected = model.buckets[bucket].clone().into_iter();
                    let expected: Vec<_> = expected.filter(|(key, _)| key.starts_with(&prefix)).collect();
                    let keys = pages(limit, |after| database.keys(&buckets[bucket], &prefix, after, limit).unwrap());
                    let expected_keys: Vec<_> = expected.iter().map(|(key, _)| key.clone()).collect();
                    prop_assert_eq!(keys, expected_keys);
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}

/// The items of all pages. Asserts that every page but the last is full, and that the last page says that it is the
/// last.
fn pages<T>(limit: usize, mut page: impl FnMut(Option<&[u8]>) -> Page<T>) -> Vec<T> {
    let mut all = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let page = page(after.as_deref());
        assert!(page.items.len() == limit || page.next.is_none() && page.items.len() < limit);
        assert!(page.next.is_none() || page.next > after, "the cursor moves on");
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}
