//! Instances that are kept between calls.

use crate::runtime::capacity::depth_class::DepthClass;
use crate::runtime::capacity::pressure::{IdleInstances, PoolPressure};
use crate::runtime::instance::job::Job;
use crate::runtime::instance::serving::ServingCount;
use crate::runtime::instance::worker::Worker;
use crate::runtime::lock::lock;
use crate::runtime::settings::Reuse;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::Context;
use std::time::{Duration, Instant};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

/// The instances of one endpoint that may serve further calls.
pub(super) struct KeptInstances {
    settings: Reuse,
    /// One permit for each instance that there may be. An instance that takes no more calls and has not ended yet still
    /// holds its permit.
    pub(super) permits: Arc<Semaphore>,
    idle_list: Mutex<IdleList>,
    /// Notified when an instance has room for a call again.
    has_room: Notify,
    pressure: Arc<PoolPressure>,
    serving: ServingCount,
}

#[derive(Default)]
struct IdleList {
    /// The instances with room for another call, each with the time since which it is here. The instance that was used
    /// last is at the end and is used next, since its memory is the warmest. So those at the front become idle.
    ready: Vec<(Arc<KeptInstance>, Instant)>,
    /// Whether a task runs that gives up instances which are idle for too long.
    has_sweeper: bool,
}

/// An instance that is kept for further calls. It is in the list as long as it has room for one more call. Its counters
/// change only under the lock of the list.
struct KeptInstance {
    worker: Worker,
    /// The depth class of the call for which it was made: its slots are counted for this class.
    class: DepthClass,
    /// Whether its slots are of the reserve: then no other service could use them.
    reserved: bool,
    served: AtomicUsize,
    in_flight: AtomicUsize,
    /// One of its calls got no answer: it takes no further call.
    retired: AtomicBool,
}

/// One call of a kept instance. If this is dropped before the call is answered, the instance takes no further calls,
/// and ends when its other calls have ended.
pub(super) struct KeptCall {
    list: Arc<KeptInstances>,
    kept: Arc<KeptInstance>,
    pub(super) answered: bool,
}

impl KeptInstances {
    /// No instances yet, and at most `most`. Those that have calls count in `serving`.
    pub(super) fn new(settings: Reuse, most: usize, pressure: Arc<PoolPressure>, serving: ServingCount) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most));
        let (idle_list, has_room) = (Mutex::default(), Notify::new());
        let list = Arc::new(Self { settings, permits, idle_list, has_room, pressure: Arc::clone(&pressure), serving });
        let weak: Weak<Self> = Arc::downgrade(&list);
        pressure.watch(weak);
        list
    }

    /// Calls that one instance serves at a time.
    pub(super) fn concurrent(&self) -> usize {
        self.settings.max_concurrent
    }

    /// Submits `job` to an instance that has room, and polls the instance with `after_each_poll` after each poll. If no
    /// instance has room, the job comes back.
    #[expect(clippy::result_large_err, reason = "no error: the job comes back, to be submitted to another instance")]
    pub(super) fn submit(
        self: &Arc<Self>,
        mut job: Job,
        after_each_poll: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<KeptCall, Job> {
        while let Some(kept) = self.take(DepthClass::of(job.context.depth)) {
            let call = KeptCall { list: Arc::clone(self), kept, answered: false };
            match call.kept.worker.submit(job, &mut *after_each_poll) {
                Ok(()) => return Ok(call),
                // The instance has ended by itself. The call, dropped here unanswered, removes it from the list.
                Err(back) => job = back,
            }
        }
        Err(job)
    }

    /// Adds a new instance and submits its first job to it, as [`KeptInstances::submit`] does. `class`: that of the
    /// job. `reserved`: the instance's slots are of the reserve.
    pub(super) fn add(
        self: &Arc<Self>,
        worker: Worker,
        class: DepthClass,
        reserved: bool,
        job: Job,
        after_each_poll: impl FnMut(&mut Context<'_>),
    ) -> KeptCall {
        let kept = KeptInstance {
            worker,
            class,
            reserved,
            served: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
        };
        let kept = Arc::new(kept);
        self.begin_call(&mut self.idle_list(), &kept);
        if self.settings.max_concurrent > 1 {
            self.has_room.notify_waiters();
        }
        let call = KeptCall { list: Arc::clone(self), kept, answered: false };
        // If the instance cannot take even its first job, it has a fault, and the caller finds that.
        let _ = call.kept.worker.submit(job, after_each_poll);
        call
    }

    /// Whether there are as many instances as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }

    /// Waits until an instance may have room for a call.
    pub(super) fn has_room(&self) -> Notified<'_> {
        self.has_room.notified()
    }

    /// Takes the instance that was used last, among those that a call of `class` may use. An instance that was made for
    /// a deeper call is not for it: otherwise shallow calls could use the part of the pool that is reserved for deeper
    /// ones after all.
    fn take(self: &Arc<Self>, class: DepthClass) -> Option<Arc<KeptInstance>> {
        let mut idle_list = self.idle_list();
        let at = idle_list.ready.iter().rposition(|(kept, _)| kept.class <= class)?;
        let (kept, _) = idle_list.ready.remove(at);
        self.begin_call(&mut idle_list, &kept);
        Some(kept)
    }

    /// Counts a call in. The instance is listed again if it has room for more.
    fn begin_call(self: &Arc<Self>, idle_list: &mut IdleList, kept: &Arc<KeptInstance>) {
        let in_flight = kept.in_flight.fetch_add(1, Relaxed) + 1;
        let served = kept.served.fetch_add(1, Relaxed) + 1;
        if in_flight == 1 {
            self.serving.begin();
        }
        if in_flight < self.settings.max_concurrent && served < self.settings.max_requests {
            self.push(idle_list, kept);
        }
    }

    /// Counts a call out.
    fn end_call(self: &Arc<Self>, kept: &Arc<KeptInstance>, answered: bool) {
        let mut idle_list = self.idle_list();
        let in_flight = kept.in_flight.fetch_sub(1, Relaxed) - 1;
        if in_flight == 0 {
            self.serving.end();
        }
        if !answered {
            kept.retired.store(true, Relaxed);
            idle_list.ready.retain(|(ready, _)| !Arc::ptr_eq(ready, kept));
        }
        if kept.retired.load(Relaxed) {
            // What the unanswered call still does ends only when the store is dropped.
            if in_flight == 0 {
                kept.worker.end();
            }
        } else if in_flight + 1 == self.settings.max_concurrent
            && kept.served.load(Relaxed) < self.settings.max_requests
        {
            self.push(&mut idle_list, kept);
        }
        // Listed first, then the pressure read: see `PoolPressure::wait_for`.
        if in_flight == 0 && self.pressure.has_waiting_calls() {
            idle_list.ready.retain(|(ready, _)| !Arc::ptr_eq(ready, kept));
        }
        drop(idle_list);
        // All waiting calls, not one: the first may be a call that must leave this instance to deeper calls.
        self.has_room.notify_waiters();
    }

    fn push(self: &Arc<Self>, idle_list: &mut IdleList, kept: &Arc<KeptInstance>) {
        idle_list.ready.push((Arc::clone(kept), Instant::now()));
        if !std::mem::replace(&mut idle_list.has_sweeper, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.settings.idle_timeout));
        }
    }

    fn idle_list(&self) -> MutexGuard<'_, IdleList> {
        lock(&self.idle_list)
    }
}

impl IdleInstances for KeptInstances {
    fn idle_since(&self, most: DepthClass, reserve: bool) -> Option<Instant> {
        let idle_list = self.idle_list();
        idle_list.ready.iter().find(|(kept, _)| kept.may_give_way(most, reserve)).map(|(_, since)| *since)
    }

    fn give_up_one(&self, most: DepthClass, reserve: bool) {
        let mut idle_list = self.idle_list();
        if let Some(at) = idle_list.ready.iter().position(|(kept, _)| kept.may_give_way(most, reserve)) {
            idle_list.ready.remove(at);
        }
    }
}

/// Gives up instances that are idle for too long, until the list is empty. An instance that is given up finishes what
/// it does.
async fn sweep(list: Weak<KeptInstances>, idle_timeout: Duration) {
    loop {
        sleep(idle_timeout).await;
        let Some(list) = list.upgrade() else { return };
        let mut idle_list = list.idle_list();
        let now = Instant::now();
        idle_list.ready.retain(|(kept, used)| !kept.is_idle() || now.duration_since(*used) < idle_timeout);
        if idle_list.ready.is_empty() {
            idle_list.has_sweeper = false;
            return;
        }
    }
}

impl KeptInstance {
    /// Whether it serves no call. Call it under the list's lock.
    fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
    }
}

impl KeptInstance {
    /// Whether it is meant by [`IdleInstances::idle_since`]. Call it under the list's lock.
    fn may_give_way(&self, most: DepthClass, reserve: bool) -> bool {
        self.is_idle() && self.class <= most && (reserve || !self.reserved)
    }
}

impl KeptCall {
    /// The instance that serves the call.
    pub(super) fn worker(&self) -> &Worker {
        &self.kept.worker
    }
}

impl Drop for KeptCall {
    fn drop(&mut self) {
        self.list.end_call(&self.kept, self.answered);
    }
}
