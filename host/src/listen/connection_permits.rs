//! The permits of a listener's connections: how many there may be at a time, and which idle one makes room.

use super::connection_stage::StageTracker;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A connection that was idle for less is in use: its client has read an answer and is about to send the next request.
const LEAST_IDLE: Duration = Duration::from_millis(100);
/// How often an idle connection is looked for while a new one waits.
const LOOK: Duration = Duration::from_millis(50);

/// The permits of a listener's connections.
#[derive(Debug)]
pub(super) struct ConnectionPermits {
    free: Arc<Semaphore>,
    taken: Mutex<TakenPermits>,
}

#[derive(Debug, Default)]
struct TakenPermits {
    next: u64,
    by_key: HashMap<u64, Arc<StageTracker>>,
}

/// The permit of one connection. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    key: u64,
    /// The stage of the connection.
    pub(super) tracker: Arc<StageTracker>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermits {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, taken: Mutex::default() })
    }

    /// A permit, at once if one is free. Otherwise the connection that has been idle for the longest time is closed; if
    /// none is idle, this waits. Cancel safe.
    pub(super) async fn take(self: &Arc<Self>) -> ConnectionPermit {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return self.permit(permit);
        }
        loop {
            self.close_longest_idle();
            // A connection that was chosen may get a request at the same moment, and goes on then.
            if let Ok(permit) = timeout(LOOK, Arc::clone(&self.free).acquire_owned()).await {
                return self.permit(permit.expect("the semaphore is never closed"));
            }
        }
    }

    fn permit(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        let tracker = Arc::new(StageTracker::new());
        let mut taken = self.taken();
        let key = taken.next;
        taken.next += 1;
        taken.by_key.insert(key, Arc::clone(&tracker));
        drop(taken);
        ConnectionPermit { permits: Arc::clone(self), key, tracker, _permit: permit }
    }

    fn close_longest_idle(&self) {
        let taken = self.taken();
        let idle = taken.by_key.values().filter_map(|tracker| Some((tracker.idle()?, tracker)));
        let longest = idle.max_by_key(|((since, _), _)| since.elapsed());
        if let Some(((since, version), tracker)) = longest
            && since.elapsed() >= LEAST_IDLE
        {
            tracker.make_room(version);
        }
    }

    fn taken(&self) -> MutexGuard<'_, TakenPermits> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.permits.taken().by_key.remove(&self.key);
    }
}
