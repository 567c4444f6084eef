//! Instances that are kept between calls.

use super::job::Job;
use super::settings::Reuse;
use super::shortage::PoolPressure;
use super::slots::DepthClass;
use super::worker::Worker;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Instant;
use tokio::sync::futures::Notified;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

/// The instances of one endpoint that may serve further calls.
pub(super) struct KeptInstances {
    settings: Reuse,
    /// The instances that there may be. One that takes no more calls and has not ended yet is still one.
    pub(super) places: Arc<Semaphore>,
    shelf: Mutex<IdleList>,
    /// Rung when an instance has room again.
    freed: Notify,
    shortage: Arc<PoolPressure>,
}

#[derive(Default)]
struct IdleList {
    /// Those with room for another call, the one used last at the end: its memory is the warmest, and those at the front fall idle.
    ready: Vec<(Arc<KeptInstance>, Instant)>,
    /// Whether somebody looks after those that rest.
    swept: bool,
}

/// An instance, on the shelf or in the hands of its callers. The numbers change under the shelf's lock alone.
struct KeptInstance {
    worker: Worker,
    /// The class of the call that it was made for: its slots count as those of that class.
    class: DepthClass,
    served: AtomicUsize,
    in_flight: AtomicUsize,
    /// One of its calls got no answer: it takes no more.
    retired: AtomicBool,
}

/// One call of a kept instance. Dropped without an answer, the instance takes no further call, and ends with the last.
pub(super) struct Ticket {
    warm: Arc<KeptInstances>,
    kept: Arc<KeptInstance>,
    pub(super) answered: bool,
}

impl KeptInstances {
    /// No instances yet, and at most `most`.
    pub(super) fn new(settings: Reuse, most: usize, shortage: Arc<PoolPressure>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(most));
        let (shelf, freed) = (Mutex::default(), Notify::new());
        let warm = Arc::new(Self { settings, places, shelf, freed, shortage: Arc::clone(&shortage) });
        shortage.watch(Arc::downgrade(&warm));
        warm
    }

    /// Calls that one instance serves at a time.
    pub(super) fn concurrent(&self) -> usize {
        self.settings.max_concurrent
    }

    /// Hands `job` to an instance that has room, and drives it with `between` after each step; or gives the job back.
    #[expect(clippy::result_large_err, reason = "no error: the job comes back, to be handed to another")]
    pub(super) fn send(
        self: &Arc<Self>,
        mut job: Job,
        between: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<Ticket, Job> {
        while let Some(kept) = self.take(DepthClass::of(job.context.depth)) {
            let ticket = Ticket { warm: Arc::clone(self), kept, answered: false };
            match ticket.kept.worker.hand(job, &mut *between) {
                Ok(()) => return Ok(ticket),
                // It has ended by itself. The ticket, which goes here unanswered, takes it off the shelf.
                Err(TrySendError::Closed(back) | TrySendError::Full(back)) => job = back,
            }
        }
        Err(job)
    }

    /// Puts a new instance on the shelf and hands it its first job, as [`KeptInstances::send`] does.
    pub(super) fn add(
        self: &Arc<Self>,
        worker: Worker,
        class: DepthClass,
        job: Job,
        between: impl FnMut(&mut Context<'_>),
    ) -> Ticket {
        let kept = KeptInstance {
            worker,
            class,
            served: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
        };
        let kept = Arc::new(kept);
        self.begin(&mut self.shelf(), &kept);
        if self.settings.max_concurrent > 1 {
            self.freed.notify_waiters();
        }
        let ticket = Ticket { warm: Arc::clone(self), kept, answered: false };
        // An instance that could not even take its first job has a fault, which its caller finds.
        let _ = ticket.kept.worker.hand(job, between);
        ticket
    }

    /// When the one that has rested for longest began to, of those made for a call of `most` or of a class before it.
    pub(super) fn resting_since(&self, most: DepthClass) -> Option<Instant> {
        self.shelf().ready.iter().find(|(kept, _)| kept.rests() && kept.class <= most).map(|(_, since)| *since)
    }

    /// Gives up the one that has rested for longest, of those made for a call of `most` or of a class before it; it ends in order.
    pub(super) fn give_up_one(&self, most: DepthClass) {
        let mut shelf = self.shelf();
        if let Some(at) = shelf.ready.iter().position(|(kept, _)| kept.rests() && kept.class <= most) {
            shelf.ready.remove(at);
        }
    }

    /// Whether there are as many instances as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Rings when an instance may have room again.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// The one used last of those that a call of `class` may have. What was made for deeper calls is not for it: otherwise the part of the
    /// pool that is kept for those would be open to it after all.
    fn take(self: &Arc<Self>, class: DepthClass) -> Option<Arc<KeptInstance>> {
        let mut shelf = self.shelf();
        let at = shelf.ready.iter().rposition(|(kept, _)| kept.class <= class)?;
        let (kept, _) = shelf.ready.remove(at);
        self.begin(&mut shelf, &kept);
        Some(kept)
    }

    /// Counts a call in; the instance stays within reach if it has room for more.
    fn begin(self: &Arc<Self>, shelf: &mut IdleList, kept: &Arc<KeptInstance>) {
        let in_flight = kept.in_flight.fetch_add(1, Relaxed) + 1;
        let served = kept.served.fetch_add(1, Relaxed) + 1;
        if in_flight < self.settings.max_concurrent && served < self.settings.max_requests {
            self.shelve(shelf, kept);
        }
    }

    /// Counts a call out.
    fn end(self: &Arc<Self>, kept: &Arc<KeptInstance>, answered: bool) {
        let mut shelf = self.shelf();
        let in_flight = kept.in_flight.fetch_sub(1, Relaxed) - 1;
        if !answered {
            kept.retired.store(true, Relaxed);
            shelf.ready.retain(|(ready, _)| !Arc::ptr_eq(ready, kept));
        }
        if kept.retired.load(Relaxed) {
            // What the unanswered call still does ends with the store, and with nothing less.
            if in_flight == 0 {
                kept.worker.end();
            }
        } else if in_flight + 1 == self.settings.max_concurrent
            && kept.served.load(Relaxed) < self.settings.max_requests
        {
            self.shelve(&mut shelf, kept);
        }
        if in_flight == 0 && self.shortage.is_felt() {
            shelf.ready.retain(|(ready, _)| !Arc::ptr_eq(ready, kept));
        }
        drop(shelf);
        // All who wait: the first of them may be one who must leave this instance to calls that stand deeper.
        self.freed.notify_waiters();
    }

    fn shelve(self: &Arc<Self>, shelf: &mut IdleList, kept: &Arc<KeptInstance>) {
        shelf.ready.push((Arc::clone(kept), Instant::now()));
        if !std::mem::replace(&mut shelf.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.settings.idle_timeout));
        }
    }

    fn shelf(&self) -> MutexGuard<'_, IdleList> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up instances that rest for too long, until there is none on the shelf. An instance that is given up finishes what it does.
async fn sweep(warm: std::sync::Weak<KeptInstances>, idle: std::time::Duration) {
    loop {
        sleep(idle).await;
        let Some(warm) = warm.upgrade() else { return };
        let mut shelf = warm.shelf();
        let now = Instant::now();
        shelf.ready.retain(|(kept, used)| !kept.rests() || now.duration_since(*used) < idle);
        if shelf.ready.is_empty() {
            shelf.swept = false;
            return;
        }
    }
}

impl KeptInstance {
    /// Whether it does nothing for anybody. Asked under the shelf's lock.
    fn rests(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
    }
}

impl Ticket {
    /// The instance that was asked.
    pub(super) fn worker(&self) -> &Worker {
        &self.kept.worker
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.warm.end(&self.kept, self.answered);
    }
}
