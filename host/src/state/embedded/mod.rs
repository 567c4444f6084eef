//! Owns the embedded database: redb in one file, the thread that writes to it, the encryption of values, and the cache
//! of values in memory.
//! Always holds: an acknowledged commit is on disk; the cache answers what the database would answer at that moment.
//! Never: knows what a value means, serves anything after a failed sync, or lets a panic of redb out.

pub(super) mod batch;
pub(super) mod caught_panic;
mod data_control;
pub(super) mod database;
pub(super) mod disk;
pub(super) mod engine;
pub(super) mod format;
mod frozen_table;
pub(super) mod keyed_snapshot;
mod layout;
pub(super) mod read_only_disk;
pub(super) mod sealing;
pub(super) mod snapshot;
pub(super) mod value_cache;
