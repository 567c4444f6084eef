//! The calls of the last while, counted exactly and without a lock.
//!
//! The window is a ring of ten buckets, each of which is the count of one tick. Nobody clears a bucket: every counter carries the
//! stamp of the epoch and the tick that it counts for, and whoever finds another stamp than his own in it starts it afresh in the same
//! compare-and-swap. So no count is lost, and none is added to what it does not belong to.

use super::sync::{AtomicU64, Ordering, fence};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ticks of a window.
const TICKS: u64 = 10;

/// No tick is shorter: a window of 10 ms says nothing about an endpoint, and the sum must be done within a tick.
const LEAST_TICK: Duration = Duration::from_millis(1);

// A counter: epoch (10 bits), tick (26), count (28). 2²⁸ calls of one tick are more than an endpoint gets (268 million a second with
// the default window); there the count stays. A counter would be taken for a fresh one if nobody touched it for 5 · 2²⁶ ticks (ten
// years with the default window; 5, because its place in the ring says what the tick is modulo 10) or for exactly 1,024 transitions
// that all end within its ten ticks.
const COUNT_BITS: u32 = 28;
const TICK_BITS: u32 = 26;
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// What counts of the calls of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) faults: u64,
    pub(super) slow: u64,
}

/// The last ten ticks.
#[derive(Debug)]
pub(super) struct Window {
    /// Nanoseconds of a tick.
    tick: u64,
    /// Where the ticks begin: at the first time that was handed in, since this room reads no clock.
    origin: OnceLock<Instant>,
    /// The latest tick that anybody counted in, and so the end of the window.
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
    /// A window of ten buckets that are `length / 10` long.
    pub(super) fn new(length: Duration) -> Self {
        let bucket = |_| CountBucket { calls: AtomicU64::new(0), faults: AtomicU64::new(0), slow: AtomicU64::new(0) };
        Self {
            tick: nanos((length / 10).max(LEAST_TICK)),
            origin: OnceLock::new(),
            newest: AtomicU64::new(0),
            buckets: std::array::from_fn(bucket),
        }
    }

    /// Counts one call of the stretch of `epoch` that ended at `now`; `epoch_now` reads which epoch it is.
    ///
    /// A `now` that another thread read earlier counts in its own tick, as long as that is in the window; later it counts nowhere.
    pub(super) fn count(&self, epoch: u32, epoch_now: impl Fn() -> u32, fault: bool, slow: bool, now: Instant) {
        let origin = *self.origin.get_or_init(|| now);
        let tick = nanos(now.saturating_duration_since(origin)) / self.tick;
        if self.newest.load(Ordering::Relaxed) < tick {
            self.newest.fetch_max(tick, Ordering::Relaxed);
        }
        // Asked when the counter has another stamp: is it an older one? The writer of a newer stamp saw the newer epoch, or told the
        // newer tick, before he wrote; we have seen what he wrote (acquire), so we see those too. If they come between this look and
        // our swap, the swap fails, or it leaves a stamp behind that the newer ones pass over.
        let is_current = || epoch_now() == epoch && self.newest.load(Ordering::Relaxed).saturating_sub(tick) < TICKS;
        let (bucket, stamp) = (self.bucket(tick), stamp(epoch, tick));
        // The call first: nobody ever sees more faults than calls.
        add(&bucket.calls, stamp, is_current);
        if fault {
            add(&bucket.faults, stamp, is_current);
        }
        if slow {
            add(&bucket.slow, stamp, is_current);
        }
    }

    /// What was counted in the stretch of `epoch`, up to the latest tick. To be called after [`Window::count`].
    ///
    /// Others may count meanwhile. Then this is what stood there at one moment of it, but for faults and slow calls that came
    /// during it: so a share is never too high. And of those who count and then sum, the last one sees all that the others counted.
    pub(super) fn counts(&self, epoch: u32) -> Counts {
        // Two threads count in two buckets and then each reads the other's: without the fence both might read what was there before,
        // and neither would open the circuit.
        fence(Ordering::SeqCst);
        loop {
            let newest = self.newest.load(Ordering::Relaxed);
            let sum = |counter: fn(&CountBucket) -> &AtomicU64| {
                let ticks = newest.saturating_sub(TICKS - 1)..=newest;
                ticks.map(|tick| counted(counter(self.bucket(tick)), stamp(epoch, tick))).sum()
            };
            // The calls last: while we sum they only grow.
            let (faults, slow) = (sum(|bucket| &bucket.faults), sum(|bucket| &bucket.slow));
            let calls = sum(|bucket| &bucket.calls);
            // Unless the window has moved: then the calls may lack a bucket whose faults we have. Once in a tick at most.
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

/// One more for `stamp`. Where the counter has another stamp it begins afresh, unless `is_current` says that it is ours that is old.
fn add(counter: &AtomicU64, stamp: u64, is_current: impl Fn() -> bool) {
    let mut before = counter.load(Ordering::Acquire);
    loop {
        let after = match before >> COUNT_BITS == stamp {
            true if before & MOST == MOST => return,
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

/// What the counter holds for `stamp`.
fn counted(counter: &AtomicU64, stamp: u64) -> u64 {
    let word = counter.load(Ordering::Acquire);
    if word >> COUNT_BITS == stamp { word & MOST } else { 0 }
}

/// The low bits of the epoch and of the tick.
fn stamp(epoch: u32, tick: u64) -> u64 {
    let epoch_bits = u64::BITS - COUNT_BITS - TICK_BITS;
    (u64::from(epoch) & ((1 << epoch_bits) - 1)) << TICK_BITS | tick & ((1 << TICK_BITS) - 1)
}

/// 2⁶⁴ ns are 584 years.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
