//! How a store stands whose server refuses writes, or has damaged data: told from one that is away, and well again by
//! itself once the cause is gone.

use super::super::{name, puts};
use super::outages::{closed, eventually};
use super::over_each_server;
use super::postgres_server::PostgresServer;
use super::redis_server::RedisServer;
use super::tested_server::TestedServer;
use crate::state::{BackendPassword, BucketExport, StateError, Store, ValueForm};
use std::time::Duration;

over_each_server! {
    a_server_that_refuses_writes_is_not_away_and_takes_them_again_without_a_commit
}

/// Whether it can be read, and takes no writes, by the looks at it alone.
async fn refuses_writes_alone(store: &Store) {
    let refuses = async || !store.takes_writes() && !store.metrics().is_away();
    eventually("the store notices", refuses).await;
    let bucket = store.bucket(&name("users"));
    let refused = bucket.commit(puts(&[("a", "2")])).await.unwrap_err();
    let told = matches!(refused, StateError::Unfit { .. } | StateError::Unavailable { .. });
    assert!(told, "{refused:?}");
    assert_eq!(bucket.get(vec!["a".into()]).await.unwrap().remove(0).unwrap().value, b"1");
    // Longer than the time between two looks: none of them forgets it.
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!store.takes_writes() && !store.metrics().is_away());
    }
}

async fn takes_writes_again(store: &Store) {
    eventually("it takes writes again", async || store.takes_writes()).await;
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
}

async fn a_server_that_refuses_writes_is_not_away_and_takes_them_again_without_a_commit(server: TestedServer) {
    let store = Store::connect(&server.settings("refuses")).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    server.refuse_writes(true).await;
    refuses_writes_alone(&store).await;
    server.refuse_writes(false).await;
    takes_writes_again(&store).await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_of_postgres_that_is_taken_away_is_named_and_reads_go_on() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let client = server.client().await;
    client
        .batch_execute("CREATE ROLE shop LOGIN PASSWORD 'pw'; GRANT CREATE ON DATABASE postgres TO shop")
        .await
        .unwrap();
    let mut settings = server.settings("rights");
    let remote = settings.remote.as_mut().unwrap();
    (remote.user, remote.password) = ("shop".into(), Some(BackendPassword::new("pw".into())));
    let store = Store::connect(&settings).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    client.batch_execute("REVOKE INSERT ON rights.entries FROM shop").await.unwrap();
    refuses_writes_alone(&store).await;
    client.batch_execute("GRANT INSERT ON rights.entries TO shop").await.unwrap();
    takes_writes_again(&store).await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_of_redis_that_is_taken_away_is_seen_without_a_commit_and_reads_go_on() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("rights")).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    server.ask(&["ACL", "SETUSER", "default", "-zrem"]).await;
    refuses_writes_alone(&store).await;
    server.ask(&["ACL", "SETUSER", "default", "+zrem"]).await;
    takes_writes_again(&store).await;
    closed(store).await;
}

/// Each read of the bucket `users`, and each commit and export of it, says that this key is damaged; another bucket
/// goes on.
async fn is_damaged(store: &Store, key: &str) {
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    let mut errors = vec![
        users.get(vec!["a".into()]).await.map(drop),
        users.scan(Vec::new(), None, 10).await.map(drop),
        users.commit(puts(&[("b", "1")])).await.map(drop),
    ];
    let exported = async {
        let mut export = BucketExport::begin(&users, ValueForm::Plain).await?;
        while export.next().await?.is_some() {}
        Ok(())
    };
    errors.push(exported.await);
    for error in errors {
        assert!(matches!(error, Err(StateError::Damaged { .. })), "{key}: {error:?}");
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("the data are damaged: ") && text.contains(key), "{key}: {text}");
    }
    assert!(store.metrics().is_damaged() && store.takes_writes(), "{key}");
    orders.commit(puts(&[("a", "1")])).await.unwrap();
    assert!(orders.get(vec!["a".into()]).await.unwrap()[0].is_some());
    // Longer than the time between two looks.
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(store.metrics().is_damaged(), "{key}: it is looked at again, and damaged still");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_redis_that_were_damaged_by_hand_are_named_by_every_read_until_they_are_erased() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("shop")).await.unwrap();
    let users = store.bucket(&name("users"));
    let damages: [(&[&str], &str); 5] = [
        (&["DEL", "shop:values:users"], "shop:values:users has 0 values, and shop:keys:users has 2 keys"),
        (&["DEL", "shop:keys:users"], "shop:values:users has 2 values, and shop:keys:users has 0 keys"),
        (&["SET", "shop:values:users", "x"], "what is at shop:values:users is not of Atoll"),
        (&["SET", "shop:keys:users", "x"], "what is at shop:keys:users is not of Atoll"),
        (&["HSET", "shop:values:users", "a", "short"], "shop:"),
    ];
    for (damage, says) in damages {
        users.commit(puts(&[("a", "1"), ("c", "1")])).await.unwrap();
        server.ask(damage).await;
        if damage[0] == "HSET" {
            assert!(matches!(users.get(vec!["a".into()]).await, Err(StateError::Damaged { .. })));
            assert!(matches!(users.scan(Vec::new(), None, 10).await, Err(StateError::Damaged { .. })));
        } else {
            is_damaged(&store, says).await;
        }
        assert_eq!(store.erase(&name("users")).await, Ok(true), "{says}: that mends it");
        eventually("it is whole", async || !store.metrics().is_damaged()).await;
    }
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_postgres_that_is_gone_is_damage_until_it_is_back() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let (client, store) = (server.client().await, Store::connect(&server.settings("shop")).await.unwrap());
    let users = store.bucket(&name("users"));
    users.commit(puts(&[("a", "1")])).await.unwrap();
    client.batch_execute("ALTER TABLE shop.entries RENAME TO elsewhere").await.unwrap();
    for error in [
        users.get(vec!["a".into()]).await.map(drop),
        users.scan(Vec::new(), None, 10).await.map(drop),
        users.commit(puts(&[("b", "1")])).await.map(drop),
    ] {
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("the data are damaged: ") && text.contains("shop.entries"), "{text}");
    }
    // Longer than the time between two looks.
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let metrics = store.metrics();
        assert!(metrics.is_damaged() && !metrics.is_away() && store.takes_writes(), "it is no outage");
    }
    client.batch_execute("ALTER TABLE shop.elsewhere RENAME TO entries").await.unwrap();
    eventually("it is whole", async || !store.metrics().is_degraded()).await;
    assert!(users.get(vec!["a".into()]).await.unwrap()[0].is_some());
    closed(store).await;
}
