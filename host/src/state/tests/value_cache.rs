//! The value cache answers what the database would answer.

use super::{name, open_on, puts, sim_disk::SimDisk};
use crate::state::embedded::value_cache::{ReadTicket, ValueCache};
use crate::state::{Change, Committed, Embedded, Key, Settings, StateError, Store, Transaction, Versioned};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Runs `test` with a blocking pool of one thread, so that [`at_once`] can occupy it.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

/// The answer of a get that needs no thread of the blocking pool, whose only thread is occupied meanwhile; `None` if
/// it needs one.
async fn at_once(store: &Store, keys: &[&str]) -> Option<Vec<Option<String>>> {
    let (_release, held) = std::sync::mpsc::sync_channel::<()>(1);
    tokio::task::spawn_blocking(move || held.recv());
    let bucket = store.bucket(&name("users"));
    let mut get = pin!(bucket.get(keys.iter().map(|key| Key::from(*key)).collect()));
    let found = poll_fn(|context| match get.as_mut().poll(context) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending => Poll::Ready(None),
    });
    let text = |found: Versioned| String::from_utf8(found.value).unwrap();
    Some(found.await?.unwrap().into_iter().map(|found| found.map(text)).collect())
}

fn some(values: &[&str]) -> Option<Vec<Option<String>>> {
    Some(values.iter().map(|value| Some((*value).to_owned())).collect())
}

fn store_on(disk: &SimDisk) -> Store {
    Store::new(Arc::new(Embedded::start(open_on(disk).unwrap(), &Settings::default()).unwrap()))
}

#[test]
fn a_key_that_was_written_or_read_is_answered_from_memory() {
    run(written_or_read());
}

async fn written_or_read() {
    let disk = SimDisk::default();
    let store = store_on(&disk);
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("a", "1"), ("b", "2")])).await.unwrap();
    assert_eq!(at_once(&store, &["b", "a", "b"]).await, some(&["2", "1", "2"]));
    assert_eq!(at_once(&store, &["a", "c"]).await, None, "only the database knows whether c is there");
    assert_eq!(bucket.get(vec!["c".into()]).await, Ok(vec![None]));
    assert_eq!(at_once(&store, &["c"]).await, Some(vec![None]));
    bucket.commit(puts(&[("a", "3")])).await.unwrap();
    assert_eq!(at_once(&store, &["a"]).await, some(&["3"]));
    let gone = Transaction { beside: Vec::new(), checks: Vec::new(), writes: vec![("a".into(), Change::Delete)] };
    bucket.commit(gone).await.unwrap();
    assert_eq!(at_once(&store, &["a"]).await, Some(vec![None]));
    let large = "x".repeat(5_000);
    bucket.commit(puts(&[("a", &large)])).await.unwrap();
    assert_eq!(at_once(&store, &["a"]).await, None, "too large to be copied under a lock");
    store.close();
    assert_eq!(bucket.get(vec!["b".into()]).await, Err(StateError::Closed));

    let store = store_on(&disk);
    assert_eq!(at_once(&store, &["b"]).await, None);
    store.bucket(&name("users")).get(vec!["b".into()]).await.unwrap();
    assert_eq!(at_once(&store, &["b"]).await, some(&["2"]));
    assert_eq!(store.bucket(&name("user")).get(vec!["b".into()]).await, Ok(vec![None]), "another service's");
}

#[test]
fn a_key_that_is_being_written_is_read_from_the_database() {
    run(being_written());
}

async fn being_written() {
    let disk = SimDisk::default();
    let store = store_on(&disk);
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("a", "1"), ("b", "1")])).await.unwrap();
    disk.shut_gate();
    let mut commit = pin!(bucket.commit(puts(&[("a", "2")])));
    let begun = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending())).await;
    assert!(begun);
    disk.wait_for_sync();
    assert_eq!(at_once(&store, &["a"]).await, None);
    assert_eq!(at_once(&store, &["b"]).await, some(&["1"]));
    disk.open_gate();
    commit.await.unwrap();
    assert_eq!(at_once(&store, &["a", "b"]).await, some(&["2", "1"]));
}

#[tokio::test]
async fn after_a_failed_sync_no_key_is_answered_from_memory() {
    let disk = SimDisk::default();
    let store = store_on(&disk);
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("a", "1"), ("b", "1")])).await.unwrap();
    disk.fail_syncs(true);
    assert!(matches!(bucket.commit(puts(&[("a", "2")])).await, Err(StateError::Io { .. })));
    disk.fail_syncs(false);
    for key in ["a", "b"] {
        assert!(matches!(bucket.get(vec![key.into()]).await, Err(StateError::Io { .. })), "{key}");
    }
}

#[test]
fn the_cache_stays_within_its_bytes_and_keeps_keys_that_are_asked_for() {
    let (cache, bucket) = (ValueCache::new(20_000), name("users"));
    let value = |version| Some(Versioned { value: vec![7; 100], version });
    let key = |number: u64| number.to_string().into_bytes();
    for number in 0..1_000 {
        cache.fill(cache.begin_read(), &bucket, &[key(number)], &[value(number)]);
        assert_eq!(cache.get(&bucket, &[key(0)]), Some(vec![value(0)]), "a key that is asked for all the time");
    }
    let kept = (0..1_000).filter(|number| cache.get(&bucket, &[key(*number)]).is_some()).count();
    assert!((20..=20_000 / 200).contains(&kept), "{kept} of some 230 bytes");
}

/// A transaction of one write.
#[derive(Debug, Clone)]
struct SingleWrite {
    key: u8,
    /// The new value; `None`: the key is deleted.
    value: Option<u8>,
    is_refused: bool,
}

/// One step. Keys are few, so that steps often touch the same key.
#[derive(Debug, Clone)]
enum Op {
    /// A read of the database begins; it sees the database as it is now.
    Read(Vec<u8>),
    /// The oldest read ends, and fills the cache.
    Fill,
    /// A batch begins.
    Begin(Vec<SingleWrite>),
    /// The batch is applied to the database.
    Apply,
    /// The batch has succeeded (true) or failed.
    End(bool),
    /// The cache is asked.
    Get(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let keys = || prop::collection::vec(0..6_u8, 1..3);
    let write = (0..6_u8, prop::option::weighted(0.8, any::<u8>()), prop::bool::weighted(0.2))
        .prop_map(|(key, value, is_refused)| SingleWrite { key, value, is_refused });
    prop_oneof![
        3 => keys().prop_map(Op::Read),
        3 => Just(Op::Fill),
        2 => prop::collection::vec(write, 1..4).prop_map(Op::Begin),
        2 => Just(Op::Apply),
        2 => prop::bool::weighted(0.9).prop_map(Op::End),
        4 => keys().prop_map(Op::Get),
    ]
}

proptest! {
    /// Property: whatever order reads, batches and their ends come in, an answer of the cache is what the database
    /// holds at that moment, and never that of another service.
    #[test]
    fn an_answer_of_the_cache_is_what_the_database_holds(
        ops in prop::collection::vec(op(), 1..80),
        bytes in 200..2_000_usize,
    ) {
        let (cache, bucket) = (ValueCache::new(bytes), name("users"));
        let mut database: BTreeMap<u8, Versioned> = BTreeMap::new();
        let mut reads: Vec<(ReadTicket, Vec<Key>, Vec<Option<Versioned>>)> = Vec::new();
        let mut batch: Option<(Vec<SingleWrite>, u64, bool)> = None;
        let mut version = 0;
        for op in ops {
            match op {
                Op::Read(keys) => {
                    let found = keys.iter().map(|key| database.get(key).cloned()).collect();
                    reads.push((cache.begin_read(), keys.iter().map(|key| vec![*key]).collect(), found));
                }
                Op::Fill if !reads.is_empty() => {
                    let (ticket, keys, found) = reads.remove(0);
                    cache.fill(ticket, &bucket, &keys, &found);
                }
                Op::Begin(writes) if batch.is_none() => {
                    cache.begin_batch(&transactions(&writes));
                    batch = Some((writes, version, false));
                }
                Op::Apply => if let Some((writes, before, applied @ false)) = &mut batch {
                    *applied = true;
                    let committed = (1..).zip(writes.iter()).filter(|(_, write)| !write.is_refused);
                    for (number, SingleWrite { key, value, .. }) in committed {
                        version = *before + number;
                        match value {
                            Some(value) => drop(database.insert(*key, Versioned { value: vec![*value], version })),
                            None => drop(database.remove(key)),
                        }
                    }
                },
                Op::End(well) => match batch.take() {
                    Some((writes, before, true)) if well => {
                        let answer = |(number, write): (u64, &SingleWrite)| {
                            let committed = Committed { version: before + number, sums: Vec::new() };
                            if write.is_refused { Err(StateError::Conflict { key: Vec::new() }) } else { Ok(committed) }
                        };
                        let answers: Vec<_> = (1..).zip(writes.iter()).map(answer).collect();
                        cache.end_batch(transactions(&writes), &answers);
                    }
                    // A failed batch may be applied or not.
                    Some(_) => cache.clear(),
                    None => {}
                },
                Op::Get(keys) => {
                    let expected: Vec<_> = keys.iter().map(|key| database.get(key).cloned()).collect();
                    let found = cache.get(&bucket, &keys.iter().map(|key| vec![*key]).collect::<Vec<_>>());
                    prop_assert!(found.is_none_or(|found| found == expected));
                    prop_assert_eq!(cache.get(&name("user"), &[vec![keys[0]]]), None);
                }
                Op::Fill | Op::Begin(_) => {}
            }
        }
    }
}

fn transactions(writes: &[SingleWrite]) -> Vec<(crate::base::ServiceName, Transaction)> {
    let change = |value: &Option<u8>| value.map_or(Change::Delete, |value| Change::Put(vec![value]));
    let transaction = |write: &SingleWrite| Transaction {
        beside: Vec::new(),
        checks: Vec::new(),
        writes: vec![(vec![write.key], change(&write.value))],
    };
    writes.iter().map(|write| (name("users"), transaction(write))).collect()
}
