//! Where a test ends the host, to see what a `kill -9` between two writes leaves.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The moment at which the host ends itself, counted from 1. No settings of a release build have one.
#[derive(Debug)]
pub(super) struct StopPoint {
    at: Option<u64>,
    passed: AtomicU64,
}

impl StopPoint {
    pub(super) fn new(at: Option<u64>) -> Self {
        if let Some(at) = at {
            tracing::warn!(at, "a test's kill switch is set: the host ends itself at a moment of its writes");
        }
        Self { at, passed: AtomicU64::new(0) }
    }

    /// Ends the host if this is the moment: nothing is flushed, dropped or answered.
    pub(super) fn pass(&self) {
        let Some(at) = self.at else { return };
        if self.passed.fetch_add(1, Relaxed) + 1 == at {
            let killed = kill_process(getpid(), Signal::KILL);
            panic!("the host outlives its own kill: {killed:?}");
        }
    }
}
