//! The database as a file: it is private and locked, and a file that is something else is refused and not deleted.

use super::{name, puts};
use crate::state::{Settings, StateError, Store};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redb::TableDefinition;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn open(path: &Path) -> Result<Store, StateError> {
    Store::open(&Settings { path: path.into(), ..Settings::default() })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_file_and_its_folders_are_private_and_keep_their_data() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a/b/state.redb");
    let store = open(&path).unwrap();
    assert_eq!((mode(&path), mode(&folder.path().join("a/b")), mode(&folder.path().join("a"))), (0o600, 0o700, 0o700));
    let version = store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap().version;
    store.close();

    let store = open(&path).unwrap();
    let bucket = store.bucket(&name("users"));
    assert_eq!(bucket.get(vec!["a".into()]).await.unwrap()[0].as_ref().unwrap().version, version);
    assert!(bucket.commit(puts(&[("b", "1")])).await.unwrap().version > version);
}

#[test]
fn a_database_that_is_open_elsewhere_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.redb");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error, StateError::InUse { path: path.clone() });
    assert!(error.to_string().contains("in use by another host"), "{error}");
    first.close();
    open(&path).unwrap();
    drop(first);
}

#[test]
fn a_file_that_is_no_database_is_refused_by_name_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "do not lose me").unwrap();
    let foreign = folder.path().join("foreign.redb");
    let database = redb::Database::create(&foreign).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    write.commit().unwrap();
    drop(database);
    for path in [text.clone(), foreign, folder.path().to_path_buf()] {
        let error = open(&path).unwrap_err();
        assert_eq!(error, StateError::NotADatabase { path: path.clone() });
        assert!(error.to_string().contains(&*path.to_string_lossy()) && !error.for_guest().contains("/"));
    }
    assert_eq!(fs::read_to_string(text).unwrap(), "do not lose me");
}

#[test]
fn a_database_of_a_later_format_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.redb");
    let database = redb::Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 7).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(open(&path), Err(StateError::Format { found: 7, known: 2, .. })));
}

#[test]
fn an_interrupted_creation_is_started_again_and_data_is_never_emptied() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.redb");
    open(&path).unwrap().close();
    let mut bytes = fs::read(&path).unwrap();
    // What a crash before the first commit leaves: the header without its magic number, and nothing else.
    bytes[..9].fill(0);
    bytes[320..].fill(0);
    for leftover in [&bytes[..], &bytes[..320], &[0; 4096]] {
        fs::write(&path, leftover).unwrap();
        open(&path).unwrap().close();
    }
    // The same header before data is not left from an interrupted creation.
    bytes[5000] = 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(open(&path).unwrap_err(), StateError::NotADatabase { path: path.clone() });
    assert!(fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_never_a_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.redb");
    let store = open(&path).unwrap();
    for n in 0..200 {
        let key = format!("{n}");
        store.bucket(&name("users")).commit(puts(&[(&key, &"v".repeat(500))])).await.unwrap();
    }
    store.close();
    let whole = fs::read(&path).unwrap();

    fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("restore the file from a backup"));

    let mut random = SmallRng::seed_from_u64(1);
    for _ in 0..100 {
        let mut damaged = whole.clone();
        for _ in 0..20 {
            let at = random.random_range(9..damaged.len());
            damaged[at] ^= 1 << random.random_range(0..8);
        }
        fs::write(&path, &damaged).unwrap();
        let Ok(store) = open(&path) else { continue };
        // Success and error are both right, as long as the call returns.
        let bucket = store.bucket(&name("users"));
        let _ = bucket.scan(Vec::new(), None, 1000).await;
        let _ = bucket.commit(puts(&[("new", "1")])).await;
    }
}
