#!/usr/bin/env bash
# redb 4.6.0: after one write that the storage refuses (a full disk, say), reads are refused too.
#
# Behaviour: the handle remembers the first error of its storage. Every later read of a page that is not in its cache
# fails with "Previous I/O error", although nothing that was committed is damaged and the storage can be read. Only opening the database
# again helps, and that writes, so on a full disk it fails as well.
# One would have guessed: the write transaction fails and is rolled back; reads of committed data go on.
# Source: run here; made on purpose, see cberner/redb#836.
# Atoll: `host/src/state/embedded/read_only_disk.rs`; test `with_a_full_disk_reads_and_lists_go_on_…`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
redb = "=4.6.0"
TOML
cat >src/main.rs <<'RUST'
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition, backends::InMemoryBackend};
use std::io;
use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};

const TABLE: TableDefinition<&str, &str> = TableDefinition::new("t");

/// Memory that refuses writes while `full` is set.
#[derive(Debug)]
struct Disk { memory: InMemoryBackend, full: Arc<AtomicBool> }

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> { self.memory.len() }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> { self.memory.read(offset, out) }
    fn set_len(&self, len: u64) -> io::Result<()> { self.room()?; self.memory.set_len(len) }
    fn sync_data(&self) -> io::Result<()> { self.memory.sync_data() }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> { self.room()?; self.memory.write(offset, data) }
}

fn put(database: &Database, value: &str) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?.insert("k", value)?;
    Ok(transaction.commit()?)
}

fn get(database: &Database) -> Result<String, redb::Error> {
    let table = database.begin_read()?.open_table(TABLE)?;
    Ok(table.get("k")?.map(|value| value.value().to_owned()).unwrap_or_default())
}

fn main() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Disk { memory: InMemoryBackend::new(), full: Arc::clone(&full) };
    let database = Database::builder().set_cache_size(0).create_with_backend(disk).expect("a database");
    put(&database, "one").expect("room");
    println!("read before: {:?}", get(&database).expect("committed"));
    full.store(true, SeqCst);
    println!("write on a full disk: {}", put(&database, "two").expect_err("no room"));
    let read = get(&database);
    println!("read on a full disk: {read:?}");
    full.store(false, SeqCst);
    let later = get(&database);
    println!("read when there is room again: {later:?}");
    assert!(read.is_err() && later.is_err(), "the behaviour has changed");
}
RUST
cargo run --quiet
