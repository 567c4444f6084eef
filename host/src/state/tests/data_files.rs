//! Data of a bucket as a file: what goes out comes in again, of one moment, and what is wrong is told by its line.

use super::{name, put, puts, sim_disk::SimDisk};
use crate::state::embedded::database::Database;
use crate::state::embedded::engine::Embedded;
use crate::state::{
    Bucket, BucketExport, BucketImport, BucketReader, DataFormat, Encryption, ImportCounts, Settings, StateError,
    StateKey, Store, Transaction, ValueForm,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn store(key: Option<u8>) -> Store {
    let disk = SimDisk::default();
    let encryption = key.map(|seed| Encryption { key: StateKey::new([seed; StateKey::LENGTH]), previous: None });
    let source = Box::new(move || Ok(Box::new(disk.clone()) as Box<dyn redb::StorageBackend>));
    let database = Database::open(Path::new("sim"), 256 << 10, encryption, source).expect("a new database");
    Store::new(Arc::new(Embedded::start(database, &Settings::default()).expect("a thread")))
}

async fn exported(bucket: &Bucket, form: ValueForm) -> Vec<u8> {
    let mut export = BucketExport::begin(bucket, form).await.expect("open");
    let mut text = Vec::new();
    while let Some(piece) = export.next().await.expect("read") {
        text.extend_from_slice(&piece);
    }
    text
}

async fn imported(bucket: &Bucket, text: &[u8], replaces: bool) -> Result<ImportCounts, String> {
    let mut reader = BucketReader::new(text).map_err(|error| error.to_string())?;
    let (sealed, mut counts) = (reader.header().sealed, ImportCounts::default());
    let import = BucketImport::new(bucket.clone(), replaces);
    loop {
        let mut batch = reader.batch().map_err(|error| error.to_string())?;
        if batch.is_empty() {
            return Ok(counts);
        }
        if sealed {
            batch = bucket.unseal(batch).await.map_err(|error| error.to_string())?;
        }
        let one = import.apply(&batch).await.map_err(|error| error.to_string())?;
        (counts.written, counts.same) = (counts.written + one.written, counts.same + one.same);
    }
}

async fn all(bucket: &Bucket) -> Vec<(Vec<u8>, Vec<u8>)> {
    let page = bucket.scan(Vec::new(), None, 1000).await.expect("read");
    page.items.into_iter().map(|entry| (entry.key, entry.value.value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any bytes, in more than one page and more than one batch.
    #[test]
    fn what_goes_out_comes_in_again(
        entries in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(any::<u8>(), 0..300), 0..400
        ),
        encrypted in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (from, to) = (store(encrypted.then_some(1)).bucket(&name("a")), store(Some(2)).bucket(&name("b")));
            let writes: Vec<_> =
                entries.iter().map(|(key, value)| (key.clone(), crate::state::Change::Put(value.clone()))).collect();
            from.commit(Transaction { writes, ..Transaction::default() }).await.expect("written");
            let text = exported(&from, ValueForm::Plain).await;
            let counts = imported(&to, &text, false).await.expect("it is whole");
            prop_assert_eq!(counts, ImportCounts { written: entries.len() as u64, same: 0 });
            prop_assert_eq!(all(&to).await, entries.clone().into_iter().collect::<Vec<_>>());
            let again = imported(&to, &text, false).await.expect("nothing is in the way");
            prop_assert_eq!(again, ImportCounts { written: 0, same: entries.len() as u64 });
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_by_its_line() {
    let bucket = store(None).bucket(&name("a"));
    let note = DataFormat::of(&bucket);
    let format = note.change(note.read().await.expect("read"), Some(2), None);
    let data = puts(&[("a", "1"), ("b", "2"), ("c", "3")]);
    bucket.commit(Transaction { beside: vec![format], ..data }).await.expect("written");
    let text = String::from_utf8(exported(&bucket, ValueForm::Plain).await).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], r#"{"atoll_state":1,"service":"a","version":1,"sealed":false,"format":2}"#);
    assert_eq!(lines[1], r#"{"key":"a","value":"1","version":1}"#);
    let with = |wanted: &[&str]| wanted.iter().map(|line| format!("{line}\n")).collect::<String>();
    for (file, says) in [
        (with(&lines[..3]), "it broke off after 2 entries: its last line, which says how many there are, is missing"),
        (with(&[lines[0], lines[1], lines[4]]), "line 3: there were 3 entries, and the file has 1"),
        (with(&[lines[0], lines[2], lines[1]]), "line 3: its key does not come after that of the line before"),
        (with(&[lines[0], lines[1], "{\"key\":7}"]), "line 3: it is neither an entry nor the end"),
        (with(&[&lines[..], &["more"]].concat()), "line 5: more follows after the end"),
        (
            with(&[&lines[0].replace(":1,", ":2,"), lines[4]]),
            "line 1: it has form 2, and this host reads form 1: use the version that wrote it",
        ),
        (String::new(), "line 1: the file is empty"),
    ] {
        assert_eq!(imported(&bucket, file.as_bytes(), true).await, Err(says.to_owned()));
    }
    // An editor may have left the last end of a line out.
    assert!(imported(&bucket, text.trim_end().as_bytes(), false).await.is_ok());
}

#[tokio::test]
async fn what_is_frozen_stays_while_others_write_and_a_sealed_file_needs_its_key() {
    let store = store(Some(1));
    let bucket = store.bucket(&name("a"));
    bucket
        .commit(Transaction { writes: vec![put("k", "before-it")], ..Transaction::default() })
        .await
        .expect("written");
    let mut export = BucketExport::begin(&bucket, ValueForm::Plain).await.expect("open");
    bucket.commit(Transaction { writes: vec![put("k", "after-it")], ..Transaction::default() }).await.expect("written");
    let mut text = Vec::new();
    while let Some(piece) = export.next().await.expect("read") {
        text.extend_from_slice(&piece);
    }
    assert!(String::from_utf8_lossy(&text).contains("before-it"));
    let sealed = exported(&bucket, ValueForm::Stored).await;
    assert!(!String::from_utf8_lossy(&sealed).contains("after-it"));
    bucket.commit(Transaction { writes: vec![put("k", "later")], ..Transaction::default() }).await.expect("written");
    let conflict = imported(&bucket, &sealed, false).await.expect_err("there is another value");
    assert_eq!(conflict, StateError::Conflict { key: b"k".to_vec() }.to_string());
    assert!(imported(&bucket, &sealed, true).await.is_ok());
    assert_eq!(all(&bucket).await, [(b"k".to_vec(), b"after-it".to_vec())]);
    store.erase(&name("a")).await.expect("erased");
    bucket.commit(Transaction { writes: vec![put("k", "new")], ..Transaction::default() }).await.expect("written");
    let gone = imported(&bucket, &sealed, true).await.expect_err("its key is another one");
    assert!(gone.contains("is not the one that was written there"), "{gone}");
}

/// What a migration changes in one commit is never in two files: the note of one moment with the data of another.
#[tokio::test]
async fn the_note_in_an_export_is_of_the_moment_of_its_data() {
    let bucket = store(Some(1)).bucket(&name("a"));
    let note = DataFormat::of(&bucket);
    for format in 1..4 {
        let change = note.change(note.read().await.expect("read"), Some(format), None);
        let data = puts(&[("k", &format!("of format {format}"))]);
        let frozen = bucket.freeze().await.expect("open");
        bucket.commit(Transaction { beside: vec![change], ..data }).await.expect("written");
        let before = note.at(&*frozen).await.expect("read");
        assert_eq!(before, (format > 1).then_some(format - 1), "what was written later is not in it");
        let text = String::from_utf8(exported(&bucket, ValueForm::Plain).await).expect("text");
        assert!(text.contains(&format!("\"format\":{format}}}")) && text.contains(&format!("of format {format}")));
    }
}

#[tokio::test]
async fn the_note_of_a_format_changes_only_from_what_was_read() {
    let bucket = store(None).bucket(&name("a"));
    let note = DataFormat::of(&bucket);
    let none = note.read().await.expect("read");
    assert_eq!(none.format, None);
    note.write(none, Some(3), None).await.expect("written");
    let late = note.write(none, Some(4), None).await;
    assert!(matches!(late, Err(StateError::ConflictBeside { .. })), "{late:?}");
    let read = note.read().await.expect("read");
    assert_eq!((read.format, read.sweep_from), (Some(3), None));
    note.write(read, Some(4), Some(2)).await.expect("written");
    let read = note.read().await.expect("read");
    assert_eq!((read.format, read.sweep_from), (Some(4), Some(2)));
    note.write(read, None, None).await.expect("written");
    let read = note.read().await.expect("read");
    assert_eq!((read.format, read.sweep_from), (None, None));
}
