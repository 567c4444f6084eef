//! The sliding window: the recent calls, counted exactly and without a lock.
//!
//! The window is a ring of ten buckets, each of which counts the calls of one tick. Nothing clears a bucket. Instead
//! every counter carries a stamp: the epoch and the tick that it counts for. A thread that finds another stamp than
//! its own in a counter restarts the counter in the same compare-and-swap. So no count is lost, and none is added to
//! another stretch or tick.

use super::sync::{AtomicU64, Ordering, fence};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ticks in a window.
const TICKS: u64 = 10;

/// No tick is shorter: a window of less than 10 ms says nothing about an endpoint, and the sum must be done within one
/// tick.
const LEAST_TICK: Duration = Duration::from_millis(1);

// A counter: epoch (10 bits), tick (26 bits), count (28 bits). The count stops at 2²⁸ - 1, which is more calls than
// an endpoint gets in one tick (268 million a second with the default window). An old counter would be taken for a
// fresh one in two cases: no thread touched it for 5 · 2²⁶ ticks (ten years with the default window; 5, because
// its index in the ring already says what the tick is modulo 10), or exactly 1,024 transitions all ended within its
// ten ticks.
const COUNT_BITS: u32 = 28;
const TICK_BITS: u32 = 26;
const MOST_COUNTED: u64 = (1 << COUNT_BITS) - 1;

/// The counts of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) faults: u64,
    pub(super) slow: u64,
}

/// The last ten ticks.
#[derive(Debug)]
pub(super) struct Window {
    /// The length of a tick in nanoseconds.
    tick: u64,
    /// The start of tick 0: the first `now` that was handed in, since this room reads no clock.
    origin: OnceLock<Instant>,
    /// The latest tick in which a call was counted, and so the end of the window.
    newest: AtomicU64,
    buckets: [CountBucket; 10],
}

#[derive(Debug)]
struct CountBucket {
    calls: AtomicU64,
    faults: AtomicU64,
    slow: AtomicU64,
}

impl Window {
    /// A window of ten buckets, each `length / 10` long.
    pub(super) fn new(length: Duration) -> Self {
        let bucket = |_| CountBucket { calls: AtomicU64::new(0), faults: AtomicU64::new(0), slow: AtomicU64::new(0) };
        Self {
            tick: nanos((length / 10).max(LEAST_TICK)),
            origin: OnceLock::new(),
            newest: AtomicU64::new(0),
            buckets: std::array::from_fn(bucket),
        }
    }

    /// Counts one call of the stretch of `epoch` that ended at `now`; `epoch_now` reads the breaker's current epoch.
    ///
    /// A `now` that another thread read earlier counts in its own tick, as long as that tick is in the window. After
    /// that it is not counted.
    pub(super) fn count(&self, epoch: u32, epoch_now: impl Fn() -> u32, fault: bool, slow: bool, now: Instant) {
        let origin = *self.origin.get_or_init(|| now);
        let tick = nanos(now.saturating_duration_since(origin)) / self.tick;
        if self.newest.load(Ordering::Relaxed) < tick {
            self.newest.fetch_max(tick, Ordering::Relaxed);
        }
        // `add` calls this when the counter has another stamp than ours. True: that stamp is older, and the counter
        // restarts with ours. False: it is newer, and this call is no longer counted.
        //
        // Why no newer stamp is missed: its writer read the newer epoch, or set the newer `newest`, before it wrote the
        // counter. We read the counter with acquire, so we see that epoch and that tick too. A newer writer may also
        // come between this check and our compare-and-swap. Then ours fails; or ours comes first and leaves its stamp
        // behind, and the newer writer restarts the counter.
        let is_current = || epoch_now() == epoch && self.newest.load(Ordering::Relaxed).saturating_sub(tick) < TICKS;
        let (bucket, stamp) = (self.bucket(tick), stamp(epoch, tick));
        // `calls` goes first, so that no reader ever sees more faults than calls.
        add(&bucket.calls, stamp, is_current);
        if fault {
            add(&bucket.faults, stamp, is_current);
        }
        if slow {
            add(&bucket.slow, stamp, is_current);
        }
    }

    /// What was counted in the stretch of `epoch`, up to the latest tick. Call it after [`Window::count`].
    ///
    /// Other threads may count during the sum. The result is then the state of one moment during the sum, without some
    /// of the faults and slow calls that came during it; so a share is never too high. And of the threads that count
    /// and then sum, the last one sees everything that the others counted.
    pub(super) fn counts(&self, epoch: u32) -> Counts {
        // Two threads may count in two buckets, each in its own, and then each sums both. Without the fence both
        // threads might read the other's bucket as it was before, and neither would open the circuit.
        fence(Ordering::SeqCst);
        loop {
            let newest = self.newest.load(Ordering::Relaxed);
            let sum = |counter: fn(&CountBucket) -> &AtomicU64| {
                let ticks = newest.saturating_sub(TICKS - 1)..=newest;
                ticks.map(|tick| counted(counter(self.bucket(tick)), stamp(epoch, tick))).sum()
            };
            // `calls` comes last: it only grows during the sum, so the share can only be too low.
            let (faults, slow) = (sum(|bucket| &bucket.faults), sum(|bucket| &bucket.slow));
            let calls = sum(|bucket| &bucket.calls);
            // Sum again if the window has moved: `calls` may then lack a bucket whose faults we have. That happens
            // once in a tick at most.
            if self.newest.load(Ordering::Relaxed) == newest {
                return Counts { calls, faults, slow };
            }
        }
    }

    fn bucket(&self, tick: u64) -> &CountBucket {
        let index = usize::try_from(tick % TICKS).expect("a number below ten");
        &self.buckets[index]
    }
}

/// Adds one for `stamp`. A counter with another stamp restarts at one, unless `is_current` says that `stamp` is the
/// older of the two.
fn add(counter: &AtomicU64, stamp: u64, is_current: impl Fn() -> bool) {
    let mut before = counter.load(Ordering::Acquire);
    loop {
        let after = match before >> COUNT_BITS == stamp {
            true if before & MOST_COUNTED == MOST_COUNTED => return,
            true => before + 1,
            false if is_current() => stamp << COUNT_BITS | 1,
            false => return,
        };
        match counter.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(found) => before = found,
        }
    }
}

/// The count for `stamp`: 0 if the counter has another stamp.
fn counted(counter: &AtomicU64, stamp: u64) -> u64 {
    let word = counter.load(Ordering::Acquire);
    if word >> COUNT_BITS == stamp { word & MOST_COUNTED } else { 0 }
}

/// The low bits of the epoch and of the tick.
fn stamp(epoch: u32, tick: u64) -> u64 {
    let epoch_bits = u64::BITS - COUNT_BITS - TICK_BITS;
    (u64::from(epoch) & ((1 << epoch_bits) - 1)) << TICK_BITS | tick & ((1 << TICK_BITS) - 1)
}

/// Saturates at 2⁶⁴ ns, which are 584 years.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
