//! What is kept in memory is what the database would answer.

use super::super::recent::{Moment, Recent};
use super::super::{Change, Committed, Embedded, Key, Settings, StateError, Store, Transaction, Versioned};
use super::{name, open_on, puts, sim_disk::SimDisk};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Runs `test` with one thread for what may block, so that [`at_once`] can hold it up.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

/// What a get answers if it can do so without a thread that may block: the only one is held up meanwhile.
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
fn what_was_written_or_read_is_answered_at_once() {
    run(written_or_read());
}

async fn written_or_read() {
    let disk = SimDisk::default();
    let store = store_on(&disk);
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("a", "1"), ("b", "2")])).await.unwrap();
    assert_eq!(at_once(&store, &["b", "a", "b"]).await, some(&["2", "1", "2"]));
    assert_eq!(at_once(&store, &["a", "c"]).await, None, "whether c is there, the database knows");
    assert_eq!(bucket.get(vec!["c".into()]).await, Ok(vec![None]));
    assert_eq!(at_once(&store, &["c"]).await, Some(vec![None]));
    bucket.commit(puts(&[("a", "3")])).await.unwrap();
    assert_eq!(at_once(&store, &["a"]).await, some(&["3"]));
    let gone = Transaction { checks: Vec::new(), writes: vec![("a".into(), Change::Delete)] };
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
fn what_is_being_written_is_the_databases_to_know() {
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
async fn nothing_is_answered_after_a_failed_sync() {
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
fn it_holds_no_more_than_it_may_and_keeps_what_is_asked_for() {
    let (recent, bucket) = (Recent::new(20_000), name("users"));
    let value = |version| Some(Versioned { value: vec![7; 100], version });
    let key = |number: u64| number.to_string().into_bytes();
    for number in 0..1_000 {
        recent.keep(recent.moment(), &bucket, &[key(number)], &[value(number)]);
        assert_eq!(recent.recall(&bucket, &[key(0)]), Some(vec![value(0)]), "asked for all the time");
    }
    let kept = (0..1_000).filter(|number| recent.recall(&bucket, &[key(*number)]).is_some()).count();
    assert!((20..=20_000 / 200).contains(&kept), "{kept} of some 230 bytes");
}

/// A key, its new value or none, and whether its transaction is refused.
type Write = (u8, Option<u8>, bool);

/// Few of each, so that they meet.
#[derive(Debug, Clone)]
enum Op {
    /// A read of the database begins, which sees it as it then is.
    Read(Vec<u8>),
    /// The oldest read ends.
    Found,
    /// A batch is taken up: keys, each with what becomes of it and whether its transaction is refused.
    Begin(Vec<Write>),
    /// It is applied to the database.
    Apply,
    /// It is done, or has failed.
    End(bool),
    Recall(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let keys = || prop::collection::vec(0..6_u8, 1..3);
    let write = (0..6_u8, prop::option::weighted(0.8, any::<u8>()), prop::bool::weighted(0.2));
    prop_oneof![
        3 => keys().prop_map(Op::Read),
        3 => Just(Op::Found),
        2 => prop::collection::vec(write, 1..4).prop_map(Op::Begin),
        2 => Just(Op::Apply),
        2 => prop::bool::weighted(0.9).prop_map(Op::End),
        4 => keys().prop_map(Op::Recall),
    ]
}

proptest! {
    #[test]
    fn what_is_recalled_is_what_the_database_says(ops in prop::collection::vec(op(), 1..80), bytes in 200..2_000_usize) {
        let (recent, bucket) = (Recent::new(bytes), name("users"));
        let mut database: BTreeMap<u8, Versioned> = BTreeMap::new();
        let mut reads: Vec<(Moment, Vec<Key>, Vec<Option<Versioned>>)> = Vec::new();
        let mut batch: Option<(Vec<Write>, u64, bool)> = None;
        let mut version = 0;
        for op in ops {
            match op {
                Op::Read(keys) => {
                    let found = keys.iter().map(|key| database.get(key).cloned()).collect();
                    reads.push((recent.moment(), keys.iter().map(|key| vec![*key]).collect(), found));
                }
                Op::Found if !reads.is_empty() => {
                    let (moment, keys, found) = reads.remove(0);
                    recent.keep(moment, &bucket, &keys, &found);
                }
                Op::Begin(writes) if batch.is_none() => {
                    recent.begin(&transactions(&writes));
                    batch = Some((writes, version, false));
                }
                Op::Apply => if let Some((writes, before, applied @ false)) = &mut batch {
                    *applied = true;
                    for (number, (key, value, _)) in (1..).zip(writes.iter()).filter(|(_, (_, _, refused))| !refused) {
                        version = *before + number;
                        match value {
                            Some(value) => drop(database.insert(*key, Versioned { value: vec![*value], version })),
                            None => drop(database.remove(key)),
                        }
                    }
                },
                Op::End(well) => match batch.take() {
                    Some((writes, before, true)) if well => {
                        let answer = |(number, (_, _, refused)): (u64, &(u8, Option<u8>, bool))| {
                            let committed = Committed { version: before + number, sums: Vec::new() };
                            if *refused { Err(StateError::Conflict { key: Vec::new() }) } else { Ok(committed) }
                        };
                        let answers: Vec<_> = (1..).zip(writes.iter()).map(answer).collect();
                        recent.end(transactions(&writes), &answers);
                    }
                    // Applied or not: nobody knows.
                    Some(_) => recent.clear(),
                    None => {}
                },
                Op::Recall(keys) => {
                    let expected: Vec<_> = keys.iter().map(|key| database.get(key).cloned()).collect();
                    let found = recent.recall(&bucket, &keys.iter().map(|key| vec![*key]).collect::<Vec<_>>());
                    prop_assert!(found.is_none_or(|found| found == expected));
                    prop_assert_eq!(recent.recall(&name("user"), &[vec![keys[0]]]), None);
                }
                Op::Found | Op::Begin(_) => {}
            }
        }
    }
}

fn transactions(writes: &[Write]) -> Vec<(crate::base::ServiceName, Transaction)> {
    let change = |value: &Option<u8>| value.map_or(Change::Delete, |value| Change::Put(vec![value]));
    let transaction = |(key, value, _): &(u8, Option<u8>, bool)| Transaction {
        checks: Vec::new(),
        writes: vec![(vec![*key], change(value))],
    };
    writes.iter().map(|write| (name("users"), transaction(write))).collect()
}
