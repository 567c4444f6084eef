//! Floor 3: the key-value data of each service.
//!
//! Owns the database: its file, its format, the versions of its values, and the one thread that writes. `runtime`
//! gives a guest a [`Bucket`] and nothing else, so no guest can name the data of another service.
//!
//! What always holds:
//! - An acknowledged commit is on disk: it survives `kill -9` and the loss of power. A commit applies whole or not at
//!   all.
//! - Every value carries the version of the commit that wrote it. One counter numbers the commits of the whole
//!   database. It only grows, and a number that a caller has seen is never given again, neither after a delete nor
//!   after a crash. So an unchanged version means an unchanged value. An absent key reads as version 0. Between two
//!   reads of an absent key, the key may have been written and deleted; a transaction that depends only on its absence
//!   need not know that.
//! - Commits that wait at the same time share one sync to disk. A batch takes from the services in turn, and each
//!   service has its own bound on waiting commits. So a flood of commits from one service delays the others by at most
//!   one batch, and never has them refused.
//! - Keys, values, transactions, pages and waiting commits are bounded ([`limit`]).
//! - A commit that fails with [`StateError::Io`] is on disk whole or not at all, and the caller cannot tell which.
//!   After a full disk, the database works again once there is room. After a failed sync it serves nothing until the
//!   host restarts, since what the kernel then holds in memory and what is on disk may differ.
//! - What is watched ([`KeyWatch`]) ends before the first change of it can be read, and before that is acknowledged.
//! - With [`Encryption`] no value is on disk as it is, and a value that was moved or altered there is not read. Names
//!   of services and keys, versions and lengths stay readable.
//!
//! Never: knows what a value means (except the decimal counters of [`Change::Add`]), deletes a file that it cannot
//! read, calls a service.
//!
//! Within the room: [`Store`] and [`Bucket`] are what other rooms use. [`Backend`] is what a database must do. The
//! wing `embedded` does it with redb, in [`Embedded`]. The wing `remote` does it with a database server, over what the
//! wings of servers ask: `postgres`, `redis`.
//!
//! Tests are in `tests/`: a model, the sharing of syncs, failures of the disk, and crash images at seeded points.

mod absent_backend;
mod backend;
mod backend_future;
mod batch_plan;
mod bucket_export;
mod bucket_import;
mod bucket_lines;
mod commit_queue;
mod cursors;
mod data_format;
mod embedded;
mod error;
mod fair_queue;
mod frozen_bucket;
mod key_watches;
mod overlay;
mod postgres;
mod redis;
mod remote;
mod remote_settings;
mod state_key;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;

pub use backend::Backend;
pub use backend_future::BackendFuture;
pub use bucket_export::BucketExport;
pub use bucket_import::{BucketImport, ImportCounts};
pub use bucket_lines::{BucketFileError, BucketHeader, BucketReader};
pub use data_format::{DataFormat, NotedFormat};
pub use embedded::caught_panic::keep_quiet_about_caught_panics;
pub use embedded::engine::{Embedded, Settings};
pub use error::{StateError, StorageCause};
pub use frozen_bucket::{FrozenBucket, ValueForm};
pub use key_watches::{KeyWatch, KeyWatches};
pub use overlay::Overlay;
pub use remote_settings::{BackendPassword, RemoteKind, RemoteSettings};
pub use state_key::{Encryption, StateKey};
pub use store::{Bucket, Store};
pub use transaction::{
    Beside, Change, Committed, Entry, Key, Page, Transaction, Versioned, limit, sequence_key, sequence_prefix,
};
