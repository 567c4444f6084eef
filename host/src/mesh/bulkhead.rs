//! The bulkhead of one service: how many calls it serves at a time, how many wait for their turn, and for how long.
//!
//! Whoever cannot be served in time is refused before any work is done for it. Two rules find that out: a seat in the queue must be free, and
//! by what calls took lately, the caller's turn must come within the longest wait. The second refuses at once those whom the first would let
//! wait in vain.

use super::clock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The bounds of a service's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// Calls at a time at each endpoint; the service's are so many for each of its endpoints. Default 256.
    pub concurrency: usize,
    /// Calls of the whole service that may wait for one of those to end; one more is refused. Default 128.
    pub waiting: usize,
    /// How long a call may wait. Default 100 ms.
    pub wait: Duration,
}

impl Default for BulkheadSettings {
    fn default() -> Self {
        Self { concurrency: 256, waiting: 128, wait: Duration::from_millis(100) }
    }
}

/// A new call counts for a sixteenth of what is known of how long calls take.
const SMOOTHING: u64 = 16;

/// The calls of one service that are under way, and those that wait.
pub struct Bulkhead {
    settings: BulkheadSettings,
    free: Arc<Semaphore>,
    size: Mutex<usize>,
    /// Slots that a shrinking has still to take away: calls held them.
    owed: AtomicUsize,
    waiting: AtomicUsize,
    /// Nanoseconds for which a call has its slot, on average. A sample may be lost between two threads; a few of thousands are no matter.
    held: AtomicU64,
}

/// Why a call has no slot: for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BulkheadFull {
    /// Every seat of the queue is taken: how many.
    #[error("{0} calls wait already")]
    Queue(usize),
    /// There is a seat behind so many others, from which its turn would come too late.
    #[error("{0} calls wait already, and its turn would come too late")]
    Later(usize),
    /// It has waited for so long in vain.
    #[error("its turn did not come within {0:?}")]
    Wait(Duration),
}

/// The right to be under way. It goes back when it is dropped.
pub struct BulkheadPermit {
    bulkhead: Arc<Bulkhead>,
    /// Taken by the drop, which decides where it goes.
    permit: Option<OwnedSemaphorePermit>,
    since: Instant,
}

impl Bulkhead {
    /// A bulkhead without a slot: [`Bulkhead::resize`] makes them.
    pub fn new(settings: BulkheadSettings) -> Self {
        Self {
            settings,
            free: Arc::new(Semaphore::new(0)),
            size: Mutex::new(0),
            owed: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            held: AtomicU64::new(0),
        }
    }

    /// Its bounds.
    pub fn settings(&self) -> &BulkheadSettings {
        &self.settings
    }

    /// Makes room for the calls of so many endpoints. Calls under way go on; where there are fewer slots now, the next to end are given up.
    pub fn resize(&self, endpoints: usize) {
        let wanted = (endpoints * self.settings.concurrency).min(Semaphore::MAX_PERMITS);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *size, wanted);
        if wanted >= before {
            // What is owed and what is new cancel each other out.
            let grown = wanted - before;
            let owed = self.owed.fetch_update(Relaxed, Relaxed, |owed| Some(owed.saturating_sub(grown))).unwrap_or(0);
            self.free.add_permits(grown - owed.min(grown));
        } else {
            let gone = self.free.forget_permits(before - wanted);
            self.owed.fetch_add(before - wanted - gone, Relaxed);
        }
    }

    /// Slots, calls under way, and calls that wait.
    pub fn counts(&self) -> (usize, usize, usize) {
        let size = *self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = (size + self.owed.load(Relaxed)).saturating_sub(self.free.available_permits());
        (size, taken, self.waiting.load(Relaxed))
    }

    /// A slot, at once or after a wait, which ends by `deadline` at the latest; with the time waited in the second case.
    ///
    /// # Errors
    /// No slot is free, and no wait for one is to be had, or none was of use.
    pub async fn enter(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<(BulkheadPermit, Option<Duration>), BulkheadFull> {
        // A slot that is given back goes to whoever waits longest, so a newcomer takes only one that nobody waits for.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok((self.slot(permit, clock::now()), None));
        }
        let seat = Seat::take(&self.waiting, self.settings.waiting).map_err(BulkheadFull::Queue)?;
        let began = clock::now();
        let wait = self.settings.wait.min(deadline.saturating_duration_since(began));
        // A quarter is kept back: what calls take is an average, and who is refused should be so now and not later.
        if self.expected(seat.place) > wait - wait / 4 {
            return Err(BulkheadFull::Later(seat.place - 1));
        }
        let permit =
            timeout(wait, Arc::clone(&self.free).acquire_owned()).await.map_err(|_| BulkheadFull::Wait(wait))?;
        let now = clock::now();
        Ok((self.slot(permit.expect("the semaphore is never closed"), now), Some(now - began)))
    }

    /// How long the one at `place` of the queue, from 1, is likely to wait.
    fn expected(&self, place: usize) -> Duration {
        let size = (*self.size.lock().unwrap_or_else(PoisonError::into_inner)).max(1);
        let nanos = u128::from(self.held.load(Relaxed)) * place as u128 / size as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn slot(self: &Arc<Self>, permit: OwnedSemaphorePermit, since: Instant) -> BulkheadPermit {
        BulkheadPermit { bulkhead: Arc::clone(self), permit: Some(permit), since }
    }

    fn note(&self, held: Duration) {
        let nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX / SMOOTHING);
        let before = self.held.load(Relaxed);
        let after = if before == 0 { nanos } else { before - before / SMOOTHING + nanos / SMOOTHING };
        self.held.store(after, Relaxed);
    }
}

impl Drop for BulkheadPermit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        self.bulkhead.note(clock::now().saturating_duration_since(self.since));
        let owed = self.bulkhead.owed.fetch_update(Relaxed, Relaxed, |owed| owed.checked_sub(1));
        if owed.is_ok() {
            permit.forget();
        }
    }
}

/// A place in the queue, given back when it is dropped.
struct Seat<'a> {
    waiting: &'a AtomicUsize,
    place: usize,
}

impl<'a> Seat<'a> {
    /// # Errors
    /// How many wait already, when there is no seat for one more.
    fn take(waiting: &'a AtomicUsize, most: usize) -> Result<Self, usize> {
        // Count first, look then: two that come at once can both be refused at the last seat, never both be seated.
        let before = waiting.fetch_add(1, Relaxed);
        let seat = Self { waiting, place: before + 1 };
        if before < most { Ok(seat) } else { Err(before) }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    fn bulkhead(concurrency: usize, waiting: usize) -> Arc<Bulkhead> {
        let bulkhead = Bulkhead::new(BulkheadSettings { concurrency, waiting, wait: Duration::from_millis(100) });
        bulkhead.resize(1);
        Arc::new(bulkhead)
    }

    /// Polls once.
    async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
    }

    fn later() -> Instant {
        clock::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn seats_are_bounded_and_given_back() {
        let bulkhead = bulkhead(1, 1);
        let (slot, waited) = bulkhead.enter(later()).await.ok().unwrap();
        assert_eq!(waited, None);
        let mut second = Box::pin(bulkhead.enter(later()));
        assert!(waits(&mut second).await);
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Queue(1)));
        assert_eq!(bulkhead.counts(), (1, 1, 1));
        tokio::time::advance(Duration::from_millis(30)).await;
        drop(slot);
        let (slot, waited) = second.await.ok().unwrap();
        assert_eq!(waited, Some(Duration::from_millis(30)));
        drop(slot);
        assert_eq!(bulkhead.counts(), (1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends() {
        let bulkhead = bulkhead(1, 8);
        let _slot = bulkhead.enter(later()).await.ok().unwrap();
        let began = clock::now();
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Wait(Duration::from_millis(100))));
        assert_eq!(clock::now() - began, Duration::from_millis(100));
        let soon = clock::now() + Duration::from_millis(10);
        assert_eq!(bulkhead.enter(soon).await.err(), Some(BulkheadFull::Wait(Duration::from_millis(10))));
        assert_eq!(bulkhead.counts(), (1, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_in_vain_is_refused_at_once() {
        let bulkhead = bulkhead(2, 100);
        for _ in 0..3 {
            let slot = bulkhead.enter(later()).await.ok().unwrap();
            tokio::time::advance(Duration::from_millis(50)).await;
            drop(slot);
        }
        let _both = (bulkhead.enter(later()).await.ok().unwrap(), bulkhead.enter(later()).await.ok().unwrap());
        // Two at a time for 50 ms each: the third in the queue has its turn after 75 ms, the fourth after 100.
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(bulkhead.enter(later()))).collect();
        for one in &mut waiting {
            assert!(waits(one).await);
        }
        let began = clock::now();
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Later(3)));
        assert_eq!(clock::now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_and_shrinks_while_calls_are_under_way() {
        let bulkhead = bulkhead(2, 0);
        bulkhead.resize(3);
        let mut slots = Vec::new();
        while let Ok((slot, _)) = bulkhead.enter(later()).await {
            slots.push(slot);
        }
        assert_eq!(slots.len(), 6);
        bulkhead.resize(1);
        assert_eq!(bulkhead.counts(), (2, 6, 0));
        slots.truncate(3);
        assert!(bulkhead.enter(later()).await.is_err(), "three are under way, and two may be");
        bulkhead.resize(2);
        assert_eq!(bulkhead.counts(), (4, 3, 0));
        slots.push(bulkhead.enter(later()).await.ok().unwrap().0);
        assert!(bulkhead.enter(later()).await.is_err());
        slots.clear();
        assert_eq!(bulkhead.counts(), (4, 0, 0));
        for _ in 0..4 {
            slots.push(bulkhead.enter(later()).await.ok().unwrap().0);
        }
        assert!(bulkhead.enter(later()).await.is_err(), "exactly four came back");
    }
}
