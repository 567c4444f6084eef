//! What one guest has computed since the processor was last given to it.

use super::thread_clock::thread_nanos;
use super::work_meter::WorkMeter;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How far the recorded beginning of a slice may be wrong. The time that another task has just computed on the same
/// thread may be counted for this guest, as long as it is far less than a slice.
const STALE: Duration = Duration::from_micros(500);

/// What an instance has computed since the processor was last given to it.
///
/// Both ends of a slice are read within one poll of the instance's future, and so on one thread. They are readings of
/// that thread's own processor time, so time in which the system ran another thread does not count.
#[derive(Clone, Default)]
pub(crate) struct CpuSlice(Arc<SliceUse>);

#[derive(Default)]
struct SliceUse {
    /// The thread's processor time when the slice began, in nanoseconds.
    began: AtomicU64,
    /// How often a slice has begun: numbers the polls of the instance's future.
    polls: AtomicU32,
    /// Whether the guest has used the slice up.
    over: AtomicBool,
    /// Whether the slice is a turn on a compute thread.
    in_turn: AtomicBool,
    meter: WorkMeter,
}

impl CpuSlice {
    /// The instance's future is polled: a slice begins. `in_turn`: on a compute thread.
    pub(super) fn begin(&self, in_turn: bool) {
        self.0.began.store(recent_thread_nanos(), Relaxed);
        self.0.polls.fetch_add(1, Relaxed);
        self.0.over.store(false, Relaxed);
        self.0.in_turn.store(in_turn, Relaxed);
    }

    /// Charges what the instance takes to those whose calls it serves.
    pub(crate) fn meter(&self) -> &WorkMeter {
        &self.0.meter
    }

    /// Whether the slice is a turn on a compute thread.
    pub(super) fn is_turn(&self) -> bool {
        self.0.in_turn.load(Relaxed)
    }

    /// Whether the guest has used the slice up, and still computes.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Relaxed)
    }

    /// The guest has used the slice up. It must wait for what this returns.
    pub(super) fn end(&self) -> NextSlice {
        self.0.over.store(true, Relaxed);
        NextSlice { slice: self.clone(), poll: self.0.polls.load(Relaxed) }
    }

    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(thread_nanos().saturating_sub(self.0.began.load(Relaxed)))
    }
}

/// Ready in the next poll of the instance's future, and not before: the futures within may be polled several times in
/// one poll of the whole.
pub(super) struct NextSlice {
    slice: CpuSlice,
    /// The poll in which the slice was used up.
    poll: u32,
}

impl Future for NextSlice {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.slice.0.polls.load(Relaxed) != self.poll {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
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
