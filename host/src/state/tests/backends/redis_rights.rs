//! What a user of Redis needs, and what becomes of a commit that its user may not write whole.

use super::super::{name, put, puts};
use super::outages::closed;
use super::redis_server::RedisServer;
use crate::state::{BackendPassword, BucketExport, Settings, StateError, Store, Transaction, ValueForm};
use std::path::Path;

/// The rights that the docs name, for the data `namespace`.
fn documented(namespace: &str) -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state-backends.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, line) = docs.split_once("ACL SETUSER atoll").unwrap();
    let words = line.split_once("```").unwrap().0.split_whitespace();
    let rights = words.filter(|word| word.starts_with(['+', '~', '-']));
    rights.map(|right| right.replace("NAMESPACE", namespace)).collect()
}

/// Settings of a user that has just these.
async fn user_with(server: &RedisServer, namespace: &str, rights: &[String]) -> Settings {
    let rights = rights.iter().map(String::as_str);
    let user: Vec<_> = ["ACL", "SETUSER", "shop", "reset", "on", ">pw"].into_iter().chain(rights).collect();
    assert_eq!(server.ask(&user).await, "+OK\r\n");
    let mut settings = server.settings(namespace);
    let remote = settings.remote.as_mut().unwrap();
    remote.user = "shop".into();
    remote.password = Some(BackendPassword::new("pw".into()));
    settings
}

/// What the server answers to that user.
async fn as_shop(server: &RedisServer, command: &[&str]) -> String {
    server.try_ask_as(&["AUTH", "shop", "pw"], command).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_docs_name_suffice_and_reach_no_further() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let rights = documented("acl");
    let settings = user_with(&server, "acl", &rights).await;
    let store = Store::connect(&settings).await.unwrap();
    let mut export = BucketExport::begin(&store.bucket(&name("users")), ValueForm::Plain).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    while export.next().await.unwrap().is_some() {}
    assert_eq!(store.erase(&name("users")).await, Ok(true));
    closed(store).await;
    let mut shared = settings.clone();
    shared.remote.as_mut().unwrap().shared = true;
    closed(Store::connect(&shared).await.unwrap()).await;
    for forbidden in [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["SWAPDB", "0", "1"],
        &["SCRIPT", "FLUSH"],
        &["CLIENT", "KILL", "ID", "1"],
        &["CLIENT", "PAUSE", "1"],
        &["CONFIG", "SET", "appendfsync", "no"],
        &["SHUTDOWN"],
        &["KEYS", "*"],
        &["SET", "other:lock", "x"],
        &["EVAL", "return redis.call('GET', 'other:lock')", "0"],
    ] {
        let answer = as_shop(&server, forbidden).await;
        let refused =
            answer.starts_with("-NOPERM") || answer.contains("ACL failure") || answer.contains("can't access");
        assert!(refused, "{forbidden:?}: {answer}");
    }
    let elsewhere = user_with(&server, "other", &rights).await;
    let refused = Store::connect(&elsewhere).await.unwrap_err();
    assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_lacks_a_right_is_refused_with_its_name() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let rights = documented("acl");
    for right in &rights {
        // Only for a database other than the first, and to name the connection.
        if ["+select", "+client|setname", "-@all"].contains(&right.as_str()) || right.starts_with('~') {
            continue;
        }
        let fewer: Vec<_> = rights.iter().filter(|one| *one != right).cloned().collect();
        let settings = user_with(&server, "acl", &fewer).await;
        let refused = Store::connect(&settings).await.map(drop);
        // A script that is known needs no other one.
        let Err(refused) = refused else { panic!("{right} is not needed") };
        assert!(matches!(refused, StateError::Unfit { .. }), "{right}: {refused:?}");
        let named = right.trim_start_matches('+').to_owned();
        assert!(refused.to_string().to_lowercase().contains(&named), "{right}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_cannot_be_written_whole_is_not_written_at_all() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let settings = user_with(&server, "acl", &documented("acl")).await;
    let store = Store::connect(&settings).await.unwrap();
    let bucket = store.bucket(&name("users"));
    let version = bucket.commit(puts(&[("a", "1")])).await.unwrap().version;
    let half = || Transaction {
        writes: vec![put("b", "1"), ("a".into(), crate::state::Change::Delete)],
        ..Transaction::default()
    };
    let whole = async || {
        let found = bucket.get(vec!["a".into(), "b".into()]).await.unwrap();
        assert_eq!(found[0].as_ref().map(|found| found.version), Some(version));
        assert_eq!(found[1], None);
        assert_eq!(bucket.scan(Vec::new(), None, 10).await.unwrap().items.len(), 1);
        let meta = server.ask(&["HGET", "acl:meta", "version"]).await;
        assert!(meta.ends_with(&format!("\r\n{version}\r\n")), "{meta}");
    };
    for right in ["zrem", "hdel", "set", "zrange"] {
        server.ask(&["ACL", "SETUSER", "shop", &format!("-{right}")]).await;
        let refused = bucket.commit(half()).await.unwrap_err();
        assert!(matches!(refused, StateError::Unfit { .. } | StateError::Unavailable { .. }), "{refused:?}");
        assert!(refused.to_string().to_lowercase().contains(right), "{right}: {refused}");
        server.ask(&["ACL", "SETUSER", "shop", &format!("+{right}")]).await;
        whole().await;
    }
    // Something foreign in the place of a bucket's keys.
    server.ask(&["SET", "acl:keys:orders", "x"]).await;
    let orders = store.bucket(&name("orders"));
    let refused = orders.commit(puts(&[("a", "1")])).await.unwrap_err();
    assert!(refused.to_string().contains("acl:keys:orders"), "{refused}");
    let unread = orders.get(vec!["a".into()]).await.unwrap_err();
    assert!(matches!(unread, StateError::Damaged { .. }), "{unread:?}");
    whole().await;
    bucket.commit(half()).await.unwrap();
    closed(store).await;
}
