//! What the scripts of Redis do, and do not, when others write between their steps, or come too late.

use super::super::{name, put, puts};
use super::outages::{closed, eventually};
use super::redis_server::RedisServer;
use super::severing_proxy::{Cut, SeveringProxy};
use crate::state::redis::{ERASE, FREEZE, SETTLE, THAW, WRITE};
use crate::state::{StateError, Store, Transaction};

/// One batch that puts a key, as the script takes it. The version is below 128.
async fn script_puts(server: &RedisServer, (number, token): (&str, &str), version: u8, key: &str) -> String {
    let value = format!("\0\0\0\0\0\0\0{}v", char::from(version));
    let version = version.to_string();
    server.run(&WRITE, &["e:", "A", "A", number, token, &version, "10000", "p", "u", key, &value]).await
}

/// One part of an erasure of what has the version 1.
async fn script_erases(server: &RedisServer, number: &str, from: &str) -> String {
    server.run(&ERASE, &["e:", "A", "A", number, "10000", "u", "1", from, "1"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_between_two_parts_of_an_erasure_stays() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    // A snapshot lives during the first part, and ends.
    server.ask(&["HSET", "e:meta", "holder", "A", "version", "0", "token", ""]).await;
    assert_eq!(script_puts(&server, ("2", ""), 1, "a").await, "ok 0 ");
    server.run(&FREEZE, &["e:", "snapshot", "60000"]).await;
    assert_eq!(script_erases(&server, "4", "-").await, "ok 1 a 2");
    assert_eq!(script_puts(&server, ("6", "A/4"), 3, "k").await, "ok 0 ");
    server.run(&THAW, &["e:", "snapshot"]).await;
    assert_eq!(script_erases(&server, "8", "(a").await, "ok 0 k 3");
    assert_eq!(server.ask(&["HEXISTS", "e:values:u", "k"]).await, ":1\r\n");
    assert_eq!(server.ask(&["ZSCORE", "e:keys:u", "k"]).await, "$1\r\n0\r\n");
    // The answer to a part that erased all is lost, and it is repeated.
    server.ask(&["FLUSHALL"]).await;
    server.ask(&["HSET", "e:meta", "holder", "A", "version", "0", "token", ""]).await;
    assert_eq!(script_puts(&server, ("2", ""), 1, "a").await, "ok 0 ");
    assert_eq!(script_erases(&server, "4", "-").await, "ok 1  2");
    assert_eq!(script_puts(&server, ("6", "A/4"), 3, "k").await, "ok 0 ");
    assert_eq!(script_erases(&server, "8", "-").await, "ok 0 k 3");
    assert_eq!(server.ask(&["HEXISTS", "e:values:u", "k"]).await, ":1\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_after_an_erasure_whose_answer_was_lost_stays() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let proxy = SeveringProxy::before(server.port(), ERASE.digest().as_bytes().to_vec()).await;
    let store = Store::connect(&server.settings_at(proxy.port(), "repeated")).await.unwrap();
    let bucket = store.bucket(&name("users"));
    store.erase(&name("users")).await.unwrap();
    for _ in 0..5 {
        bucket.commit(puts(&[("old", "1")])).await.unwrap();
        proxy.cut_next(Cut::Answer);
        let erasing = {
            let store = store.clone();
            tokio::spawn(async move { store.erase(&name("users")).await })
        };
        while !proxy.has_cut() {
            tokio::task::yield_now().await;
        }
        // What is asked of the server now comes after what it was asked before.
        eventually("it is erased", async || server.ask(&["EXISTS", "repeated:keys:users"]).await == ":0\r\n").await;
        bucket.commit(puts(&[("new", "1")])).await.unwrap();
        assert_eq!(erasing.await.unwrap(), Ok(true));
        let found = bucket.get(vec!["old".into(), "new".into()]).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
        store.erase(&name("users")).await.unwrap();
    }
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_given_up_is_not_written_when_the_server_gets_it_later() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    for erases in [false, true] {
        let namespace = if erases { "late_erase" } else { "late_write" };
        let script = if erases { &ERASE } else { &WRITE };
        let mut proxy = SeveringProxy::before(server.port(), script.digest().as_bytes().to_vec()).await;
        let store = Store::connect(&server.settings_at(proxy.port(), namespace)).await.unwrap();
        let bucket = store.bucket(&name("users"));
        // The server knows both scripts from here on.
        bucket.commit(puts(&[("a", "1")])).await.unwrap();
        store.erase(&name("others")).await.unwrap();
        proxy.cut_next(Cut::Delay);
        let given_up = if erases {
            store.erase(&name("users")).await.map(drop)
        } else {
            let transaction = Transaction { writes: vec![put("b", "1")], ..Transaction::default() };
            bucket.commit(transaction).await.map(drop)
        };
        assert!(matches!(given_up, Err(StateError::Unavailable { .. })), "{given_up:?}");
        let answer = proxy.deliver().await;
        assert!(answer.contains("late"), "{answer}");
        let found = bucket.get(vec!["a".into(), "b".into()]).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
        bucket.commit(puts(&[("c", "1")])).await.unwrap();
        closed(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_question_about_a_batch_leaves_the_number_of_a_later_one() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let settle = async |number, after| server.run(&SETTLE, &["e:", "A", number, after]).await;
    server.ask(&["HSET", "e:meta", "holder", "A", "version", "0", "token", ""]).await;
    assert_eq!(settle("2", "3").await, "lost", "nothing is noted yet");
    assert_eq!(settle("2", "3").await, "lost", "it is asked again");
    assert_eq!(script_puts(&server, ("4", ""), 1, "a").await, "ok 0 ");
    // The server was paused, and the question about the batch before was given up.
    assert_eq!(settle("2", "3").await, "late");
    assert_eq!(settle("4", "5").await, "written", "its answer was lost, too");
    assert_eq!(settle("6", "7").await, "lost");
    assert_eq!(script_puts(&server, ("6", "A/4"), 2, "b").await, "late");
}
