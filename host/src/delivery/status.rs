//! What the task of a subscription tells others.

use crate::events::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Up to which event a subscription has settled all: shared with the retention.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled(Arc<AtomicU64>);

impl Settled {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }
}

/// How a subscription fares, as its task tells.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) progress: Option<Progress>,
    /// When the oldest event was published that was read and is not settled, in milliseconds since 1970.
    pub(super) oldest: Option<u64>,
    /// The oldest event that has failed, with its key.
    pub(super) stuck: Option<(u64, Option<String>)>,
    pub(super) under_way: usize,
    pub(super) dead: usize,
    pub(super) handled: u64,
    pub(super) failures: u64,
}
