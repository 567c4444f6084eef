//! What becomes of damaged data: it stays known until it is gone, costs nobody else anything, and no export leaves it
//! out without a word.

use super::super::{name, put, puts};
use super::outages::{closed, eventually};
use super::redis_server::RedisServer;
use crate::state::{Beside, BucketExport, StateError, Store, Transaction, ValueForm};
use futures_util::future::join_all;
use std::time::Duration;

/// A commit that depends on these keys of the bucket.
fn checks(keys: &[&str]) -> Transaction {
    let checks = keys.iter().map(|key| ((*key).into(), 1)).collect();
    Transaction { checks, writes: vec![put("new", "1")], beside: Vec::new() }
}

/// For longer than the time between two looks it is known that the data are damaged.
async fn stays_damaged(store: &Store, why: &str) {
    for _ in 0..25 {
        assert!(store.metrics().is_damaged() && store.takes_writes(), "{why}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The rest of an export.
async fn rest(export: &mut BucketExport) -> Result<u64, StateError> {
    while export.next().await?.is_some() {}
    Ok(export.entries())
}

async fn begun(store: &Store, bucket: &str) -> BucketExport {
    BucketExport::begin(&store.bucket(&name(bucket)), ValueForm::Plain).await.unwrap()
}

/// How often the server was asked to do something by a script.
async fn scripts_run(server: &RedisServer) -> u64 {
    let stats = server.ask(&["INFO", "commandstats"]).await;
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    calls.split(',').next().unwrap().parse().unwrap()
}

/// The number of the connection on which the store writes.
async fn writer_connection(server: &RedisServer) -> String {
    let clients = server.ask(&["CLIENT", "LIST"]).await;
    let writer = clients.lines().find(|line| line.contains(" name=atoll:")).unwrap();
    writer.split(' ').find(|word| word.starts_with("id=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_value_that_commits_alone_have_met_stays_known_until_it_is_gone() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    users.commit(puts(&[("a", "1"), ("c", "1"), ("z", "1")])).await.unwrap();
    orders.commit(puts(&[("a", "1")])).await.unwrap();
    // The first keys are whole.
    server.ask(&["HSET", "shop:values:users", "z", "short"]).await;
    let connection = writer_connection(&server).await;
    let met = users.commit(checks(&["c", "z"])).await;
    assert!(matches!(met, Err(StateError::Damaged { .. })), "{met:?}");
    stays_damaged(&store, "by a commit of the bucket").await;
    assert_eq!(store.erase(&name("users")).await, Ok(true));
    eventually("it is whole", async || !store.metrics().is_damaged()).await;
    // A bucket beside.
    users.commit(puts(&[("a", "1"), ("z", "1")])).await.unwrap();
    server.ask(&["HSET", "shop:values:users", "z", "short"]).await;
    let beside = Beside { bucket: name("users"), checks: vec![("z".into(), 1)], writes: Vec::new() };
    let met = orders.commit(Transaction { beside: vec![beside], ..puts(&[("b", "1")]) }).await;
    assert!(matches!(met, Err(StateError::Damaged { .. })), "{met:?}");
    assert!(orders.commit(puts(&[("c", "1")])).await.is_ok(), "it is whole by itself");
    stays_damaged(&store, "by a commit of another bucket").await;
    assert_eq!(writer_connection(&server).await, connection, "nobody waits for another session");
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_stays_damaged_although_another_one_is_mended() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    for bucket in ["users", "orders"] {
        store.bucket(&name(bucket)).commit(puts(&[("a", "1")])).await.unwrap();
        server.ask(&["DEL", &format!("shop:values:{bucket}")]).await;
        let found = store.bucket(&name(bucket)).get(vec!["a".into()]).await;
        assert!(matches!(found, Err(StateError::Damaged { .. })), "{found:?}");
    }
    assert_eq!(store.erase(&name("users")).await, Ok(true));
    stays_damaged(&store, "orders are damaged still").await;
    assert_eq!(store.erase(&name("orders")).await, Ok(true));
    eventually("all is whole", async || !store.metrics().is_damaged()).await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_a_damaged_bucket_cost_the_others_no_commit_of_their_own() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    users.commit(puts(&[("a", "1")])).await.unwrap();
    server.ask(&["DEL", "shop:values:users"]).await;
    let before = scripts_run(&server).await;
    let bad = (0..250).map(|n| users.commit(puts(&[(&format!("u{n}"), "1")])));
    let good = (0..250).map(|n| orders.commit(puts(&[(&format!("o{n}"), "1")])));
    let (bad, good) = tokio::join!(join_all(bad), join_all(good));
    assert!(bad.iter().all(|answer| matches!(answer, Err(StateError::Damaged { .. }))));
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    let run = scripts_run(&server).await - before;
    assert!(run < 100, "{run} questions for 500 commits, the looks at the server included");
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_alone_tells_that_data_are_damaged() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    let mut export = begun(&store, "users").await;
    server.ask(&["DEL", "shop:values:users"]).await;
    assert!(matches!(rest(&mut export).await, Err(StateError::Damaged { .. })));
    stays_damaged(&store, "by the export").await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_damaged_data_never_ends_as_if_it_were_whole() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    let damages: [(&[&str], &str); 4] = [
        (&["HSET", "shop:values:users", "a", ""], ""),
        (&["HSET", "shop:values:users", "a", ""], "write"),
        (&["HSET", "shop:values:users", "a", ""], "erase"),
        (&["HDEL", "shop:values:users", "a"], "erase"),
    ];
    for (damage, then) in damages {
        users.commit(puts(&[("a", "1"), ("b", "1")])).await.unwrap();
        orders.commit(puts(&[("a", "1")])).await.unwrap();
        let (mut export, mut other) = (begun(&store, "users").await, begun(&store, "orders").await);
        server.ask(damage).await;
        match then {
            "write" => drop(users.commit(puts(&[("a", "2")])).await.unwrap()),
            "erase" => assert_eq!(store.erase(&name("users")).await, Ok(true)),
            _ => assert!(matches!(users.get(vec!["a".into()]).await, Err(StateError::Damaged { .. }))),
        }
        let ended = rest(&mut export).await;
        assert!(matches!(ended, Err(StateError::Damaged { .. })), "{damage:?}, {then}: {ended:?}");
        assert_eq!(rest(&mut other).await, Ok(1), "{damage:?}, {then}: the export of another bucket goes on");
        drop((export, other));
        store.erase(&name("users")).await.unwrap();
        assert_eq!(rest(&mut begun(&store, "users").await).await, Ok(0), "what begins now is whole");
    }
    closed(store).await;
}
