//! What every backend promises.

use super::super::model::{BUCKETS, Model, Op, op};
use super::super::{name, put, puts};
use super::postgres_server::PostgresServer;
use super::redis_server::RedisServer;
use super::tested_server::TestedServer;
use super::{TestedBackend, over_each_backend};
use crate::state::{
    Beside, Bucket, BucketExport, BucketImport, BucketReader, Change, ImportCounts, Key, Page, StateError, Store,
    Transaction, ValueForm, limit, sequence_prefix,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

over_each_backend! {
    a_store_does_what_the_map_does
    checks_and_additions_lose_nothing
    numbers_of_a_sequence_have_no_gap_and_no_copy
    what_is_beside_is_in_the_same_commit
    keys_values_and_pages_have_their_bounds
    a_commit_that_is_given_up_is_whole_or_absent
    what_is_frozen_stays_and_what_goes_out_comes_in_again
    data_are_erased_and_versions_go_on
    what_is_acknowledged_is_there_after_a_new_start
}

async fn closed(store: Store) {
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
}

async fn value(bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
    bucket.get(vec![key.into()]).await.unwrap().remove(0).map(|found| found.value)
}

fn write(key: &[u8], change: Change) -> Transaction {
    Transaction { writes: vec![(key.to_vec(), change)], ..Transaction::default() }
}

/// Whether it is ready after one more poll.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

/// All items, page by page.
async fn all<T>(limit: usize, mut page: impl AsyncFnMut(Option<Key>) -> Page<T>) -> Vec<T> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = page(after.clone()).await;
        assert!(page.items.len() <= limit && (page.next.is_none() || page.next > after), "the cursor moves on");
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
}

async fn a_store_does_what_the_map_does(backend: TestedBackend) {
    let mut runner = TestRunner::default();
    let ops = proptest::collection::vec(op(), 1..40);
    for case in 0..backend.cases() {
        // A file is one database: of it each case has a new one.
        let backend = match &backend {
            TestedBackend::Embedded(_) => &TestedBackend::Embedded(Default::default()),
            server => server,
        };
        let store = backend.open(&format!("case_{case}")).await;
        let (mut model, buckets) = (Model::default(), BUCKETS.map(|text| store.bucket(&name(text))));
        for op in ops.new_tree(&mut runner).unwrap().current() {
            match op {
                Op::Write(steps) => {
                    for step in steps {
                        let transaction = model.transaction(&step);
                        let expected = model.commit(step.bucket, &transaction);
                        assert_eq!(buckets[step.bucket].commit(transaction).await, expected);
                    }
                }
                Op::Get(bucket, keys) => {
                    let found = buckets[bucket].get(keys.clone()).await.unwrap().into_iter();
                    let found: Vec<_> = found.map(|entry| entry.map(|one| (one.value, one.version))).collect();
                    let expected: Vec<_> = keys.iter().map(|key| model.buckets[bucket].get(key).cloned()).collect();
                    assert_eq!(found, expected);
                }
                Op::Scan(bucket, prefix, limit) => {
                    let (bucket, expected) = (&buckets[bucket], &model.buckets[bucket]);
                    let page = async |after| bucket.scan(prefix.clone(), after, limit).await.unwrap();
                    let found = all(limit, page).await.into_iter();
                    let found: Vec<_> = found.map(|one| (one.key, (one.value.value, one.value.version))).collect();
                    let expected: Vec<_> =
                        expected.clone().into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
                    let page = async |after| bucket.keys(prefix.clone(), after, limit).await.unwrap();
                    let keys: Vec<_> = expected.iter().map(|(key, _)| key.clone()).collect();
                    assert_eq!(all(limit, page).await, keys);
                    assert_eq!(found, expected);
                }
            }
        }
        closed(store).await;
    }
}

/// Adds 1 to `n` with a read and a check, and to `sum` without.
async fn count(bucket: &Bucket) -> Result<u64, StateError> {
    let found = bucket.get(vec!["n".into()]).await?.remove(0);
    let (number, version) =
        found.map_or((0, 0), |found| (String::from_utf8(found.value).unwrap().parse().unwrap(), found.version));
    let next: u64 = number + 1;
    let writes = vec![put("n", &next.to_string()), ("sum".into(), Change::Add(1))];
    let checks = vec![("n".into(), version)];
    Ok(bucket.commit(Transaction { checks, writes, beside: Vec::new() }).await?.version)
}

async fn checks_and_additions_lose_nothing(backend: TestedBackend) {
    const TASKS: usize = 8;
    const EACH: usize = 10;
    let store = backend.open("counts").await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let bucket = store.bucket(&name("users"));
            tokio::spawn(async move {
                let mut versions = Vec::new();
                while versions.len() < EACH {
                    match count(&bucket).await {
                        Ok(version) => versions.push(version),
                        Err(StateError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                versions
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for task in tasks {
        versions.extend(task.await.unwrap());
    }
    assert_eq!(versions.len(), TASKS * EACH, "each commit has its own version");
    let bucket = store.bucket(&name("users"));
    let total = Some((TASKS * EACH).to_string().into_bytes());
    assert_eq!((value(&bucket, "n").await, value(&bucket, "sum").await), (total.clone(), total));
    closed(store).await;
}

async fn numbers_of_a_sequence_have_no_gap_and_no_copy(backend: TestedBackend) {
    let store = backend.open("sequence").await;
    let bucket = store.bucket(&name("log"));
    let mut appending = tokio::task::JoinSet::new();
    for number in 0..60_u32 {
        let bucket = bucket.clone();
        let append = write(b"events", Change::Append(number.to_be_bytes().to_vec()));
        appending.spawn(async move { bucket.commit(append).await.unwrap().sums[0] });
    }
    let mut numbers: Vec<u64> = appending.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let prefix = sequence_prefix(b"events");
    let entries = all(7, async |after| bucket.scan(prefix.clone(), after, 7).await.unwrap()).await;
    assert_eq!(entries.len(), 60);
    assert!(entries.is_sorted_by_key(|entry| entry.value.version), "in the order of the commits");
    closed(store).await;
}

async fn what_is_beside_is_in_the_same_commit(backend: TestedBackend) {
    let store = backend.open("beside").await;
    let (orders, log) = (store.bucket(&name("orders")), store.bucket(&name("log")));
    let both = |checks: Vec<(Key, u64)>| Transaction {
        checks: vec![],
        writes: vec![put("order", "1")],
        beside: vec![Beside {
            bucket: name("log"),
            checks,
            writes: vec![("events".into(), Change::Append(b"ordered".to_vec())), put("note", "1")],
        }],
    };
    let first = orders.commit(both(vec![("note".into(), 0)])).await.unwrap();
    assert_eq!(first.sums, [1]);
    let refused = orders.commit(both(vec![("note".into(), 0)])).await;
    assert_eq!(refused, Err(StateError::ConflictBeside { key: "note".into(), version: first.version }));
    assert_eq!(value(&log, "events").await, Some("1".into()));
    assert_eq!(orders.commit(both(vec![("note".into(), first.version)])).await.unwrap().sums, [2]);
    closed(store).await;
}

async fn keys_values_and_pages_have_their_bounds(backend: TestedBackend) {
    let store = backend.open("bounds").await;
    let bucket = store.bucket(&name("users"));
    let longest = vec![0xFF; limit::KEY];
    bucket.commit(write(&longest, Change::Put(vec![7; limit::VALUE]))).await.unwrap();
    let found = bucket.get(vec![longest.clone()]).await.unwrap().remove(0).unwrap();
    assert_eq!(found.value, vec![7; limit::VALUE]);
    assert_eq!(bucket.keys(vec![0xFF; 3], None, 10).await.unwrap().items, [longest]);
    for n in 0..5 {
        bucket.commit(write(&[n], Change::Put(vec![n; limit::VALUE]))).await.unwrap();
    }
    let many = bucket.get((0..5).map(|n| vec![n]).collect()).await;
    assert!(matches!(many, Err(StateError::TooLarge { .. })), "{:?}", many.map(|found| found.len()));
    let four = bucket.get((0..4).map(|n| vec![n]).collect()).await.unwrap();
    assert!(four.iter().zip(0..).all(|(found, n)| found.as_ref().unwrap().value == vec![n; limit::VALUE]));
    // A value that is larger than a page gets a page of its own.
    let page = bucket.scan(Vec::new(), None, 1000).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, Some(vec![0])));
    let page = bucket.scan(Vec::new(), Some(vec![4]), 1000).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    let writes = (0..limit::KEYS).map(|n| put(&format!("many/{n:06}"), "x")).collect();
    let checks = (0..limit::KEYS).map(|n| (format!("many/{n:06}").into_bytes(), 0)).collect();
    bucket.commit(Transaction { checks, writes, beside: Vec::new() }).await.unwrap();
    let page = bucket.scan(b"many/".to_vec(), None, usize::MAX).await.unwrap();
    assert_eq!((page.items.len(), page.next), (limit::PAGE, None));
    let page = bucket.scan(b"many/".to_vec(), None, 999).await.unwrap();
    assert_eq!((page.items.len(), page.next), (999, Some(b"many/000998".to_vec())));
    closed(store).await;
}

async fn a_commit_that_is_given_up_is_whole_or_absent(backend: TestedBackend) {
    let store = backend.open("given_up").await;
    let bucket = store.bucket(&name("users"));
    for round in 0..40 {
        let keys: Vec<_> = ["a", "b"].map(|key| format!("{key}{round}")).to_vec();
        let both = Transaction { writes: keys.iter().map(|key| put(key, "1")).collect(), ..Transaction::default() };
        let mut commit = Box::pin(bucket.commit(both));
        // Polled some times, and dropped: by then it waits, is being written, or is written.
        for _ in 0..round % 4 {
            if poll_once(commit.as_mut()).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        let mut read = Box::pin(bucket.scan(Vec::new(), None, 10));
        poll_once(read.as_mut()).await;
    }
    // Behind all of them in the queue.
    bucket.commit(puts(&[("last", "1")])).await.unwrap();
    for round in 0..40 {
        let found = bucket.get(vec![format!("a{round}").into(), format!("b{round}").into()]).await.unwrap();
        assert_eq!(found[0].is_some(), found[1].is_some(), "round {round}");
    }
    if let TestedBackend::Server(server) = &backend {
        server.has_nothing_left_open().await;
    }
    closed(store).await;
}

async fn what_is_frozen_stays_and_what_goes_out_comes_in_again(backend: TestedBackend) {
    let store = backend.open("frozen").await;
    let (from, to) = (store.bucket(&name("from")), store.bucket(&name("to")));
    let writes = (0..700_u32).map(|n| (n.to_be_bytes().to_vec(), Change::Put(vec![7; 3000]))).collect();
    from.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    let mut export = BucketExport::begin(&from, ValueForm::Plain).await.unwrap();
    from.commit(write(&7_u32.to_be_bytes(), Change::Delete)).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        text.extend_from_slice(&piece);
    }
    assert_eq!(export.entries(), 700, "as they were at the beginning");
    drop(export);
    let mut reader = BucketReader::new(text.as_slice()).unwrap();
    let (import, mut counts) = (BucketImport::new(to.clone(), false), ImportCounts::default());
    loop {
        let batch = reader.batch().unwrap();
        if batch.is_empty() {
            break;
        }
        counts.written += import.apply(&batch).await.unwrap().written;
    }
    assert_eq!(counts.written, 700);
    assert!(value(&from, "\0\0\0\u{7}").await.is_none() && value(&to, "\0\0\0\u{7}").await.is_some());
    if let TestedBackend::Server(server) = &backend {
        server.has_nothing_left_open().await;
    }
    closed(store).await;
}

async fn data_are_erased_and_versions_go_on(backend: TestedBackend) {
    let store = backend.open("erased").await;
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    users.commit(puts(&[("a", "1"), ("b", "1")])).await.unwrap();
    for part in 0..3 {
        let writes = (0..limit::KEYS).map(|n| put(&format!("{part}/{n}"), "1")).collect();
        users.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    }
    let version = orders.commit(puts(&[("a", "2")])).await.unwrap().version;
    assert_eq!(store.erase(&name("users")).await, Ok(true));
    assert!(users.scan(Vec::new(), None, 10).await.unwrap().items.is_empty());
    assert_eq!(value(&orders, "a").await, Some("2".into()), "nobody else's");
    assert_eq!(store.erase(&name("users")).await, Ok(false), "there is nothing any more");
    assert!(users.commit(puts(&[("a", "3")])).await.unwrap().version > version);
    closed(store).await;
}

async fn what_is_acknowledged_is_there_after_a_new_start(backend: TestedBackend) {
    let store = backend.open("again").await;
    let version = store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap().version;
    let late = store.bucket(&name("users"));
    closed(store.clone()).await;
    assert_eq!(late.commit(puts(&[("b", "1")])).await, Err(StateError::Closed));
    assert_eq!(late.get(vec!["a".into()]).await, Err(StateError::Closed));
    closed(store).await;
    let store = backend.open("again").await;
    let found = store.bucket(&name("users")).get(vec!["a".into(), "b".into()]).await.unwrap();
    assert_eq!(found[0].as_ref().map(|found| (found.value.as_slice(), found.version)), Some((&b"1"[..], version)));
    assert_eq!(found[1], None);
    closed(store).await;
}
