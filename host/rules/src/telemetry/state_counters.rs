//! What one service does with its own data: operations, bytes, and the time of its commits.

use super::kind_counters::KindCounters;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a guest can ask of its service's data. Each function of the interfaces to them is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateOperation {
    /// Reads values of named keys.
    Get,
    /// Reads a page of entries or of keys.
    Scan,
    /// Changes keys, or publishes.
    Commit,
}

impl StateOperation {
    /// All of them, in the order of their counters.
    pub(super) const ALL: [Self; 3] = [Self::Get, Self::Scan, Self::Commit];

    /// Its name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Scan => "scan",
            Self::Commit => "commit",
        }
    }
}

/// Why an operation had no success.
const FAILURES: [&str; 4] = ["conflict", "invalid", "overloaded", "unavailable"];

/// The operations of one service's guests on its data, and the bytes that they read and wrote.
pub struct StateCounters {
    operations: [AtomicU64; StateOperation::ALL.len()],
    failures: KindCounters<{ FAILURES.len() }>,
    read: AtomicU64,
    written: AtomicU64,
    /// The nanoseconds that commits took. It wraps after 584 years.
    commit: AtomicU64,
}

impl Default for StateCounters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            operations: [zero(), zero(), zero()],
            failures: KindCounters::new(&FAILURES),
            read: zero(),
            written: zero(),
            commit: zero(),
        }
    }
}

impl StateCounters {
    /// A guest asks for an operation.
    pub fn began(&self, operation: StateOperation) {
        self.operations[operation as usize].fetch_add(1, Relaxed);
    }

    /// An operation has no success: `conflict`, `invalid`, `overloaded` or `unavailable`.
    pub fn failed(&self, kind: &str) {
        self.failures.count(kind);
    }

    /// A guest is handed so many bytes of keys and values.
    pub fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    /// A commit of so many bytes of keys and values is on disk.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    /// A commit has ended after so long, whatever came of it.
    pub fn committed(&self, took: Duration) {
        self.commit.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How often each operation was asked for.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.operations.iter().map(|count| count.load(Relaxed));
        StateOperation::ALL.into_iter().map(StateOperation::as_str).zip(counts)
    }

    /// How often each kind of failure has happened.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        self.failures.counts()
    }

    /// The bytes that were read, and those that were written.
    pub fn bytes(&self) -> (u64, u64) {
        (self.read.load(Relaxed), self.written.load(Relaxed))
    }

    /// How long commits took, added up.
    pub fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.commit.load(Relaxed))
    }
}
