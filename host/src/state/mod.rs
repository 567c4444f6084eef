//! Floor 3: the key-value data of each service.
//!
//! Owns the database: its file, its format, the versions of its values, and the one thread that writes. `runtime` hands a guest a
//! [`Bucket`] and nothing else, so that no guest can name the data of another service.
//!
//! What always holds:
//! - An acknowledged commit is on disk: it survives `kill -9` and the loss of power. A commit applies whole or not at all.
//! - Every value carries the version of the commit that wrote it. One counter numbers the commits of the whole database; it only grows,
//!   and a number that anybody saw is never given again, neither after a delete nor after a crash. So a version that is unchanged means a
//!   value that is unchanged. An absent key reads as version 0: between two reads of an absent key it may have come and gone, which a
//!   transaction that depends on its absence alone need not know.
//! - Commits that wait at the same time share one sync to disk. Services take turns in that batch, and each has its own room to wait in,
//!   so that a flood of one delays the others by a batch at most and never has them refused.
//! - Keys, values, transactions, pages and waiting rooms are bounded ([`limit`]).
//! - A commit that fails with [`StateError::Io`] may or may not be on disk, but is whole or absent. A full disk heals by itself once there is
//!   room. After a failed sync nothing is served until the host restarts, since what the kernel then holds in memory and what is on disk
//!   may differ.
//!
//! Never: knows what a value means (but for the decimal counters of [`Change::Add`]), deletes a file that it cannot read, calls a service.
//!
//! Within the room: [`Store`] and [`Bucket`] are what others see; [`Backend`] is what a database must do; [`Embedded`] does it with redb:
//! `queue` collects commits, `database` runs them on one file, `batch` applies many in one redb transaction, `snapshot` reads, `recent` knows
//! what was read or written lately, `disk` is the file.
//! Tests are in `tests/`: a model, the grouping, faults of the disk, and crash images at seeded points.

mod backend;
mod batch;
mod database;
mod disk;
mod embedded;
mod error;
mod queue;
mod recent;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

pub use backend::{Backend, BackendFuture};
pub use embedded::{Embedded, Settings};
pub use error::StateError;
pub use store::{Bucket, Store};
pub use transaction::{Change, Committed, Entry, Key, Page, Transaction, Versioned, limit};
