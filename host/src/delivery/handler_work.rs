//! What the handlers of a subscription take.

use crate::base::{TakenWork, WorkPayer};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The account of one subscription. No client pays for the work of an event: the operator sees it here.
#[derive(Debug, Default)]
pub struct HandlerWork {
    nanos: AtomicU64,
}

impl HandlerWork {
    /// The processor time of all guests that worked for its events since the start, those that were called by the
    /// handler too.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }
}

impl WorkPayer for HandlerWork {
    fn pay(&self, work: TakenWork) {
        self.nanos.fetch_add(u64::try_from(work.cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}
