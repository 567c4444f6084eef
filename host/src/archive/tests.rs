//! The archive on a real folder.

use super::{Archive, ArchiveError, HistoryEntry, Promotion, RolloutOutcome, ServiceRecord, Settings};
use crate::base::{Digest, ServiceName};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn settings(path: &Path) -> Settings {
    Settings { path: path.into(), revisions: 3, age: Duration::from_secs(1000) }
}

fn name() -> ServiceName {
    ServiceName::new("users").unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn entry(id: u64, digest: Digest, ended: u64) -> HistoryEntry {
    HistoryEntry {
        id,
        digest: digest.to_string(),
        who: "loopback".into(),
        why: Some("a test".into()),
        began: ended,
        ended,
        outcome: RolloutOutcome::Promoted,
        verdict: "at once".into(),
    }
}

#[test]
fn a_component_and_a_record_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&settings(folder.path())).unwrap();
    let digest = archive.keep(b"one").unwrap();
    let promoted = Promotion { digest: digest.to_string(), manifest: "0".into() };
    archive.change(&name(), |record| record.promoted = Some(promoted.clone())).unwrap();
    archive.change(&name(), |record| record.entries.push(entry(1, digest, now()))).unwrap();
    let before = archive.record(&name());
    drop(archive);
    // What a crash in the middle of a write leaves.
    fs::write(folder.path().join("services/users.tmp"), "{ \"promo").unwrap();
    let archive = Archive::open(&settings(folder.path())).unwrap();
    assert_eq!(archive.record(&name()), before);
    assert_eq!(archive.load(&digest).unwrap(), "one");
    assert_eq!(archive.find(&name(), &digest.short()), Some(digest.to_string()));
    assert_eq!(archive.find(&name(), "ab"), None);
}

#[test]
fn a_damaged_component_is_refused_and_written_anew_by_the_next_keep() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&settings(folder.path())).unwrap();
    let digest = archive.keep(b"one").unwrap();
    fs::write(archive.file(&digest), b"two").unwrap();
    assert!(matches!(archive.load(&digest), Err(ArchiveError::Damaged(_))));
    archive.keep(b"one").unwrap();
    assert_eq!(archive.load(&digest).unwrap(), "one");
    assert!(matches!(archive.load(&Digest::of(b"never")), Err(ArchiveError::Gone(_))));
}

#[test]
fn two_hosts_do_not_share_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Archive::open(&settings(folder.path())).unwrap();
    assert!(matches!(Archive::open(&settings(folder.path())), Err(ArchiveError::InUse(_))));
}

#[test]
fn a_damaged_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(Archive::open(&settings(folder.path())).unwrap());
    fs::write(folder.path().join("services/users.json"), "{").unwrap();
    let error = Archive::open(&settings(folder.path())).unwrap_err().to_string();
    assert!(error.contains("users.json") && error.contains("move it away"), "{error}");
}

#[test]
fn old_revisions_go_and_those_in_use_stay() {
    let digests: Vec<_> = (0..6_u8).map(|number| Digest::of(&[number])).collect();
    let promoted = Some(Promotion { digest: digests[0].to_string(), manifest: digests[5].to_string() });
    let entries = (0..5).map(|at| entry(at as u64, digests[at], 5000 + at as u64)).collect();
    let mut record = ServiceRecord { promoted, entries, ..ServiceRecord::default() };
    record.prune(3, 0);
    let ids = |record: &ServiceRecord| record.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(&record), [0, 2, 3, 4], "the first is in use");
    record.prune(3, 5004);
    assert_eq!(ids(&record), [0, 4], "the others are too old");
}

#[test]
fn a_sweep_removes_what_no_record_names() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&settings(folder.path())).unwrap();
    let [used, also, gone] = [b"a", b"b", b"c"].map(|bytes| archive.keep(bytes).unwrap());
    drop(archive);
    let archive = Archive::open(&settings(folder.path())).unwrap();
    archive.change(&name(), |record| record.entries.push(entry(1, used, now()))).unwrap();
    archive.sweep(&[also]);
    assert!(archive.load(&used).is_ok() && archive.load(&also).is_ok() && archive.load(&gone).is_err());
}

/// As when the end of a canary sweeps, and what takes its place is kept and not written down.
#[test]
fn a_sweep_spares_what_was_kept_for_a_record_that_comes() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&settings(folder.path())).unwrap();
    let next = archive.keep(b"next").unwrap();
    archive.sweep(&[]);
    assert_eq!(archive.load(&next).unwrap(), "next");
    let promoted = Promotion { digest: next.to_string(), manifest: "0".into() };
    archive.change(&name(), |record| record.promoted = Some(promoted)).unwrap();
    archive.sweep(&[]);
    assert_eq!(archive.load(&next).unwrap(), "next");
    archive.change(&name(), |record| record.promoted = None).unwrap();
    archive.sweep(&[]);
    assert!(archive.load(&next).is_err(), "nobody names it any more");
}
