//! Disks that are full and disks that fail.

use super::{name, open_on, puts, sim_disk::SimDisk};
use crate::state::StateError;
use std::time::{Duration, Instant};

#[test]
fn after_a_full_disk_commits_succeed_again_once_there_is_room() {
    let disk = SimDisk::default();
    let database = open_on(&disk).unwrap();
    let users = name("users");
    let commit = |key: &str| {
        let answers = database.write(&[(users.clone(), puts(&[(key, "1")])), (name("products"), puts(&[(key, "1")]))]);
        answers.map(|answers| answers.into_iter().map(|answer| answer.unwrap().version).collect::<Vec<_>>())
    };
    assert_eq!(commit("before"), Ok(vec![1, 2]));
    disk.fail_writes(true);
    let Err(full) = commit("lost") else { panic!("a commit was accepted") };
    assert!(matches!(full, StateError::Io { source: Some(_), .. }), "{full:?}");
    assert_eq!(full.to_string(), "sim: the database failed");
    let cause = std::error::Error::source(&full).expect("the error of the disk").to_string();
    assert_eq!(full.with_causes(), format!("sim: the database failed: {cause}"));
    disk.fail_writes(false);
    assert_eq!(commit("after"), Ok(vec![5, 6]), "versions of a failed batch are not given again");
    let keys = database.keys(&users, b"", None, 10).unwrap().items;
    assert_eq!(keys, [b"after".to_vec(), b"before".to_vec()]);
}

#[test]
fn a_read_that_meets_the_failure_of_a_write_is_done_again_once() {
    let disk = SimDisk::default();
    open_on(&disk).unwrap().read_beside_failures(1).unwrap();
    let Err(StateError::Io { .. }) = open_on(&disk).unwrap().read_beside_failures(2) else { panic!("it goes on") };
}

/// Many times, since what is looked for is the moment between the failure and the database's end.
#[test]
fn reads_beside_a_write_that_fails_succeed() {
    for round in 0..100 {
        let disk = SimDisk::default();
        let database = open_on(&disk).unwrap();
        let (users, wanted) = (name("users"), [b"before".to_vec()]);
        database.write(&[(users.clone(), puts(&[("before", "1")]))]).unwrap();
        disk.fail_writes(true);
        std::thread::scope(|scope| {
            let read = || (0..50).for_each(|_| assert_eq!(database.keys(&users, b"", None, 10).unwrap().items, wanted));
            let readers = [scope.spawn(read), scope.spawn(read)];
            assert!(database.write(&[(users.clone(), puts(&[("lost", "1")]))]).is_err(), "round {round}");
            for reader in readers {
                reader.join().expect("each read succeeds");
            }
        });
    }
}

#[test]
fn while_the_disk_is_full_reads_go_on_and_writes_fail_until_there_is_room() {
    let disk = SimDisk::default();
    let database = open_on(&disk).unwrap();
    let users = name("users");
    let commit = |key: &str| database.write(&[(users.clone(), puts(&[(key, "1")]))]).map(|_| ());
    let read_all = || {
        assert!(database.get(&users, &["before".into()]).unwrap()[0].is_some());
        assert_eq!(database.get(&users, &["lost".into()]).unwrap(), [None]);
        let entries = database.scan(&users, b"", None, 10).unwrap().items;
        assert_eq!(entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), [b"before".to_vec()]);
        assert_eq!(database.keys(&users, b"", None, 10).unwrap().items, [b"before".to_vec()]);
    };
    commit("before").unwrap();
    disk.fail_writes(true);
    // The first read opens the file for reading alone, the second write tries the disk, and the third comes too soon.
    for round in 0..4 {
        let Err(StateError::Io { .. }) = commit("lost") else { panic!("a commit was accepted in round {round}") };
        read_all();
        assert!(!database.takes_writes(), "a read that succeeds is no write");
    }
    disk.fail_writes(false);
    // The next look at the disk comes by the clock: on a busy machine this thread may be late for it.
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(error) = commit("after") {
        assert!(Instant::now() < until, "there is room: {error}");
        assert!(!database.takes_writes());
        std::thread::yield_now();
    }
    assert!(database.takes_writes());
    commit("after").expect("from the first one that succeeds on, each does");
    let found = database.get(&users, &["before".into(), "lost".into(), "after".into()]).unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    drop(database);
    let keys = open_on(&disk).unwrap().keys(&users, b"", None, 10).unwrap().items;
    assert_eq!(keys, [b"after".to_vec(), b"before".to_vec()]);
}

#[test]
fn what_is_read_from_a_full_disk_survives_a_loss_of_power() {
    for seed in 0..20 {
        let disk = SimDisk::default();
        let database = open_on(&disk).unwrap();
        let users = name("users");
        database.write(&[(users.clone(), puts(&[("a", "1")]))]).unwrap();
        disk.fail_writes(true);
        database.write(&[(users.clone(), puts(&[("a", "2")]))]).unwrap_err();
        let read = database.get(&users, &["a".into()]).unwrap();
        let database = open_on(&SimDisk::holding(disk.image_after_power_loss(seed))).unwrap();
        assert_eq!(database.get(&users, &["a".into()]).unwrap(), read, "seed {seed}");
    }
}

#[test]
fn after_a_failed_sync_every_call_fails_until_the_database_is_opened_anew() {
    let disk = SimDisk::default();
    let database = open_on(&disk).unwrap();
    let users = name("users");
    let commit = |key: &str| database.write(&[(users.clone(), puts(&[(key, "1"), ("last", key)]))]);
    commit("before").unwrap();
    disk.fail_syncs(true);
    assert!(matches!(commit("uncertain"), Err(StateError::Io { .. })));
    disk.fail_syncs(false);
    for _ in 0..2 {
        let Err(StateError::Io { problem, .. }) = commit("after") else { panic!("a commit was accepted") };
        assert!(problem.contains("restart the host"), "{problem}");
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
fn a_panic_of_redb_fails_that_call_alone() {
    let database = open_on(&SimDisk::default()).unwrap();
    let users = name("users");
    database.write(&[(users.clone(), puts(&[("a", "1")]))]).unwrap();
    let error = database.panic_in_a_read();
    assert!(matches!(&error, StateError::Corrupt { detail, .. } if detail == "a page makes no sense"), "{error}");
    assert!(database.get(&users, &["a".into()]).unwrap()[0].is_some());
}
