//! The chain against changes of every line, the file against crashes, and the trail against floods.

use super::{AuditFile, AuditRecord, AuditTrail, BrokenChain, Settings, VerifiedChain, verify};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// A file with these events, each `on` one of these.
fn written(path: &Path, on: &[&str]) {
    let mut file = AuditFile::open(path).expect("a file");
    for on in on {
        file.add(&[(AuditRecord::new("loopback", "swap").on(on), UNIX_EPOCH, 0)]).expect("written");
    }
}

fn read(path: &Path) -> Result<VerifiedChain, BrokenChain> {
    verify(fs::read(path).expect("a file").as_slice())
}

fn ons(found: &VerifiedChain) -> Vec<&str> {
    found.entries.iter().map(|entry| entry.on.as_deref().unwrap_or(&entry.what)).collect()
}

/// The line at which the chain breaks.
fn broken_at(text: &str) -> Option<u64> {
    match verify(text.as_bytes()) {
        Ok(_) => None,
        Err(BrokenChain::At { line, .. }) => Some(line),
        Err(BrokenChain::Read(error)) => panic!("{error}"),
    }
}

#[test]
fn the_chain_goes_on_where_the_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    written(&path, &["a", "b"]);
    written(&path, &["c"]);
    let found = read(&path).expect("whole");
    assert_eq!((ons(&found), found.torn.len(), found.ends_torn), (vec!["a", "b", "c"], 0, false));
    assert_eq!(found.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(found.entries[0].time, "1970-01-01T00:00:00.000Z");
    assert_eq!(found.digests.last(), Some(&found.head));
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(verify(&b""[..]).expect("an empty file is whole").entries, []);
}

#[test]
fn two_who_add_to_one_file_make_one_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let (mut one, mut other) = (AuditFile::open(&path).expect("a file"), AuditFile::open(&path).expect("a file"));
    for on in ["a", "b", "c"] {
        for file in [&mut one, &mut other] {
            file.add(&[(AuditRecord::new("host", "swap").on(on), UNIX_EPOCH, 0)]).expect("written");
        }
    }
    assert_eq!(ons(&read(&path).expect("whole")), ["a", "a", "b", "b", "c", "c"]);
}

#[test]
fn a_change_of_any_line_is_found_at_that_line_or_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    written(&path, &["a", "b", "c", "d"]);
    let text = fs::read_to_string(&path).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let with = |lines: Vec<&str>| lines.join("\n") + "\n";
    assert_eq!(broken_at(&text), None);
    // Changed, removed, put in twice, exchanged.
    assert_eq!(broken_at(&text.replace("\"on\":\"b\"", "\"on\":\"x\"")), Some(3));
    assert_eq!(broken_at(&with(vec![lines[0], lines[2], lines[3]])), Some(2));
    assert_eq!(broken_at(&with(vec![lines[1], lines[2], lines[3]])), Some(1));
    assert_eq!(broken_at(&with(vec![lines[0], lines[1], lines[1], lines[2]])), Some(3));
    assert_eq!(broken_at(&with(vec![lines[0], lines[2], lines[1], lines[3]])), Some(2));
    // A line that is no entry is excused only if it is the beginning of one, and the next line says that a crash tore
    // it.
    assert_eq!(broken_at(&with(vec![lines[0], "garbage", lines[1], lines[2]])), Some(2));
    assert_eq!(broken_at(&with(vec![lines[0], &lines[1][..20], lines[1], lines[2]])), Some(3));
    assert_eq!(broken_at(&with(vec![lines[0], &lines[1][..20], &lines[1][..30]])), None);
    // The end alone can be cut off; the digest of the last line shows that.
    let cut = verify(with(vec![lines[0], lines[1]]).as_bytes()).expect("whole");
    assert!(!cut.digests.contains(&read(&path).expect("whole").head));
}

#[test]
fn a_line_that_a_crash_tore_is_closed_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    written(&path, &["a", "b"]);
    let whole = fs::read(&path).expect("bytes");
    let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    // At every byte: in the second line, in the first, at both ends.
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).expect("written");
        let before = read(&path).expect("a torn end is no break");
        assert_eq!(before.ends_torn, !matches!(whole[..length].last(), None | Some(b'\n' | b'}')), "{length}");
        written(&path, &["c"]);
        let found = read(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
        let entries = usize::from(length + 1 >= first) + usize::from(length + 1 >= whole.len());
        let torn = before.ends_torn;
        let mut expected = vec!["a", "b"];
        expected.truncate(entries);
        expected.extend(torn.then_some("chain-repaired"));
        expected.push("c");
        assert_eq!((ons(&found), found.torn.len()), (expected, usize::from(torn)), "{length}");
    }
}

#[test]
fn a_line_before_a_torn_one_is_protected_too_and_the_mend_itself_may_be_torn() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    written(&path, &["a", "b"]);
    let mut text = fs::read_to_string(&path).expect("text");
    text.push_str("{\"seq\":3,\"ti\n{\"seq\":3,\"time\":\"20");
    fs::write(&path, &text).expect("written");
    written(&path, &["c"]);
    let found = read(&path).expect("whole");
    assert_eq!(ons(&found), ["a", "b", "chain-repaired", "c"]);
    assert_eq!(found.torn, [3, 4]);
    let mended = fs::read_to_string(&path).expect("text");
    assert_eq!(broken_at(&mended.replace("\"on\":\"b\"", "\"on\":\"x\"")), Some(5));
    // A file system that had room for the line, and no bytes yet.
    fs::write(&path, mended + "\0\0\0\0").expect("written");
    written(&path, &["d"]);
    assert_eq!(read(&path).expect("whole").torn, [3, 4, 7]);
}

#[test]
fn a_file_that_is_no_audit_file_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    fs::write(&path, "some\nother\nfile\n").expect("written");
    assert!(AuditFile::open(&path).is_err());
    assert_eq!(fs::read_to_string(&path).expect("text"), "some\nother\nfile\n");
}

#[test]
fn what_is_recorded_is_in_the_file_and_a_flood_of_refusals_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let trail = AuditTrail::open(&Settings { path: path.clone(), refusals: 3 }).expect("a file");
    for _ in 0..1000 {
        trail.refused(|| AuditRecord::new("10.0.0.7", "refused").on("GET /orders"));
    }
    let change = AuditRecord::new("admin-token", "rollback").on("users").changed(Some("aa"), Some("bb"));
    trail.record(change.outcome(&"x".repeat(2000)));
    let found = read(&path).expect("whole");
    let last = found.entries.last().expect("an entry");
    assert_eq!(
        (last.what.as_str(), last.before.as_deref(), last.after.as_deref()),
        ("rollback", Some("aa"), Some("bb"))
    );
    assert_eq!(last.outcome.as_ref().map(String::len), Some(512));
    let refusals = found.entries.len() as u64 - 1;
    let left_out: u64 = found.entries.iter().map(|entry| entry.left_out).sum();
    // A slow machine may need more than a second for them, and then there is room for three more.
    assert!(refusals >= 3 && refusals + left_out == 1000, "{refusals} lines, {left_out} left out");
    assert!(refusals < 1000, "the flood is bounded");
}

proptest! {
    /// Property: whatever bytes are changed, the chain breaks, or only the end of the file has changed.
    #[test]
    fn no_change_before_the_last_line_is_missed(at in 0.0..1.0_f64, byte in any::<u8>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        written(&path, &["a", "b", "c"]);
        let mut text = fs::read(&path).expect("bytes");
        let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("a line");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
        #[expect(clippy::cast_precision_loss, reason = "a place in a small file")]
        let at = (at * last as f64) as usize;
        prop_assume!(text[at] != byte);
        text[at] = byte;
        prop_assert!(verify(text.as_slice()).is_err());
    }
}
