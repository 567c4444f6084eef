//! The power fails at seeded points. The disk as the loss of power leaves it is opened again, and its data must add up.
//!
//! The data is a bank. A transaction moves an amount between two accounts and writes a line in the log of its client,
//! so the whole state follows from the log. Everything runs in one thread: a seed always gives the same run.

use super::{name, open_on, sim_disk::SimDisk};
use crate::state::embedded::database::Database;
use crate::state::{Change, Committed, StateError, Transaction};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 250;
const CRASHES: usize = 4;
const ACCOUNTS: u8 = 6;
const CLIENTS: u32 = 5;
const START: i64 = 1_000_000;

/// A line of a log: from, to, amount.
type Move = (u8, u8, i64);

/// What must be and what may be on the disk. Nothing else may be there.
#[derive(Default)]
struct Ledger {
    /// The lines of acknowledged commits, by client and number. They must be on the disk.
    acknowledged: BTreeMap<(u32, u32), Move>,
    /// The lines of the batch during which the power failed. They may be on the disk.
    uncertain: BTreeMap<(u32, u32), Move>,
    next: BTreeMap<u32, u32>,
    highest: u64,
}

#[test]
fn acknowledged_commits_survive_a_loss_of_power_and_every_commit_is_whole_or_absent() {
    for seed in 0..SEEDS {
        let run = std::panic::AssertUnwindSafe(|| run(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {text}");
        }
    }
}

fn run(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    let mut image = Vec::new();
    for _ in 0..CRASHES {
        let disk = SimDisk::holding(image);
        // With small numbers the power fails during the creation or the repair itself.
        let most = [20, 200, 2000][random.random_range(0..3)];
        disk.cut_power_after(random.random_range(0..most));
        // If the power fails during the creation or the repair, the error does not matter.
        if let Ok(database) = open_on(&disk) {
            check(&database, &disk, &mut ledger);
            for _ in (0..=most).take_while(|_| !disk.is_off()) {
                batch(&database, &mut ledger, &mut random);
            }
            assert!(disk.is_off(), "every batch syncs, so the power does not last");
        }
        image = disk.image_after_power_loss(random.random());
    }
    let disk = SimDisk::holding(image);
    let database = open_on(&disk).unwrap();
    check(&database, &disk, &mut ledger);
    let written = database.write(&[(name("bank"), super::puts(&[("last", "word")]))]).unwrap();
    let version = written[0].as_ref().unwrap().version;
    assert!(version > ledger.highest, "version {version} is given after {}", ledger.highest);
}

/// Writes one batch in which a few clients each move some money.
fn batch(database: &Database, ledger: &mut Ledger, random: &mut SmallRng) {
    let clients = random.random_range(1..=CLIENTS);
    let mut moves = Vec::new();
    let mut batch = Vec::new();
    for client in 0..clients {
        let (from, to) = (random.random_range(0..ACCOUNTS), random.random_range(0..ACCOUNTS));
        if from == to {
            continue;
        }
        let moved = (from, to, random.random_range(1..100));
        let number = *ledger.next.entry(client).or_default();
        let padding = if random.random_bool(0.1) { random.random_range(0..20_000) } else { 0 };
        let Ok(transaction) = transfer(database, client, number, moved, padding) else { return };
        moves.push(((client, number), moved));
        batch.push((name("bank"), transaction));
    }
    match database.write(&batch) {
        Ok(answers) => {
            for ((line, moved), answer) in moves.into_iter().zip(answers) {
                match answer {
                    Ok(Committed { version, .. }) => {
                        assert!(version > ledger.highest);
                        ledger.highest = version;
                        ledger.acknowledged.insert(line, moved);
                        ledger.next.insert(line.0, line.1 + 1);
                    }
                    Err(StateError::Conflict { .. }) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }
        Err(_) => ledger.uncertain = moves.into_iter().collect(),
    }
}

fn transfer(
    database: &Database,
    client: u32,
    number: u32,
    (from, to, amount): Move,
    padding: usize,
) -> Result<Transaction, StateError> {
    let keys = vec![account(from), account(to)];
    let found = database.get(&name("bank"), &keys)?;
    let mut transaction = Transaction::default();
    for ((key, entry), change) in keys.into_iter().zip(found).zip([-amount, amount]) {
        let (balance, version) = entry.map_or((START, 0), |e| (parse(&e.value), e.version));
        transaction.checks.push((key.clone(), version));
        transaction.writes.push((key, Change::Put((balance + change).to_string().into())));
    }
    let mut line = format!("{from} {to} {amount} ");
    line.extend(std::iter::repeat_n('.', padding));
    transaction.writes.push((log_key(client, number), Change::Put(line.into())));
    transaction.writes.push((format!("lines/{client}").into(), Change::Add(1)));
    transaction.writes.push((format!("open/{client}/{number}").into(), Change::Put(Vec::new())));
    if number > 0 {
        transaction.writes.push((format!("open/{client}/{}", number - 1).into(), Change::Delete));
    }
    Ok(transaction)
}

/// Compares the data on the disk with what must be there, and makes it the ledger's new start. If power fails during
/// the reading, there is nothing to compare.
fn check(database: &Database, disk: &SimDisk, ledger: &mut Ledger) {
    let entries = read_all(database);
    if disk.is_off() {
        return;
    }
    let entries = entries.unwrap();
    let mut balances: BTreeMap<u8, i64> = BTreeMap::new();
    let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (key, (value, _)) in entries.iter().filter(|(key, _)| key.starts_with("log/")) {
        let ids: Vec<u32> = key.split('/').skip(1).map(|part| part.parse().unwrap()).collect();
        let parts: Vec<i64> = value.split(' ').take(3).map(|part| part.parse().unwrap()).collect();
        let moved = (u8::try_from(parts[0]).unwrap(), u8::try_from(parts[1]).unwrap(), parts[2]);
        *balances.entry(moved.0).or_insert(START) -= moved.2;
        *balances.entry(moved.1).or_insert(START) += moved.2;
        *lines.entry(ids[0]).or_default() += 1;
        found.insert((ids[0], ids[1]), moved);
    }
    for (line, moved) in &ledger.acknowledged {
        assert_eq!(found.get(line), Some(moved), "line {line:?} was acknowledged");
    }
    for (line, moved) in &found {
        let known = ledger.acknowledged.get(line).or_else(|| ledger.uncertain.get(line));
        assert_eq!(known, Some(moved), "line {line:?} was never written so");
    }
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    expected.extend(balances.iter().map(|(n, balance)| (format!("account/{n}"), balance.to_string())));
    expected.extend(lines.iter().map(|(client, count)| (format!("lines/{client}"), count.to_string())));
    expected.extend(lines.iter().map(|(client, count)| (format!("open/{client}/{}", count - 1), String::new())));
    let rest: BTreeMap<String, String> = entries
        .iter()
        .filter(|(key, _)| !key.starts_with("log/"))
        .map(|(key, (value, _))| (key.clone(), value.clone()))
        .collect();
    assert_eq!(rest, expected, "the accounts, counters and marks do not follow from the log");

    let versions: BTreeSet<u64> = entries.values().map(|(_, version)| *version).collect();
    ledger.highest = ledger.highest.max(versions.last().copied().unwrap_or(0));
    ledger.next = lines.iter().map(|(client, count)| (*client, u32::try_from(*count).unwrap())).collect();
    ledger.acknowledged = found;
    ledger.uncertain.clear();
}

/// Value and version by key, read in small pages.
fn read_all(database: &Database) -> Result<BTreeMap<String, (String, u64)>, StateError> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let page = database.scan(&name("bank"), b"", after.as_deref(), 7)?;
        all.extend(page.items.into_iter().map(|e| (text(e.key), (text(e.value.value), e.value.version))));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

fn account(number: u8) -> Vec<u8> {
    format!("account/{number}").into()
}

fn log_key(client: u32, number: u32) -> Vec<u8> {
    format!("log/{client}/{number:06}").into()
}

fn parse(value: &[u8]) -> i64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
