//! How guests that compute for long share the processor with all others.
//!
//! The tasks of the host run on a few threads, one for each core, and a guest that computes keeps the thread that
//! polls it. So a guest may compute there for one slice: 10 ms at most. A guest that still computes then goes on in a
//! **turn** on one of the compute threads (see `ComputeFuture`). There are
//! fewer of them than cores, and the system prefers the other threads of the host to them. So whatever guests compute,
//! guests that answer quickly, both HTTP edges and the timers always find a thread and a core. A guest that waits (for
//! a store, for its client) computes nothing; what it computes after waiting begins a new slice.
//!
//! Each service has an account of the whole slices that its guests have used up lately ([`CpuLedger`]):
//! - The next turn goes to the service that has used least for its weight, however many of its guests compute.
//! - A service that has used much is **heavy**: its guests have a slice of 1 to 2 ms instead of 10, and while there is
//!   such a service, the engine's ticks are short. Otherwise each new request of a heavy service would hold up for 10
//!   ms whatever waits for the same thread.

use super::cpu_ledger::CpuLedger;
use super::cpu_slice::CpuSlice;
use super::thread_clock::thread_nanos;
use crate::base::ServiceName;
use crate::runtime::lock::lock;
use crate::runtime::niceness::yield_to_others;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use wasmtime::UpdateDeadline;

/// How often a guest that computes is asked whether its slice is over. 10 ms is long compared with a switch between
/// guests, and short compared with a deadline.
const LONG_TICK: Duration = Duration::from_millis(10);
/// The same while there is a heavy service. Shorter ticks would cost more: the thread of the ticks wakes a thousand
/// times a second, which is half a percent of a core.
const SHORT_TICK: Duration = Duration::from_millis(1);
/// A guest that has computed for less than this at a long tick has not used up its slice. It has waited for most of the
/// tick, which happened to end soon after the wait.
const WHOLE_AT_LONG_TICK: Duration = Duration::from_millis(2);
/// The same at a short tick: a whole slice, less what a tick may come too early.
const WHOLE_SLICE: Duration = Duration::from_millis(8);
/// The same for a guest of a heavy service.
const WHOLE_HEAVY_SLICE: Duration = Duration::from_millis(1);
/// A compute thread ends when there was no work for so long. Starting one costs some tens of microseconds.
const IDLE: Duration = Duration::from_secs(10);
/// The niceness of compute threads. For 5 the kernel gives a thread a third of what it gives one of niceness 0 on the
/// same core (`sched_prio_to_weight` in `kernel/sched/core.c`: 335 of 1024): other threads go first, and a guest that
/// computes still makes progress on a busy machine.
const NICENESS: i32 = 5;

/// A guest that computes in turns.
pub(super) trait ComputeJob: Send + Sync {
    /// Lets the guest compute for one turn, on this thread. Returns whether it waits for another one.
    fn take_turn(&self) -> bool;
}

/// The turns of all guests that compute, and the services' accounts.
pub(crate) struct CpuShares {
    turns: Mutex<Turns>,
    /// Notified when a guest waits for its turn.
    work: Condvar,
    /// Whether there is a heavy service, and so the ticks are short. It changes under the lock.
    short_ticks: AtomicBool,
    most_threads: usize,
    start: Instant,
}

struct Turns {
    ledger: CpuLedger<Arc<dyn ComputeJob>>,
    /// Compute threads that run, and how many of them wait for work.
    threads: usize,
    idle: usize,
    /// How many of those that wait were notified and have not woken yet.
    notified: usize,
}

/// The account of one service.
pub(crate) struct ServiceCpu {
    shares: Arc<CpuShares>,
    /// Its id in the ledger.
    id: usize,
}

impl CpuShares {
    /// No account and no thread yet.
    pub(crate) fn new() -> Arc<Self> {
        Self::for_cores(available_parallelism().map_or(1, NonZero::get))
    }

    pub(super) fn for_cores(cores: usize) -> Arc<Self> {
        let turns = Mutex::new(Turns { ledger: CpuLedger::new(), threads: 0, idle: 0, notified: 0 });
        let (work, short_ticks, start) = (Condvar::new(), AtomicBool::new(false), Instant::now());
        Arc::new(Self { turns, work, short_ticks, most_threads: (cores - 1).max(1), start })
    }

    /// The account of a service of this weight: one for all of its replicas and revisions.
    pub(crate) fn service(self: &Arc<Self>, name: &ServiceName, weight: u16) -> Arc<ServiceCpu> {
        let id = lock(&self.turns).ledger.service(name, weight);
        Arc::new(ServiceCpu { shares: Arc::clone(self), id })
    }

    /// A tick begins. Returns how long it lasts.
    pub(crate) fn tick(&self) -> Duration {
        if !self.short_ticks.load(Relaxed) {
            return LONG_TICK;
        }
        let turns = lock(&self.turns);
        if turns.ledger.has_heavy(self.now()) {
            return SHORT_TICK;
        }
        self.short_ticks.store(false, Relaxed);
        LONG_TICK
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes the guest whose turn it is. Waits for one; `None` after a long wait: then the thread has to end.
    fn next_turn(&self) -> Option<(usize, Arc<dyn ComputeJob>)> {
        let mut turns = lock(&self.turns);
        loop {
            if let Some(turn) = turns.ledger.next(self.now()) {
                return Some(turn);
            }
            turns.idle += 1;
            let woken = self.work.wait_timeout(turns, IDLE).unwrap_or_else(PoisonError::into_inner);
            turns = woken.0;
            turns.idle -= 1;
            turns.notified = turns.notified.saturating_sub(1);
            if woken.1.timed_out() && !turns.ledger.has_waiting() {
                turns.threads -= 1;
                return None;
            }
        }
    }

    /// The work of one compute thread.
    fn compute(&self) {
        yield_to_others(NICENESS);
        while let Some((service, job)) = self.next_turn() {
            let began = thread_nanos();
            let computes_on = job.take_turn();
            let time = Duration::from_nanos(thread_nanos() - began);
            let mut turns = lock(&self.turns);
            turns.ledger.end_turn(service, time, self.now());
            if computes_on {
                turns.ledger.queue_up(service, job);
            }
            self.note_heavy(&turns);
        }
    }

    fn note_heavy(&self, turns: &Turns) {
        if !self.short_ticks.load(Relaxed) && turns.ledger.has_heavy(self.now()) {
            self.short_ticks.store(true, Relaxed);
        }
    }
}

impl ServiceCpu {
    /// What an instance must do when a tick begins.
    pub(crate) fn interrupt(&self, slice: &CpuSlice) -> UpdateDeadline {
        let (elapsed, in_turn) = (slice.elapsed(), slice.is_turn());
        if elapsed < self.whole_slice(in_turn) {
            return UpdateDeadline::Continue(1);
        }
        if !in_turn {
            let mut turns = lock(&self.shares.turns);
            turns.ledger.charge(self.id, elapsed, self.shares.now());
            self.shares.note_heavy(&turns);
        }
        UpdateDeadline::YieldCustom(1, Box::pin(slice.end()))
    }

    /// The processor time from which on a slice counts as used up.
    fn whole_slice(&self, in_turn: bool) -> Duration {
        if !self.shares.short_ticks.load(Relaxed) {
            return WHOLE_AT_LONG_TICK;
        }
        if !in_turn && lock(&self.shares.turns).ledger.is_heavy(self.id, self.shares.now()) {
            return WHOLE_HEAVY_SLICE;
        }
        WHOLE_SLICE
    }

    /// Lets `job` wait for its turn. Returns whether there is a thread that will take it.
    pub(super) fn queue_up(&self, job: Arc<dyn ComputeJob>) -> bool {
        let mut turns = lock(&self.shares.turns);
        turns.ledger.queue_up(self.id, job);
        // Not one that was notified for another job and has not woken yet: both would wait for it.
        if turns.idle > turns.notified {
            turns.notified += 1;
            self.shares.work.notify_one();
            return true;
        }
        if turns.threads == self.shares.most_threads {
            return true;
        }
        // Under the lock: until it is known whether there is a thread, no other job may rely on it.
        let shares = Arc::clone(&self.shares);
        let started = std::thread::Builder::new().name("compute".into()).spawn(move || shares.compute());
        turns.threads += usize::from(started.is_ok());
        turns.threads > 0
    }

    /// The processor time of whole slices that the service's guests have used up since the start.
    pub(crate) fn computed(&self) -> Duration {
        lock(&self.shares.turns).ledger.total(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn service(shares: &Arc<CpuShares>, name: &str) -> Arc<ServiceCpu> {
        shares.service(&ServiceName::new(name).unwrap(), 1)
    }

    /// A slice, perhaps a turn, in which this thread has computed for so long.
    fn computed_in(in_turn: bool, time: Duration) -> CpuSlice {
        let slice = CpuSlice::default();
        slice.begin(in_turn);
        while slice.elapsed() < time {
            std::hint::spin_loop();
        }
        slice
    }

    fn computed(time: Duration) -> CpuSlice {
        computed_in(false, time)
    }

    fn continues(update: &UpdateDeadline) -> bool {
        matches!(update, UpdateDeadline::Continue(1))
    }

    #[test]
    fn ticks_are_short_while_there_is_a_heavy_service() {
        let shares = CpuShares::for_cores(2);
        let hungry = service(&shares, "hungry");
        assert_eq!(shares.tick(), LONG_TICK);
        for _ in 0..12 {
            assert!(!continues(&hungry.interrupt(&computed(WHOLE_AT_LONG_TICK))));
        }
        assert_eq!(shares.tick(), SHORT_TICK);
        assert!(hungry.computed() >= 12 * WHOLE_HEAVY_SLICE);
        let deadline = Instant::now() + Duration::from_secs(60);
        while shares.tick() == SHORT_TICK {
            assert!(Instant::now() < deadline, "the service never is a light one again");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_guest_that_waited_has_not_used_up_a_slice() {
        let shares = CpuShares::for_cores(2);
        let service = service(&shares, "one");
        let slice = CpuSlice::default();
        slice.begin(false);
        assert!(continues(&service.interrupt(&slice)) && !slice.is_over());
        assert_eq!(service.computed(), Duration::ZERO);
        let computing = computed(WHOLE_AT_LONG_TICK);
        let UpdateDeadline::YieldCustom(1, mut next) = service.interrupt(&computing) else { panic!("it goes on") };
        assert!(computing.is_over());
        assert!(next.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none(), "in the same poll");
        computing.begin(true);
        assert!(next.now_or_never().is_some() && !computing.is_over());
    }

    #[test]
    fn guests_of_a_heavy_service_alone_have_short_slices() {
        let shares = CpuShares::for_cores(2);
        let (hungry, other) = (service(&shares, "hungry"), service(&shares, "other"));
        {
            let mut turns = lock(&shares.turns);
            // Far more than is forgotten while this test runs.
            turns.ledger.charge(hungry.id, Duration::from_secs(1 << 20), shares.now());
            shares.note_heavy(&turns);
        }
        assert!(continues(&other.interrupt(&computed(WHOLE_HEAVY_SLICE))));
        assert!(!continues(&hungry.interrupt(&computed(WHOLE_HEAVY_SLICE))));
        let turn = computed_in(true, WHOLE_HEAVY_SLICE);
        assert!(continues(&hungry.interrupt(&turn)), "a turn is a whole slice");
        assert!(!continues(&other.interrupt(&computed(WHOLE_SLICE))));
    }
}
