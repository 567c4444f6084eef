//! Encrypted values: nothing readable on disk, no key but the right one, no value in another place.

use super::{name, put, puts};
use crate::state::{Change, Encryption, Settings, StateError, StateKey, Store, Transaction};
use redb::{ReadableTable, TableDefinition};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const BUCKET: TableDefinition<&[u8], (u64, &[u8])> = TableDefinition::new("bucket/users");
const SECRET: &str = "the quick brown fox, a text that is found if it is there";

fn key(seed: u8) -> StateKey {
    StateKey::new([seed; StateKey::LENGTH])
}

fn open(path: &Path, key_seed: Option<u8>, previous: Option<u8>) -> Result<Store, StateError> {
    let encryption = key_seed.map(|seed| Encryption { key: key(seed), previous: previous.map(key) });
    Store::open(&Settings { path: path.into(), encryption, ..Settings::default() })
}

async fn read(store: &Store, keys: &[&str]) -> Result<Vec<Option<String>>, StateError> {
    let found = store.bucket(&name("users")).get(keys.iter().map(|key| (*key).into()).collect()).await?;
    Ok(found.into_iter().map(|value| value.map(|value| String::from_utf8_lossy(&value.value).into_owned())).collect())
}

fn is_on_disk(path: &Path, text: &str) -> bool {
    fs::read(path).expect("the file is there").windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn values_are_written_encrypted_and_read_as_they_were() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path, Some(1), None).expect("a new database");
    let users = store.bucket(&name("users"));
    users.commit(puts(&[("a", SECRET), ("b", "")])).await.expect("written");
    let counted = Transaction {
        beside: Vec::new(),
        checks: Vec::new(),
        writes: vec![("n".into(), Change::Add(7)), put("n2", "41")],
    };
    users.commit(counted).await.expect("written");
    store.close();
    assert!(!is_on_disk(&path, SECRET));

    let store = open(&path, Some(1), None).expect("the right key");
    let found = read(&store, &["a", "b", "n", "gone"]).await.expect("read");
    assert_eq!(found, [Some(SECRET.to_owned()), Some(String::new()), Some("7".into()), None]);
    let add = Transaction { beside: Vec::new(), checks: Vec::new(), writes: vec![("n2".into(), Change::Add(1))] };
    assert_eq!(store.bucket(&name("users")).commit(add).await.expect("written").sums, [42]);
    let page = store.bucket(&name("users")).scan(Vec::new(), None, 10).await.expect("a page");
    let page: Vec<_> = page.items.iter().map(|entry| entry.value.value.as_slice()).collect();
    assert_eq!(page, [SECRET.as_bytes(), b"", b"7", b"42"]);
}

#[tokio::test]
async fn only_the_right_key_opens_the_database() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path, Some(1), None).expect("a new database");
    store.bucket(&name("users")).commit(puts(&[("a", SECRET)])).await.expect("written");
    store.close();
    let refused = |key, previous| open(&path, key, previous).map(drop).expect_err("refused");
    assert_eq!(refused(None, None), StateError::NoKey { path: path.clone() });
    assert_eq!(refused(Some(2), None), StateError::WrongKey { path: path.clone() });
    assert_eq!(refused(Some(2), Some(3)), StateError::WrongKey { path: path.clone() });
    // Replaced: the previous key opens it a last time.
    drop(open(&path, Some(2), Some(1)).expect("the previous key is right"));
    assert_eq!(refused(Some(1), None), StateError::WrongKey { path: path.clone() });
    let store = open(&path, Some(2), None).expect("the new key");
    assert_eq!(read(&store, &["a"]).await.expect("read"), [Some(SECRET.to_owned())]);
}

#[tokio::test]
async fn a_plain_database_is_encrypted_when_it_gets_a_key() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path, None, None).expect("a new database");
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    // More than one step of the conversion.
    for at in 0..30 {
        let writes = (0..100).map(|n| put(&format!("{at:02}{n:02}"), SECRET)).collect();
        users.commit(Transaction { beside: Vec::new(), checks: Vec::new(), writes }).await.expect("written");
    }
    let version = orders.commit(puts(&[("a", SECRET)])).await.expect("written").version;
    store.close();
    drop((users, orders, store));
    assert!(is_on_disk(&path, SECRET));

    let store = open(&path, Some(1), None).expect("encrypted");
    let orders = store.bucket(&name("orders")).get(vec!["a".into()]).await.expect("read");
    let order = orders[0].as_ref().expect("it is there");
    assert_eq!((order.version, order.value.as_slice()), (version, SECRET.as_bytes()), "versions stay");
    let all = ["0000", "0999", "1000", "2999"];
    assert_eq!(read(&store, &all).await.expect("read"), vec![Some(SECRET.to_owned()); 4]);
    store.close();
    drop(store);
    assert_eq!(open(&path, None, None).err(), Some(StateError::NoKey { path: path.clone() }));
    let database = redb::Database::open(&path).expect("a database");
    let read = redb::ReadableDatabase::begin_read(&database).expect("a read");
    for entry in read.open_table(BUCKET).expect("the table").iter().expect("all").map(|entry| entry.expect("whole")) {
        assert!(!entry.1.value().1.windows(9).any(|window| window == b"the quick"));
    }
}

#[tokio::test]
async fn a_value_that_was_moved_or_altered_on_disk_is_not_read() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path, Some(1), None).expect("a new database");
    let users = store.bucket(&name("users"));
    users.commit(puts(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])).await.expect("written");
    store.close();
    drop((users, store));
    let database = redb::Database::open(&path).expect("a database");
    let write = database.begin_write().expect("a write");
    {
        let mut table = write.open_table(BUCKET).expect("the table");
        let (version, value) = {
            let entry = table.get(b"a".as_slice()).expect("read").expect("there");
            (entry.value().0, entry.value().1.to_vec())
        };
        table.insert(b"b".as_slice(), (version, value.as_slice())).expect("moved");
        table.insert(b"a".as_slice(), (version + 1, value.as_slice())).expect("another version");
        let mut altered = value.clone();
        *altered.last_mut().expect("not empty") ^= 1;
        table.insert(b"c".as_slice(), (version, altered.as_slice())).expect("altered");
    }
    write.commit().expect("committed");
    drop(database);
    let store = open(&path, Some(1), None).expect("the right key");
    for key in ["a", "b", "c"] {
        assert!(matches!(read(&store, &[key]).await, Err(StateError::Corrupt { .. })), "{key}");
    }
    // A transaction that needs the value is refused, and no other one, however many share its batch.
    let (users, orders) = (store.bucket(&name("users")), store.bucket(&name("orders")));
    let add = || {
        users.commit(Transaction { beside: Vec::new(), checks: Vec::new(), writes: vec![("c".into(), Change::Add(1))] })
    };
    let (first, other, second) = tokio::join!(add(), orders.commit(puts(&[("x", "1")])), add());
    assert!(matches!((first, second), (Err(StateError::Corrupt { .. }), Err(StateError::Corrupt { .. }))));
    other.expect("the data of another service is whole");
    assert_eq!(read(&store, &["d"]).await.expect("others are read"), [Some("4".into())]);
}

#[test]
fn a_key_does_not_print() {
    let encryption = Encryption { key: key(0x41), previous: Some(key(0x42)) };
    let printed = format!("{encryption:?}");
    assert!(!printed.contains("65") && !printed.contains("41") && printed.contains("StateKey(…)"), "{printed}");
}
