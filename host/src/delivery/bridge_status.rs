//! How a bridge fares, as its task tells.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// How a bridge fares, as its task tells.
#[derive(Debug, Default)]
pub(super) struct BridgeStatus {
    pub(super) copied: AtomicU64,
    /// The number of the last event that the broker's log has; of a bridge from it.
    pub(super) remote_last: Mutex<Option<u64>>,
    pub(super) failure: Mutex<Option<String>>,
}

impl BridgeStatus {
    pub(super) fn has_copied(&self, events: usize) {
        self.copied.fetch_add(events as u64, Relaxed);
    }
}

/// What a look at the source has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BridgeStep {
    /// Events were copied, or left out.
    Moved,
    /// There is nothing to copy, or no room for it.
    Idle,
}

pub(super) fn set<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}
