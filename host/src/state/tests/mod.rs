//! The room's tests. `sim_disk` is a disk in memory whose power they cut; `backends` holds the promises of the room
//! over every backend, with real servers where they are installed.

mod backends;
mod batch_plan;
mod concurrency;
mod crash;
mod data_control;
mod data_files;
mod disk_failures;
pub(crate) mod doubtful;
mod encryption;
mod file;
mod limits;
mod listing;
mod model;
mod overlay;
mod sim_disk;
mod value_cache;
mod watches;

use crate::base::ServiceName;
use crate::state::embedded::database::Database;
use crate::state::{Change, Key, StateError, Transaction};
use sim_disk::SimDisk;
use std::path::Path;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn put(key: &str, value: &str) -> (Key, Change) {
    (key.into(), Change::Put(value.into()))
}

fn puts(writes: &[(&str, &str)]) -> Transaction {
    Transaction {
        beside: Vec::new(),
        checks: Vec::new(),
        writes: writes.iter().map(|(key, value)| put(key, value)).collect(),
    }
}

/// A database on `disk`, with a page cache so small that it has to read and write the disk.
fn open_on(disk: &SimDisk) -> Result<Database, StateError> {
    let disk = disk.clone();
    Database::open(Path::new("sim"), 256 << 10, None, Box::new(move || Ok(Box::new(disk.clone()))))
}
