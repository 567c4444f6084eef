//! Many writers at once: no commit is lost, commits share syncs, services are kept apart.

use super::{name, open_on, put, puts, sim_disk::SimDisk};
use crate::state::{Bucket, Change, Embedded, Settings, StateError, Store, Transaction};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

pub(super) fn store_on(disk: &SimDisk, settings: &Settings) -> Store {
    Store::new(Arc::new(Embedded::start(open_on(disk).unwrap(), settings).unwrap()))
}

/// Polls each future once, so that all of them wait.
async fn begin<F: Future + Unpin>(futures: &mut [F]) {
    poll_fn(|context| {
        for future in futures.iter_mut() {
            assert!(Pin::new(future).poll(context).is_pending());
        }
        Poll::Ready(())
    })
    .await;
}

async fn value(bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
    bucket.get(vec![key.into()]).await.unwrap().remove(0).map(|found| found.value)
}

/// Adds to the counter `n`.
async fn add(bucket: &Bucket, delta: u64) -> Result<u64, StateError> {
    let add = Transaction { writes: vec![("n".into(), Change::Add(delta))], ..Transaction::default() };
    Ok(bucket.commit(add).await?.sums[0])
}

#[tokio::test]
async fn commits_that_wait_together_share_a_sync() {
    let disk = SimDisk::default();
    let store = store_on(&disk, &Settings::default());
    let bucket = store.bucket(&name("users"));
    bucket.commit(puts(&[("warm", "up")])).await.unwrap();
    let one = {
        let before = disk.syncs();
        bucket.commit(puts(&[("a", "1")])).await.unwrap();
        disk.syncs() - before
    };

    let before = disk.syncs();
    disk.shut_gate();
    let mut first = [Box::pin(bucket.commit(puts(&[("first", "1")])))];
    begin(&mut first).await;
    disk.wait_for_sync();
    let keys: Vec<String> = (0..64).map(|n| format!("key-{n}")).collect();
    let mut waiting: Vec<_> = keys.iter().map(|key| Box::pin(bucket.commit(puts(&[(key, "1")])))).collect();
    begin(&mut waiting).await;
    disk.open_gate();
    for commit in first.into_iter().chain(waiting) {
        commit.await.unwrap();
    }
    assert_eq!(disk.syncs() - before, 2 * one, "65 commits, of which 64 waited together");
    for key in &keys {
        assert!(value(&bucket, key).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_that_read_check_and_write_a_counter_lose_no_increment() {
    const TASKS: usize = 16;
    const EACH: usize = 20;
    let store = store_on(&SimDisk::default(), &Settings::default());
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let bucket = store.bucket(&name("users"));
            tokio::spawn(async move {
                let mut versions = Vec::new();
                while versions.len() < EACH {
                    let found = bucket.get(vec!["n".into()]).await.unwrap().remove(0);
                    let (number, version) = found
                        .map_or((0, 0), |f| (String::from_utf8(f.value).unwrap().parse::<u64>().unwrap(), f.version));
                    let next = Change::Put((number + 1).to_string().into());
                    let transaction = Transaction {
                        beside: Vec::new(),
                        checks: vec![("n".into(), version)],
                        writes: vec![("n".into(), next)],
                    };
                    match bucket.commit(transaction).await {
                        Ok(committed) => versions.push(committed.version),
                        Err(StateError::Conflict { .. }) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
                versions
            })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.extend(task.await.unwrap());
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), TASKS * EACH, "each commit has its own version");
    let total = value(&store.bucket(&name("users")), "n").await;
    assert_eq!(total, Some((TASKS * EACH).to_string().into()));
}

#[tokio::test]
async fn additions_do_not_conflict_and_share_a_sync() {
    let disk = SimDisk::default();
    let store = store_on(&disk, &Settings::default());
    let bucket = store.bucket(&name("users"));
    assert_eq!(add(&bucket, 5).await, Ok(5));
    disk.shut_gate();
    let mut first = [Box::pin(add(&bucket, 1))];
    begin(&mut first).await;
    disk.wait_for_sync();
    let before = disk.syncs();
    let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(add(&bucket, 1))).collect();
    begin(&mut waiting).await;
    disk.open_gate();
    let mut sums = Vec::new();
    for increment in first.into_iter().chain(waiting) {
        sums.push(increment.await.unwrap());
    }
    assert_eq!(sums, (6..=56).collect::<Vec<_>>());
    assert!(disk.syncs() - before <= 2);
}

#[tokio::test]
async fn a_service_does_not_see_the_data_of_another() {
    let store = store_on(&SimDisk::default(), &Settings::default());
    let (users, user) = (store.bucket(&name("users")), store.bucket(&name("user")));
    users.commit(puts(&[("id", "of users"), ("s/id", "x")])).await.unwrap();
    assert_eq!(value(&user, "id").await, None);
    assert!(user.scan(Vec::new(), None, 10).await.unwrap().items.is_empty());
    user.commit(puts(&[("id", "of user")])).await.unwrap();
    let both =
        Transaction { beside: Vec::new(), checks: vec![("id".into(), 0)], writes: vec![("id".into(), Change::Delete)] };
    assert!(matches!(user.commit(both).await, Err(StateError::Conflict { .. })));
    user.commit(Transaction { beside: Vec::new(), checks: Vec::new(), writes: vec![("id".into(), Change::Delete)] })
        .await
        .unwrap();
    assert_eq!(value(&users, "id").await, Some("of users".into()));
    assert_eq!(users.keys(Vec::new(), None, 10).await.unwrap().items, [b"id".to_vec(), b"s/id".to_vec()]);
}

#[tokio::test]
async fn a_refused_transaction_leaves_nothing_behind() {
    let store = store_on(&SimDisk::default(), &Settings::default());
    let bucket = store.bucket(&name("users"));
    let email = || Transaction {
        beside: Vec::new(),
        checks: vec![("email".into(), 0)],
        writes: vec![put("email", "1"), put("user", "1")],
    };
    bucket.commit(email()).await.unwrap();
    let mut second = email();
    second.writes[1] = put("user/2", "2");
    assert_eq!(bucket.commit(second).await, Err(StateError::Conflict { key: "email".into() }));
    assert_eq!(value(&bucket, "user/2").await, None);
    let add = Transaction {
        beside: Vec::new(),
        checks: Vec::new(),
        writes: vec![put("before", "1"), ("x".into(), Change::Add(1))],
    };
    bucket.commit(puts(&[("x", "no number")])).await.unwrap();
    assert_eq!(bucket.commit(add).await, Err(StateError::NotANumber { key: "x".into() }));
    assert_eq!(value(&bucket, "before").await, None);
}

#[tokio::test]
async fn a_flood_of_one_service_is_refused_and_another_service_is_not() {
    let disk = SimDisk::default();
    let settings = Settings { queue: 8 * 1024 + 100, ..Settings::default() };
    let store = store_on(&disk, &settings);
    let (flood, quiet) = (store.bucket(&name("flood")), store.bucket(&name("quiet")));
    disk.shut_gate();
    let mut first = [Box::pin(flood.commit(puts(&[("a", "1")])))];
    begin(&mut first).await;
    disk.wait_for_sync();
    let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(flood.commit(puts(&[("a", "2")])))).collect();
    begin(&mut waiting).await;
    assert_eq!(flood.commit(puts(&[("a", "3")])).await, Err(StateError::Overloaded));
    let mut neighbour = [Box::pin(quiet.commit(puts(&[("a", "4")])))];
    begin(&mut neighbour).await;
    disk.open_gate();
    for commit in first.into_iter().chain(waiting).chain(neighbour) {
        commit.await.unwrap();
    }
}

#[tokio::test]
async fn closing_finishes_the_commits_that_wait_and_refuses_later_ones() {
    let disk = SimDisk::default();
    let store = store_on(&disk, &Settings::default());
    let bucket = store.bucket(&name("users"));
    disk.shut_gate();
    let mut commits: Vec<_> = ["a", "b", "c"].map(|key| Box::pin(bucket.commit(puts(&[(key, "1")])))).into();
    begin(&mut commits).await;
    disk.wait_for_sync();
    let closing = tokio::task::spawn_blocking({
        let store = store.clone();
        move || store.close()
    });
    disk.open_gate();
    closing.await.unwrap();
    for commit in commits {
        commit.await.unwrap();
    }
    assert_eq!(bucket.commit(puts(&[("d", "1")])).await, Err(StateError::Closed));
    assert_eq!(bucket.get(vec!["a".into()]).await, Err(StateError::Closed));
    store.close();

    let again = store_on(&disk, &Settings::default());
    assert_eq!(again.bucket(&name("users")).keys(Vec::new(), None, 9).await.unwrap().items, [b"a", b"b", b"c"]);
}

#[tokio::test]
async fn a_commit_whose_caller_has_gone_is_not_written() {
    let disk = SimDisk::default();
    let store = store_on(&disk, &Settings::default());
    let bucket = store.bucket(&name("users"));
    disk.shut_gate();
    let mut first = [Box::pin(bucket.commit(puts(&[("a", "1")])))];
    begin(&mut first).await;
    disk.wait_for_sync();
    let mut given_up = vec![Box::pin(bucket.commit(puts(&[("b", "1")])))];
    begin(&mut given_up).await;
    drop(given_up);
    disk.open_gate();
    for commit in first {
        commit.await.unwrap();
    }
    bucket.commit(puts(&[("c", "1")])).await.unwrap();
    assert_eq!(value(&bucket, "b").await, None);
}
