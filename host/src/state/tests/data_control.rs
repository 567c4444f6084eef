//! The data of one service are erased, and the operator's key is replaced, beside reads and writes and under a loss of
//! power.

use super::{name, put, puts, sim_disk::SimDisk};
use crate::state::embedded::database::Database;
use crate::state::embedded::engine::Embedded;
use crate::state::{Encryption, Settings, StateError, StateKey, Store, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

fn key(seed: u8) -> StateKey {
    StateKey::new([seed; StateKey::LENGTH])
}

/// What replaces the key before with this one.
fn in_place_of(previous: u8, seed: u8) -> Encryption {
    Encryption { key: key(seed), previous: Some(key(previous)) }
}

fn open(disk: &SimDisk, seed: Option<u8>, previous: Option<u8>) -> Result<Store, StateError> {
    let encryption = seed.map(|seed| Encryption { key: key(seed), previous: previous.map(key) });
    let own = disk.clone();
    let source = Box::new(move || Ok(Box::new(own.clone()) as Box<dyn redb::StorageBackend>));
    let database = Database::open(Path::new("sim"), 256 << 10, encryption, source)?;
    Ok(Store::new(Arc::new(Embedded::start(database, &Settings::default())?)))
}

async fn value(store: &Store, service: &str, key: &str) -> Result<Option<String>, StateError> {
    let found = store.bucket(&name(service)).get(vec![key.into()]).await?;
    Ok(found[0].as_ref().map(|found| String::from_utf8_lossy(&found.value).into_owned()))
}

async fn fill(store: &Store) {
    for service in ["users", "orders", "products"] {
        let writes = (0..20).map(|at| put(&format!("{at}"), service)).collect();
        store.bucket(&name(service)).commit(Transaction { writes, ..Transaction::default() }).await.expect("written");
    }
}

async fn check(store: &Store, when: &str) {
    for service in ["users", "orders", "products"] {
        for at in [0, 19] {
            let found = value(store, service, &at.to_string()).await;
            assert_eq!(found, Ok(Some(service.to_owned())), "{service} {at}: {when}");
        }
    }
}

#[tokio::test]
async fn a_loss_of_power_while_the_key_is_replaced_loses_nothing() {
    let full = SimDisk::default();
    let store = open(&full, Some(1), None).expect("a new database");
    fill(&store).await;
    store.close();
    let image = full.image_after_power_loss(0);
    let (mut before, mut after) = (0, 0);
    for moment in 0..100_u64 {
        let disk = SimDisk::holding(image.clone());
        let store = open(&disk, Some(1), None).expect("the key before");
        disk.cut_power_after(moment);
        let replaced = store.replace_key(in_place_of(1, 2)).await;
        store.close();
        let left = disk.image_after_power_loss(moment);
        // As the manifest says it from the order on: the new key, and the one before it.
        let disk = SimDisk::holding(left.clone());
        let store = open(&disk, Some(2), Some(1)).expect("either key");
        check(&store, &format!("at moment {moment}")).await;
        store.close();
        // Without the key before it, the new one opens exactly what has it.
        let has_new = open(&SimDisk::holding(left), Some(2), None).is_ok();
        assert!(has_new || replaced.is_err(), "what was acknowledged is on disk");
        before += u32::from(!has_new);
        after += u32::from(has_new);
    }
    assert!(before > 0 && after > 0, "the moments lie on both sides: {before} and {after}");
}

#[test]
fn a_read_that_is_held_up_while_keys_are_replaced_reads_with_the_last() {
    for replaced in 0..4 {
        let disk = SimDisk::default();
        let source = Box::new(move || Ok(Box::new(disk.clone()) as Box<dyn redb::StorageBackend>));
        let encryption = Encryption { key: key(0), previous: None };
        let database = Database::open(Path::new("sim"), 256 << 10, Some(encryption), source).expect("a new database");
        let written = database.write(&[(name("users"), puts(&[("a", "1")]))]).expect("a batch");
        assert!(written[0].is_ok());
        let replace = || {
            for seed in 1..=replaced {
                assert_eq!(database.replace_key(&in_place_of(seed - 1, seed)), Ok(true));
            }
        };
        let found = database.get_after(&name("users"), &["a".into()], replace);
        assert_eq!(found.map(|found| found[0].clone().map(|value| value.value)), Ok(Some(b"1".to_vec())), "{replaced}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_and_writers_notice_nothing_of_a_new_key() {
    let disk = SimDisk::default();
    let store = open(&disk, Some(0), None).expect("a new database");
    fill(&store).await;
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (store, over) = (store.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut writes = 0_u32;
                while !over.load(SeqCst) {
                    let users = store.bucket(&name("users"));
                    users.commit(puts(&[(&format!("c{client}"), &writes.to_string())])).await.expect("written");
                    // A page is read from the database, past the cache.
                    let page = users.scan(format!("c{client}").into(), None, 10).await.expect("read");
                    assert_eq!(page.items[0].value.value, writes.to_string().into_bytes());
                    writes += 1;
                }
                writes
            })
        })
        .collect();
    for seed in 1..=30 {
        assert_eq!(store.replace_key(in_place_of(seed - 1, seed)).await, Ok(true), "{seed}");
        assert_eq!(store.replace_key(in_place_of(seed - 1, seed)).await, Ok(false), "it is the key already");
    }
    over.store(true, SeqCst);
    for client in clients {
        assert!(client.await.expect("no client has failed") > 0);
    }
    check(&store, "after thirty keys").await;
    store.close();
    let image = disk.image_after_power_loss(0);
    assert!(open(&SimDisk::holding(image.clone()), Some(29), None).is_err(), "the key before opens nothing");
    check(&open(&SimDisk::holding(image), Some(30), None).expect("the last key"), "by the last key").await;
}

#[tokio::test]
async fn the_data_of_one_service_are_erased_with_their_key() {
    for seed in [None, Some(1)] {
        let disk = SimDisk::default();
        let store = open(&disk, seed, None).expect("a new database");
        fill(&store).await;
        let version = store.bucket(&name("users")).commit(puts(&[("x", "1")])).await.expect("written").version;
        check(&store, "before").await;
        assert_eq!(store.erase(&name("users")).await, Ok(true));
        // From memory, from the database, and as a page.
        assert_eq!(value(&store, "users", "0").await, Ok(None));
        assert_eq!(value(&store, "users", "19").await, Ok(None));
        assert!(store.bucket(&name("users")).scan(Vec::new(), None, 10).await.expect("read").items.is_empty());
        assert_eq!(value(&store, "orders", "0").await, Ok(Some("orders".into())), "nobody else's");
        assert_eq!(store.erase(&name("users")).await, Ok(false), "there is nothing any more");
        let again = store.bucket(&name("users")).commit(puts(&[("0", "new")])).await.expect("written");
        assert!(again.version > version, "a version that somebody has seen is not given again");
        store.close();
        let store = open(&SimDisk::holding(disk.image_after_power_loss(0)), seed, None).expect("the same key");
        assert_eq!(value(&store, "users", "0").await, Ok(Some("new".into())));
        assert_eq!(value(&store, "users", "19").await, Ok(None));
    }
}

#[tokio::test]
async fn a_plain_database_has_no_key_to_replace() {
    let store = open(&SimDisk::default(), None, None).expect("a new database");
    assert_eq!(store.replace_key(in_place_of(0, 1)).await, Err(StateError::NotEncrypted { path: "sim".into() }));
}

#[tokio::test]
async fn a_key_is_not_replaced_by_what_might_not_open_the_database_after_a_crash() {
    let disk = SimDisk::default();
    let store = open(&disk, Some(1), None).expect("a new database");
    fill(&store).await;
    for previous in [None, Some(key(3))] {
        let refused = store.replace_key(Encryption { key: key(2), previous }).await;
        assert_eq!(refused, Err(StateError::NotPrevious { path: "sim".into() }));
    }
    // It is the key already, whatever was before.
    assert_eq!(store.replace_key(Encryption { key: key(1), previous: None }).await, Ok(false));
    check(&store, "after a refusal").await;
    store.close();
    assert!(open(&SimDisk::holding(disk.image_after_power_loss(0)), Some(1), None).is_ok());
}
