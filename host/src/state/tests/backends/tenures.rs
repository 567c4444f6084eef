//! What becomes of a host whose session has ended: it goes on if nobody else had the data, and writes nothing more if
//! somebody had. What it remembers of the data is of an earlier time then.

use super::super::{name, puts};
use super::outages::{closed, eventually};
use super::postgres_server::{PostgresServer, TIMEOUT};
use crate::state::{Settings, StateError, Store};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_postgres::Client;

/// Ends the sessions that hold a lock on data: those that write.
const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted";

/// A second store over the data that another one has: it gets them as the server ends that one's session, which may
/// have them back before. Then it is tried again.
async fn taken_over(client: &Client, settings: &Settings) -> Store {
    let until = Instant::now() + TIMEOUT;
    loop {
        client.query_one(END, &[]).await.unwrap();
        if let Ok(Ok(store)) = timeout(Duration::from_secs(2), Store::connect(settings)).await {
            return store;
        }
        assert!(Instant::now() < until, "the data are free for a moment");
    }
}

async fn put(store: &Store, value: &str) -> Result<(), StateError> {
    store.bucket(&name("users")).commit(puts(&[("a", value)])).await.map(drop)
}

async fn value(store: &Store) -> Vec<u8> {
    store.bucket(&name("users")).get(vec!["a".into()]).await.unwrap().remove(0).unwrap().value
}

/// Whether it learns by itself, without a commit, that it has lost its data; and says so from then on.
async fn is_superseded(store: &Store, says: &str) {
    let error = timeout(TIMEOUT, store.superseded()).await.expect("it notices");
    assert!(matches!(error, StateError::Superseded { .. }) && error.to_string().contains(says), "{error}");
    assert_eq!(store.is_superseded(), Some(error.clone()));
    assert_eq!(put(store, "too late").await, Err(error));
    assert!(!store.takes_writes() && !store.metrics().is_away(), "`/readyz` says that it takes no writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_data_another_one_has_taken_writes_nothing_more() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let (client, settings) = (server.client().await, server.settings("taken"));
    let first = Store::connect(&settings).await.unwrap();
    put(&first, "1").await.unwrap();
    let second = taken_over(&client, &settings).await;
    let refused = put(&first, "2").await;
    assert!(matches!(refused, Err(StateError::Taken { .. })), "{refused:?}");
    assert!(!first.takes_writes() && !first.metrics().is_away(), "`/readyz` says that it takes no writes");
    put(&second, "3").await.unwrap();
    closed(second).await;
    is_superseded(&first, "another host has had the data").await;
    assert_eq!(value(&first).await, b"3", "what it reads is never old");
    // It does not have the lock either.
    let third = Store::connect(&settings).await.unwrap();
    put(&third, "4").await.unwrap();
    assert_eq!(value(&third).await, b"4");
    closed(third).await;
    closed(first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_host_is_superseded_by_one_that_came_and_went_also_if_that_one_shared() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let client = server.client().await;
    for shared in [false, true] {
        let settings = server.settings(if shared { "sharing" } else { "alone" });
        let first = Store::connect(&settings).await.unwrap();
        put(&first, "1").await.unwrap();
        let mut others = settings.clone();
        others.remote.as_mut().unwrap().shared = shared;
        let second = taken_over(&client, &others).await;
        put(&second, "2").await.unwrap();
        closed(second).await;
        is_superseded(&first, "another host has had the data").await;
        assert_eq!(value(&first).await, b"2", "nothing is written over");
        closed(first).await;
    }
}

/// Hosts that share remember nothing, so whoever comes between does them no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_share_write_on_after_their_sessions_have_ended() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let (client, mut settings) = (server.client().await, server.settings("shared"));
    settings.remote.as_mut().unwrap().shared = true;
    let (first, second) = (Store::connect(&settings).await.unwrap(), Store::connect(&settings).await.unwrap());
    client.query_one(END, &[]).await.unwrap();
    for store in [&first, &second] {
        eventually("it writes again", async || put(store, "1").await.is_ok()).await;
    }
    assert_eq!((first.is_superseded(), second.is_superseded()), (None, None));
    closed(first).await;
    closed(second).await;
}

/// As a server that was restored from a copy, or a standby that took over before it had got all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_data_have_gone_back_writes_nothing_more() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let (client, store) = (server.client().await, Store::connect(&server.settings("back")).await.unwrap());
    put(&store, "1").await.unwrap();
    client.batch_execute("UPDATE back.meta SET version = version - 1").await.unwrap();
    is_superseded(&store, "older than what this host was told").await;
    closed(store).await;
}

/// Of several servers the one that reads are sent to must be the one that takes the writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_read_are_opened_anew_when_the_one_that_writes_is() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let (client, store) = (server.client().await, Store::connect(&server.settings("epochs")).await.unwrap());
    put(&store, "1").await.unwrap();
    assert_eq!(value(&store).await, b"1");
    let sessions = async || {
        let ask = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        client.query(ask, &[]).await.unwrap().iter().map(|row| row.get(0)).collect::<Vec<i32>>()
    };
    let before = sessions().await;
    assert!(before.len() >= 2, "one writes, another one reads: {before:?}");
    client.query_one(END, &[]).await.unwrap();
    eventually("no session of before is left", async || {
        assert_eq!(value(&store).await, b"1");
        sessions().await.iter().all(|pid| !before.contains(pid))
    })
    .await;
    closed(store).await;
}
