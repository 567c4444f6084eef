//! The bulkhead of one service: how many calls are under way at a time, how many wait in its queue, and for how long.
//!
//! A call that cannot be served in time is refused before any work is done for it. Two rules refuse a call at once: the
//! queue is full; or the call would probably wait too long, by the average time for which calls lately held a permit.
//! Without the second rule such calls would wait in vain first.

use crate::mesh::clock;
use crate::telemetry::ServiceMetrics;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The bounds of a service's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// Calls at a time for each endpoint; the service may have this many times the number of its endpoints. Default
    /// 256.
    pub concurrency: usize,
    /// Calls of the whole service that may wait for a permit; one more is refused. Default 128.
    pub waiting: usize,
    /// The longest wait for a permit. Default 100 ms.
    pub wait: Duration,
}

impl Default for BulkheadSettings {
    fn default() -> Self {
        Self { concurrency: 256, waiting: 128, wait: Duration::from_millis(100) }
    }
}

/// A new sample counts for a sixteenth of the average.
const SMOOTHING: u64 = 16;

/// The calls of one service: those under way, and those that wait.
pub struct Bulkhead {
    settings: BulkheadSettings,
    /// Where waits are recorded.
    metrics: Arc<ServiceMetrics>,
    permits: Arc<Semaphore>,
    size: Mutex<usize>,
    /// Permits that a shrinking still has to take away: calls held them at that moment.
    owed: AtomicUsize,
    waiting: AtomicUsize,
    /// Average time in nanoseconds for which calls hold a permit. Two threads that write at once may lose a sample; a
    /// few lost among thousands do no harm.
    average_hold: AtomicU64,
}

/// The state of a bulkhead at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadCounts {
    /// Calls that may be under way.
    pub permits: usize,
    /// Calls that are under way. After a shrinking there may be more of them than permits.
    pub taken: usize,
    /// Calls that wait for a permit.
    pub waiting: usize,
}

/// Why a call gets no permit: for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BulkheadFull {
    /// So many calls wait, and the queue takes no more.
    #[error("the queue is full: {0} calls wait already")]
    Queue(usize),
    /// So many calls wait that the new one would wait too long.
    #[error("{0} calls wait already, so this one would wait too long")]
    Later(usize),
    /// The call waited for this long, and no permit came free.
    #[error("no permit came free within {0:?}")]
    Wait(Duration),
}

/// The right to be under way. It goes back when it is dropped.
pub struct BulkheadPermit {
    bulkhead: Arc<Bulkhead>,
    /// `None` only inside of the drop, which gives it back or forgets it.
    permit: Option<OwnedSemaphorePermit>,
    since: Instant,
}

/// A call that was let in.
pub struct Entered {
    /// Its permit.
    pub permit: BulkheadPermit,
    /// How long it waited; `None` if a permit was free at once.
    pub waited: Option<Duration>,
}

impl Bulkhead {
    /// A bulkhead without permits: [`Bulkhead::resize`] makes them. It records in `metrics` how long calls wait.
    pub fn new(settings: BulkheadSettings, metrics: Arc<ServiceMetrics>) -> Self {
        Self {
            settings,
            metrics,
            permits: Arc::new(Semaphore::new(0)),
            size: Mutex::new(0),
            owed: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            average_hold: AtomicU64::new(0),
        }
    }

    /// The bounds that it was made with.
    pub fn settings(&self) -> &BulkheadSettings {
        &self.settings
    }

    /// Makes room for the calls of this many endpoints. Calls under way go on: where the bulkhead shrinks below them,
    /// the next permits that come back are taken away.
    pub fn resize(&self, endpoints: usize) {
        let wanted = (endpoints * self.settings.concurrency).min(Semaphore::MAX_PERMITS);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *size, wanted);
        if wanted >= before {
            // New permits first pay off what an earlier shrinking still owes.
            let grown = wanted - before;
            let owed = self.owed.fetch_update(Relaxed, Relaxed, |owed| Some(owed.saturating_sub(grown))).unwrap_or(0);
            self.permits.add_permits(grown - owed.min(grown));
        } else {
            let gone = self.permits.forget_permits(before - wanted);
            self.owed.fetch_add(before - wanted - gone, Relaxed);
        }
    }

    /// Its state now.
    pub fn counts(&self) -> BulkheadCounts {
        let permits = *self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = (permits + self.owed.load(Relaxed)).saturating_sub(self.permits.available_permits());
        BulkheadCounts { permits, taken, waiting: self.waiting.load(Relaxed) }
    }

    /// A permit, if one is free at `now`.
    pub fn try_enter(self: &Arc<Self>, now: Instant) -> Option<BulkheadPermit> {
        // The semaphore hands a permit that comes back to the longest waiting call. So a new call never overtakes one
        // that waits.
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.permit(permit, now))
    }

    /// A permit, at once or after a wait, which ends by `deadline` at the latest.
    ///
    /// # Errors
    /// No permit is free, and the call may not wait for one, or waited in vain.
    pub async fn enter(self: &Arc<Self>, deadline: Instant) -> Result<Entered, BulkheadFull> {
        if let Some(permit) = self.try_enter(clock::now()) {
            return Ok(Entered { permit, waited: None });
        }
        let seat = QueueSeat::take(&self.waiting, self.settings.waiting).map_err(BulkheadFull::Queue)?;
        let began = clock::now();
        let wait = self.settings.wait.min(deadline.saturating_duration_since(began));
        // The expected wait is an average, and may be too short. A quarter is kept back: a refusal now is better than
        // one after a vain wait.
        if self.expected_wait(seat.position) > wait - wait / 4 {
            return Err(BulkheadFull::Later(seat.position - 1));
        }
        let waiting = QueueWait { metrics: &self.metrics, began };
        let permit =
            timeout(wait, Arc::clone(&self.permits).acquire_owned()).await.map_err(|_| BulkheadFull::Wait(wait))?;
        drop(waiting);
        let now = clock::now();
        let permit = self.permit(permit.expect("the semaphore is never closed"), now);
        Ok(Entered { permit, waited: Some(now - began) })
    }

    /// How long the call at `position` of the queue, from 1, will probably wait.
    fn expected_wait(&self, position: usize) -> Duration {
        let size = (*self.size.lock().unwrap_or_else(PoisonError::into_inner)).max(1);
        let nanos = u128::from(self.average_hold.load(Relaxed)) * position as u128 / size as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn permit(self: &Arc<Self>, permit: OwnedSemaphorePermit, since: Instant) -> BulkheadPermit {
        BulkheadPermit { bulkhead: Arc::clone(self), permit: Some(permit), since }
    }

    /// Adds a sample to the average.
    fn note(&self, held: Duration) {
        let nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX / SMOOTHING);
        let before = self.average_hold.load(Relaxed);
        let after = if before == 0 { nanos } else { before - before / SMOOTHING + nanos / SMOOTHING };
        self.average_hold.store(after, Relaxed);
    }
}

impl BulkheadPermit {
    /// When the call was let in.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for BulkheadPermit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let held = clock::now().saturating_duration_since(self.since);
        self.bulkhead.note(held);
        self.bulkhead.metrics.called(held);
        let owed = self.bulkhead.owed.fetch_update(Relaxed, Relaxed, |owed| owed.checked_sub(1));
        if owed.is_ok() {
            permit.forget();
        }
    }
}

/// The wait of one call. It is recorded when this is dropped: the call is let in, is refused in the end, or its caller
/// has gone away.
struct QueueWait<'a> {
    metrics: &'a ServiceMetrics,
    began: Instant,
}

impl Drop for QueueWait<'_> {
    fn drop(&mut self) {
        self.metrics.waited(clock::now().saturating_duration_since(self.began));
    }
}

/// A seat in the queue. It is free again when this is dropped.
struct QueueSeat<'a> {
    waiting: &'a AtomicUsize,
    /// How many calls wait, with this one.
    position: usize,
}

impl<'a> QueueSeat<'a> {
    /// # Errors
    /// How many calls wait already, when there is no seat for one more.
    fn take(waiting: &'a AtomicUsize, most: usize) -> Result<Self, usize> {
        // Count first, then compare: two calls that race for the last seat may both be refused, and never both get it.
        let before = waiting.fetch_add(1, Relaxed);
        let seat = Self { waiting, position: before + 1 };
        if before < most { Ok(seat) } else { Err(before) }
    }
}

impl Drop for QueueSeat<'_> {
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
        let bulkhead =
            Bulkhead::new(BulkheadSettings { concurrency, waiting, wait: Duration::from_millis(100) }, Arc::default());
        bulkhead.resize(1);
        Arc::new(bulkhead)
    }

    /// Polls `future` once; whether it waits.
    async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
    }

    fn counts(permits: usize, taken: usize, waiting: usize) -> BulkheadCounts {
        BulkheadCounts { permits, taken, waiting }
    }

    fn later() -> Instant {
        clock::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_seats_and_permits_come_back() {
        let bulkhead = bulkhead(1, 1);
        let Entered { permit, waited } = bulkhead.enter(later()).await.ok().unwrap();
        assert_eq!(waited, None);
        let mut second = Box::pin(bulkhead.enter(later()));
        assert!(waits(&mut second).await);
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Queue(1)));
        assert_eq!(bulkhead.counts(), counts(1, 1, 1));
        tokio::time::advance(Duration::from_millis(30)).await;
        drop(permit);
        let Entered { permit, waited } = second.await.ok().unwrap();
        assert_eq!(waited, Some(Duration::from_millis(30)));
        drop(permit);
        assert_eq!(bulkhead.counts(), counts(1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_after_its_longest_time_or_at_the_deadline() {
        let bulkhead = bulkhead(1, 8);
        let _entered = bulkhead.enter(later()).await.ok().unwrap();
        let began = clock::now();
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Wait(Duration::from_millis(100))));
        assert_eq!(clock::now() - began, Duration::from_millis(100));
        let soon = clock::now() + Duration::from_millis(10);
        assert_eq!(bulkhead.enter(soon).await.err(), Some(BulkheadFull::Wait(Duration::from_millis(10))));
        assert_eq!(bulkhead.counts(), counts(1, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_would_probably_wait_too_long_is_refused_at_once() {
        let bulkhead = bulkhead(2, 100);
        for _ in 0..3 {
            let entered = bulkhead.enter(later()).await.ok().unwrap();
            tokio::time::advance(Duration::from_millis(50)).await;
            drop(entered);
        }
        let _both = (bulkhead.enter(later()).await.ok().unwrap(), bulkhead.enter(later()).await.ok().unwrap());
        // Two calls at a time, 50 ms each: the third in the queue waits for 75 ms, the fourth for 100 ms.
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(bulkhead.enter(later()))).collect();
        for call in &mut waiting {
            assert!(waits(call).await);
        }
        let began = clock::now();
        assert_eq!(bulkhead.enter(later()).await.err(), Some(BulkheadFull::Later(3)));
        assert_eq!(clock::now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bulkhead_grows_and_shrinks_while_calls_are_under_way() {
        let bulkhead = bulkhead(2, 0);
        bulkhead.resize(3);
        let mut permits = Vec::new();
        while let Ok(entered) = bulkhead.enter(later()).await {
            permits.push(entered.permit);
        }
        assert_eq!(permits.len(), 6);
        bulkhead.resize(1);
        assert_eq!(bulkhead.counts(), counts(2, 6, 0));
        permits.truncate(3);
        assert!(bulkhead.enter(later()).await.is_err(), "three calls are under way, and two may be");
        bulkhead.resize(2);
        assert_eq!(bulkhead.counts(), counts(4, 3, 0));
        permits.push(bulkhead.enter(later()).await.ok().unwrap().permit);
        assert!(bulkhead.enter(later()).await.is_err());
        permits.clear();
        assert_eq!(bulkhead.counts(), counts(4, 0, 0));
        for _ in 0..4 {
            permits.push(bulkhead.enter(later()).await.ok().unwrap().permit);
        }
        assert!(bulkhead.enter(later()).await.is_err(), "exactly four came back");
    }
}
