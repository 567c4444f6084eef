//! How guests that compute for long share the processor with all others.
//!
//! Every guest is interrupted at every epoch (10 ms). After its first slice a guest only yields to other tasks. A guest
//! that still computes then needs a token for each further slice. The engine hands out fewer tokens per epoch than
//! there are cores; on a machine with one core, one token in every other epoch. So whatever guests compute, one core
//! (or half of the only one) is left for guests that answer quickly, for both HTTP edges and for the timers. A guest
//! that waits (for a store, for its client) computes nothing, and what it computes after waiting begins a new slice.

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

/// The slices that every guest has before it needs tokens. One is enough for most requests. With each further one, a
/// flood of endless loops would hold up the other guests for longer at its start.
const FREE_SLICES: u32 = 1;
/// A slice in which the guest has computed for less than this does not count as used. Such a guest has waited for most
/// of the slice, and the epoch happened to end soon after the wait.
const WHOLE_SLICE: Duration = Duration::from_millis(2);
/// How far the recorded beginning of a slice may be wrong. The time that another task has just computed on the same
/// thread may be counted for this guest, as long as it is far less than a slice.
const STALE: Duration = Duration::from_micros(500);

/// The tokens of all guests, first come, first served. One token is the right to compute for one more slice.
#[derive(Clone)]
pub(crate) struct CpuTokens {
    free: Arc<Semaphore>,
    /// Tokens of one epoch: one for every core but one. The number is read from the system once, since reading it costs
    /// as much as many calls do, and it is needed a hundred times a second.
    per_refill: usize,
    /// Tokens are handed out in every epoch whose number is a multiple of this. A machine with one core has none to
    /// leave free, so there the core is left free in every other epoch.
    every: u64,
}

impl CpuTokens {
    pub(crate) fn new() -> Self {
        Self::for_cores(available_parallelism().map_or(1, NonZero::get))
    }

    fn for_cores(cores: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(0)),
            per_refill: (cores - 1).max(1),
            every: if cores == 1 { 2 } else { 1 },
        }
    }

    /// Hands out the tokens of an epoch. Tokens that no guest took are not saved up.
    pub(crate) fn refill(&self, epoch: u64) {
        if epoch.is_multiple_of(self.every) {
            self.free.add_permits(self.per_refill.saturating_sub(self.free.available_permits()));
        }
    }

    /// What an instance must do at the end of an epoch.
    pub(crate) fn interrupt(&self, slice: &CpuSlice) -> UpdateDeadline {
        if slice.elapsed() < WHOLE_SLICE {
            return UpdateDeadline::Continue(1);
        }
        if slice.0.used.fetch_add(1, Relaxed) < FREE_SLICES {
            return UpdateDeadline::Yield(1);
        }
        UpdateDeadline::YieldCustom(1, Box::pin(self.clone().acquire()))
    }

    /// Waits for a token and uses it up.
    async fn acquire(self) {
        // Yield even if a token is free: the guest's deadline is checked only between two polls of its task.
        yield_now().await;
        self.free.acquire().await.expect("the semaphore is never closed").forget();
    }
}

/// What an instance has computed since the processor was last given to it.
///
/// Both ends of a slice are read within one poll of the instance's task, and so on one thread. They are readings of
/// that thread's own processor time, so time in which the system ran another thread does not count.
#[derive(Clone, Default)]
pub(crate) struct CpuSlice(Arc<SliceUse>);

#[derive(Default)]
struct SliceUse {
    /// The thread's processor time when the slice began, in nanoseconds.
    began: AtomicU64,
    /// Whole slices that the instance has used up.
    used: AtomicU32,
}

impl CpuSlice {
    /// The instance's task is polled: a slice begins.
    pub(crate) fn begin(&self) {
        self.0.began.store(recent_thread_nanos(), Relaxed);
    }

    /// Gives the instance the free slices of a new one. An idle instance gets them when its next call begins.
    pub(crate) fn renew(&self) {
        self.0.used.store(0, Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(thread_nanos().saturating_sub(self.0.began.load(Relaxed)))
    }
}

thread_local! {
    /// When the thread's processor time was last read, and the reading.
    static LAST_READ: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// The thread's processor time in nanoseconds, at most [`STALE`] old. Reading it costs more than a typed call does, so
/// a busy thread reads it rarely.
fn recent_thread_nanos() -> u64 {
    let now = Instant::now();
    if let Some((at, nanos)) = LAST_READ.get()
        && now.duration_since(at) < STALE
    {
        return nanos;
    }
    let nanos = thread_nanos();
    LAST_READ.set(Some((now, nanos)));
    nanos
}

/// The thread's processor time in nanoseconds.
fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("the processor time of a thread is never negative")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn tokens_that_no_guest_took_are_not_saved_up() {
        let tokens = CpuTokens::new();
        for epoch in 0..10 {
            tokens.refill(epoch);
        }
        assert_eq!(tokens.free.available_permits(), tokens.per_refill);
    }

    #[test]
    fn one_core_or_half_of_the_only_core_gets_no_token() {
        let refills = |cores| {
            let tokens = CpuTokens::for_cores(cores);
            let of_epoch = |epoch| {
                tokens.refill(epoch);
                tokens.free.forget_permits(cores)
            };
            [of_epoch(0), of_epoch(1), of_epoch(2), of_epoch(3)]
        };
        assert_eq!(refills(1), [1, 0, 1, 0], "the only core is left free in every other epoch");
        assert_eq!(refills(2), [1; 4]);
        assert_eq!(refills(8), [7; 4]);
    }

    #[test]
    fn a_guest_that_waited_has_not_used_up_a_slice() {
        let (tokens, slice) = (CpuTokens::new(), CpuSlice::default());
        slice.begin();
        assert!(matches!(tokens.interrupt(&slice), UpdateDeadline::Continue(1)));
        // The slice of a guest that began with the thread. The loop makes sure that the thread has computed for a whole
        // slice.
        let computing = CpuSlice::default();
        while computing.elapsed() < WHOLE_SLICE {
            std::hint::spin_loop();
        }
        for _ in 0..2 {
            for _ in 0..FREE_SLICES {
                assert!(matches!(tokens.interrupt(&computing), UpdateDeadline::Yield(1)));
            }
            tokens.refill(0);
            let UpdateDeadline::YieldCustom(1, mut token) = tokens.interrupt(&computing) else { panic!("no token") };
            assert!(token.as_mut().now_or_never().is_none(), "other tasks run first, even if a token is free");
            assert!(token.now_or_never().is_some());
            computing.renew();
        }
    }
}
