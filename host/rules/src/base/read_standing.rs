//! Whether all that a call has read still stands.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a call has read of the stores of its services. It stands until the first change of any of it, and never again.
///
/// Whoever reads for the call has what it reads watched *before* the read, by [`ReadStanding::ended`]; whoever changes
/// it ends that flag *before* anybody can see the change. So as long as the standing stands, the call would read the
/// same again.
#[derive(Default)]
pub struct ReadStanding {
    ended: Arc<AtomicBool>,
    /// What keeps the flag watched. It goes with this standing.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
    reads: AtomicUsize,
    weight: AtomicUsize,
}

impl ReadStanding {
    /// Whether nothing has changed. If another thread has acknowledged a change of what was read, this is false.
    pub fn stands(&self) -> bool {
        // Acquire, with the release of the end: who sees that it is over may have been told by the writer's caller.
        !self.ended.load(Ordering::Acquire)
    }

    /// It stands no longer.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// The flag that ends it.
    pub fn ended(&self) -> &Arc<AtomicBool> {
        &self.ended
    }

    /// Keeps `watch`, which watches so many `reads` and holds about `weight` bytes, for as long as this lives.
    pub fn hold(&self, watch: impl Any + Send, reads: usize, weight: usize) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(watch));
        self.reads.fetch_add(reads, Ordering::Relaxed);
        self.weight.fetch_add(weight, Ordering::Relaxed);
    }

    /// How many keys and listings are watched.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// The bytes that it holds, about.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for ReadStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStanding").field("stands", &self.stands()).field("reads", &self.reads()).finish()
    }
}
