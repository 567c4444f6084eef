//! How a store on a database server stands: whether it can be read, takes writes, and has all of its data.

use super::trouble_log::TroubleLog;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::Key;
use crate::telemetry::StoreMetrics;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::SetOnce;

/// What is known of it.
pub(super) struct RemoteStanding {
    place: String,
    pub(super) metrics: Arc<StoreMetrics>,
    /// Set once this host has lost its data.
    pub(super) superseded: SetOnce<StateError>,
    /// The first read that has found damage. It is asked again until it finds none.
    damage: Mutex<Option<Arc<DamagedRead>>>,
    told: Mutex<TroubleLog>,
}

/// A read that has found damaged data.
pub(super) struct DamagedRead {
    pub(super) bucket: ServiceName,
    pub(super) kind: DamagedReadKind,
}

/// What was asked for.
pub(super) enum DamagedReadKind {
    Get(Vec<Key>),
    Scan { prefix: Key, after: Option<Key>, limit: usize },
    Keys { prefix: Key, after: Option<Key>, limit: usize },
}

impl RemoteStanding {
    /// Of a server that was there a moment ago; `place` is its name in messages.
    pub(super) fn new(place: &str) -> Self {
        Self {
            place: place.to_owned(),
            metrics: Arc::default(),
            superseded: SetOnce::new(),
            damage: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// A batch is written.
    pub(super) fn wrote(&self, took: Duration) {
        self.metrics.wrote(took, 0);
    }

    /// So many commits are not. Whether the server can be read is for those to say that read.
    pub(super) fn not_written(&self, error: &StateError, bucket: &ServiceName, commits: usize) {
        match error {
            StateError::Damaged { .. } => {
                self.metrics.refused(error.write_cause(), commits);
                let kind = DamagedReadKind::Scan { prefix: Key::new(), after: None, limit: 1 };
                self.note_damage(DamagedRead { bucket: bucket.clone(), kind });
            }
            // Of the errors of a server, this one alone says that nobody knows.
            StateError::Io { .. } => self.metrics.failed("in-doubt", commits),
            _ => self.metrics.failed(error.write_cause(), commits),
        }
        self.note_end(error);
    }

    /// What a read has found; `read` says which one it was.
    pub(super) fn note_read<T>(&self, found: &Result<T, StateError>, read: impl FnOnce() -> DamagedRead) {
        match found {
            Err(StateError::Damaged { .. }) => self.note_damage(read()),
            Err(StateError::Unavailable { cause: "away", .. }) => self.metrics.set_away(true),
            _ => {}
        }
    }

    /// The read that has found damage, if there is one.
    pub(super) fn damaged_read(&self) -> Option<Arc<DamagedRead>> {
        lock(&self.damage).clone()
    }

    /// Three looks at the server: at what can be read, at whether it takes writes (`None`: a batch is under way, which
    /// says so), and at what was damaged, if anything was.
    pub(super) fn note_looks(
        &self,
        reads: &Result<(), StateError>,
        writes: Option<&Result<(), StateError>>,
        damage: Option<&Result<(), StateError>>,
    ) {
        if let Some(Err(error)) = writes {
            self.note_end(error);
        }
        if damage.is_some_and(Result::is_ok) {
            self.metrics.set_damaged(false);
            *lock(&self.damage) = None;
        }
        let (what, error) = match (reads, writes, damage) {
            (Err(error), ..) => ("the store is away", error),
            (Ok(()), Some(Err(error)), _) => ("the store takes no writes", error),
            (_, _, Some(Err(error @ StateError::Damaged { .. }))) => ("the store has damaged data", error),
            // The server can be read, and whether it takes writes is not known: that is no news.
            (Ok(()), None, _) if !self.metrics.takes_writes() => return,
            _ => {
                if lock(&self.told).end() {
                    tracing::warn!(target: "store", place = self.place, "the store is there again");
                }
                return;
            }
        };
        let trouble = format!("{what}: {}", error.problem());
        if lock(&self.told).is_news(&trouble, Instant::now()) {
            // By its `reason` the bound on repeated lines tells one cause from another.
            tracing::error!(target: "store", place = self.place, reason = error.with_causes(), "{what}");
        }
    }

    /// Keeps the error after which this host writes nothing more.
    fn note_end(&self, error: &StateError) {
        if matches!(error, StateError::Superseded { .. }) && self.superseded.set(error.clone()).is_ok() {
            tracing::error!(target: "store", error = error.with_causes(), "the data are this host's no longer");
        }
    }

    fn note_damage(&self, read: DamagedRead) {
        self.metrics.set_damaged(true);
        lock(&self.damage).get_or_insert_with(|| Arc::new(read));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
