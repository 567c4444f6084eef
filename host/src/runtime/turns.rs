//! How guests that compute for long share the processor with everybody else.
//!
//! A guest is interrupted at every epoch. After its first slice it merely lets others run; a guest that still computes then has
//! to take a turn for each further slice, and the engine hands out fewer turns than there are cores; where there is one core, a turn in every
//! other epoch. So whatever guests compute, a core (or half of the one) is left for those that answer quickly, for both edges and for the
//! timers. A guest that waits (for a store, for its client) computes nothing, and what it does after waiting is a slice of its own.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use wasmtime::UpdateDeadline;

/// Slices that every guest has before it needs turns: most requests are done within one. Each more lengthens what a flood of endless loops
/// costs its neighbours at the start.
const FREE_SLICES: u32 = 1;
/// A slice in which less was computed does not count: the guest had waited, and the epoch ended by chance soon after.
const WHOLE_SLICE: Duration = Duration::from_millis(2);
/// What others have computed on the thread just before may count as this guest's, as long as it is well below a slice.
const STALE: Duration = Duration::from_micros(500);

/// The turns of all guests, first come, first served.
#[derive(Clone)]
pub(super) struct CpuTokens {
    free: Arc<Semaphore>,
    /// Every core but one. The system is asked once: its answer costs many calls, and this is needed a hundred times a second.
    most: usize,
    /// How many epochs turns are handed out for. With one core there is none to leave, so it is left free in every other epoch.
    every: u64,
}

impl CpuTokens {
    pub(super) fn new() -> Self {
        Self::of(available_parallelism().map_or(1, NonZero::get))
    }

    fn of(cores: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(0)), most: (cores - 1).max(1), every: if cores == 1 { 2 } else { 1 } }
    }

    /// Hands out the turns of an epoch. Turns that nobody took are not saved up.
    pub(super) fn hand_out(&self, epoch: u64) {
        if epoch.is_multiple_of(self.every) {
            self.free.add_permits(self.most.saturating_sub(self.free.available_permits()));
        }
    }

    /// What an instance does at the end of an epoch.
    pub(super) fn interrupt(&self, slice: &CpuSlice) -> UpdateDeadline {
        if slice.elapsed() < WHOLE_SLICE {
            return UpdateDeadline::Continue(1);
        }
        if slice.0.used.fetch_add(1, Relaxed) < FREE_SLICES {
            return UpdateDeadline::Yield(1);
        }
        UpdateDeadline::YieldCustom(1, Box::pin(self.clone().next()))
    }

    /// The next turn. It lets others run even if a turn is free: whoever drives the guest looks at its deadline then, and at nothing while a
    /// guest computes.
    async fn next(self) {
        yield_now().await;
        self.free.acquire().await.expect("the semaphore is never closed").forget();
    }
}

/// What an instance has computed since it was last given the processor. Both ends are read in one poll of its task, so on one thread, whose
/// own time they tell: that the system gave the processor to somebody else meanwhile does not count.
#[derive(Clone, Default)]
pub(super) struct CpuSlice(Arc<Spent>);

#[derive(Default)]
struct Spent {
    /// The thread's own time when the instance was given the processor, in nanoseconds.
    begun: AtomicU64,
    /// Whole slices that were used up.
    used: AtomicU32,
}

impl CpuSlice {
    /// The instance is given the processor.
    pub(super) fn begin(&self) {
        self.0.begun.store(recent_thread_nanos(), Relaxed);
    }

    /// An instance that was idle begins its next call with the free slices of a new one.
    pub(super) fn renew(&self) {
        self.0.used.store(0, Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(thread_nanos().saturating_sub(self.0.begun.load(Relaxed)))
    }
}

thread_local! {
    /// When the thread's own time was read last, and what it was.
    static READ: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// The thread's own time, at most [`STALE`] old: to read it anew costs more than a typed call does, so a busy thread does it rarely.
fn recent_thread_nanos() -> u64 {
    let now = Instant::now();
    if let Some((at, nanos)) = READ.get()
        && now.duration_since(at) < STALE
    {
        return nanos;
    }
    let nanos = thread_nanos();
    READ.set(Some((now, nanos)));
    nanos
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("the time of a thread is never negative")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn turns_are_not_saved_up() {
        let turns = CpuTokens::new();
        for epoch in 0..10 {
            turns.hand_out(epoch);
        }
        assert_eq!(turns.free.available_permits(), turns.most);
    }

    #[test]
    fn something_is_left_of_every_machine() {
        let handed_out = |cores| {
            let turns = CpuTokens::of(cores);
            let of_epoch = |epoch| {
                turns.hand_out(epoch);
                turns.free.forget_permits(cores)
            };
            [of_epoch(0), of_epoch(1), of_epoch(2), of_epoch(3)]
        };
        assert_eq!(handed_out(1), [1, 0, 1, 0], "one core is left every other time");
        assert_eq!(handed_out(2), [1; 4]);
        assert_eq!(handed_out(8), [7; 4]);
    }

    #[test]
    fn who_waited_has_not_computed() {
        let (turns, slice) = (CpuTokens::new(), CpuSlice::default());
        slice.begin();
        assert!(matches!(turns.interrupt(&slice), UpdateDeadline::Continue(1)));
        // A slice that began with the thread: this loop makes sure that it has computed enough.
        let computing = CpuSlice::default();
        while computing.elapsed() < WHOLE_SLICE {
            std::hint::spin_loop();
        }
        for _ in 0..2 {
            for _ in 0..FREE_SLICES {
                assert!(matches!(turns.interrupt(&computing), UpdateDeadline::Yield(1)));
            }
            turns.hand_out(0);
            let UpdateDeadline::YieldCustom(1, mut turn) = turns.interrupt(&computing) else { panic!("no turn") };
            assert!(turn.as_mut().now_or_never().is_none(), "others run first, even if a turn is free");
            assert!(turn.now_or_never().is_some());
            computing.renew();
        }
    }
}
