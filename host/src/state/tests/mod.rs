//! Tests of the room; `sim_disk` is the disk that they cut the power of.

mod concurrency;
mod crash;
mod fault;
mod file;
mod limits;
mod model;
mod recent;
mod sim_disk;

use super::database::Database;
use super::{Change, Key, Transaction};
use crate::base::ServiceName;
use sim_disk::SimDisk;
use std::path::Path;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn put(key: &str, value: &str) -> (Key, Change) {
    (key.into(), Change::Put(value.into()))
}

fn puts(writes: &[(&str, &str)]) -> Transaction {
    Transaction { checks: Vec::new(), writes: writes.iter().map(|(key, value)| put(key, value)).collect() }
}

/// A database on `disk`, with a cache so small that it has to read and write the disk.
fn open_on(disk: &SimDisk) -> Result<Database, super::StateError> {
    let disk = disk.clone();
    Database::open(Path::new("sim"), 256 << 10, Box::new(move || Ok(Box::new(disk.clone()))))
}
