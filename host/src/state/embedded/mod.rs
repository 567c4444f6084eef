//! The embedded database: redb in one file. `fair_queue` collects commits, `batch` applies them, `value_cache` serves
//! reads. Always holds: one thread writes; an answer comes when its commit is on disk; the cache answers what the
//! database would. Never: knows a service's name but as a table, or lets a panic of redb out.

pub(super) mod batch;
pub(super) mod database;
pub(super) mod disk;
pub(super) mod engine;
pub(super) mod fair_queue;
pub(super) mod snapshot;
pub(super) mod value_cache;
