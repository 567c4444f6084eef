//! Disks that are full and disks that fail.

use super::super::StateError;
use super::{name, open_on, puts, sim_disk::SimDisk};

#[test]
fn a_full_disk_heals_when_there_is_room() {
    let disk = SimDisk::default();
    let database = open_on(&disk).unwrap();
    let users = name("users");
    let commit = |key: &str| {
        let answers = database.write(&[(users.clone(), puts(&[(key, "1")])), (name("products"), puts(&[(key, "1")]))]);
        answers.map(|answers| answers.into_iter().map(|answer| answer.unwrap().version).collect::<Vec<_>>())
    };
    assert_eq!(commit("before"), Ok(vec![1, 2]));
    disk.fail_writes(true);
    assert!(matches!(commit("lost"), Err(StateError::Io { .. })));
    disk.fail_writes(false);
    assert_eq!(commit("after"), Ok(vec![5, 6]), "versions of a failed batch are not given again");
    let keys = database.keys(&users, b"", None, 10).unwrap().items;
    assert_eq!(keys, [b"after".to_vec(), b"before".to_vec()]);
}

#[test]
fn nothing_is_promised_after_a_failed_sync() {
    let disk = SimDisk::default();
    let database = open_on(&disk).unwrap();
    let users = name("users");
    let commit = |key: &str| database.write(&[(users.clone(), puts(&[(key, "1"), ("last", key)]))]);
    commit("before").unwrap();
    disk.fail_syncs(true);
    assert!(matches!(commit("uncertain"), Err(StateError::Io { .. })));
    disk.fail_syncs(false);
    for _ in 0..2 {
        let Err(StateError::Io { detail, .. }) = commit("after") else { panic!("a commit was accepted") };
        assert!(detail.contains("restart the host"), "{detail}");
        assert!(matches!(database.get(&users, &["before".into()]), Err(StateError::Io { .. })));
    }
    drop(database);

    let database = open_on(&disk).unwrap();
    let keys = ["before", "uncertain", "after", "last"].map(|key| key.into());
    let found: Vec<_> = database.get(&users, &keys).unwrap().into_iter().map(|v| v.map(|v| v.value)).collect();
    let [before, uncertain, after, last] = found.try_into().unwrap();
    assert_eq!((before, after), (Some(b"1".to_vec()), None));
    let expected = if uncertain.is_some() { "uncertain" } else { "before" };
    assert_eq!(last, Some(expected.into()), "the failed commit is whole or absent");
}

#[test]
fn a_panic_is_an_error_of_that_call_alone() {
    let database = open_on(&SimDisk::default()).unwrap();
    let users = name("users");
    database.write(&[(users.clone(), puts(&[("a", "1")]))]).unwrap();
    let error = database.panic_in_a_read();
    assert!(matches!(&error, StateError::Corrupt { detail, .. } if detail == "a page makes no sense"), "{error}");
    assert!(database.get(&users, &["a".into()]).unwrap()[0].is_some());
}
