//! The budget of further tries: a share of the calls of the last ten seconds, and a floor.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// The window, in buckets of one second: that of `tower`'s and Finagle's budgets.
const WINDOW: usize = 10;
/// The same number, for arithmetic with seconds.
const SECONDS: u32 = 10;
/// What a further try costs, in hundredths, so that a percentage of a call is a whole number.
const COST: u64 = 100;

/// How many further tries a service may have: a percentage of its calls within the window, and a number a second in
/// addition.
///
/// A call pays into the second in which it began, and a try is paid for from the whole window. The window is the
/// current second and the nine before it, so it is 9 to 10 s long. What is not spent is gone when its second leaves the
/// window.
///
/// Every call pays, so paying is one atomic step without a lock: calls do not wait for each other. Taking is rare and
/// holds a short lock: two tries must not be paid for with the same calls. `take` may miss a payment that races with
/// it. Then it refuses one try too many; it never grants one too many.
#[derive(Debug)]
pub struct Budget {
    percent: u8,
    floor: u32,
    /// The `now` of the first use. Seconds are counted from here, so that the second of a bucket fits into half a word.
    origin: OnceLock<Instant>,
    /// The calls of each second, as [`SecondCount`]s. `Relaxed` is enough: each word is complete in itself.
    calls: [AtomicU64; WINDOW],
    taken: Mutex<BudgetUse>,
}

/// The further tries of the window.
#[derive(Debug)]
struct BudgetUse {
    /// The newest second that was asked for. An older `now` counts as this second: time must not run backwards here.
    newest: u32,
    tries: [SecondCount; WINDOW],
}

/// What happened in one second.
#[derive(Debug, Clone, Copy, Default)]
struct SecondCount {
    /// Which second, counted from the budget's origin. It never wraps: 2³² seconds are 136 years.
    second: u32,
    count: u32,
}

impl SecondCount {
    fn unpack(bits: u64) -> Self {
        Self { second: (bits >> 32) as u32, count: (bits & 0xffff_ffff) as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.second) << 32 | u64::from(self.count)
    }

    /// The bucket with one more in `second`; a bucket that still holds an older second is emptied first. `None` if it
    /// holds a newer second: then `second` has left the window.
    fn counted(self, second: u32) -> Option<Self> {
        if self.second > second {
            return None;
        }
        let before = if self.second == second { self.count } else { 0 };
        Some(Self { second, count: before.saturating_add(1) })
    }

    /// Its count for the window that ends with `second`.
    fn within(self, second: u32) -> u64 {
        let inside = self.second <= second && second - self.second < SECONDS;
        if inside { u64::from(self.count) } else { 0 }
    }
}

/// The index of the bucket of `second`.
fn bucket_of(second: u32) -> usize {
    (second % SECONDS) as usize
}

impl Budget {
    /// A budget of `percent` of the calls (100: as many further tries as calls), and of `floor` a second in addition:
    /// that is `10 * floor` for the window, which can be spent at once.
    pub fn new(percent: u8, floor: u32) -> Self {
        let calls = [const { AtomicU64::new(0) }; WINDOW];
        let taken = Mutex::new(BudgetUse { newest: 0, tries: [SecondCount::default(); WINDOW] });
        Self { percent, floor, origin: OnceLock::new(), calls, taken }
    }

    /// A call begins at `now`: it pays its share. It pays nothing if another call has come more than a window after
    /// `now`.
    pub fn called(&self, now: Instant) {
        if self.percent == 0 {
            return;
        }
        let second = self.second(now);
        // Empties the bucket and counts in one step: if two calls race to open a new second, neither is lost.
        let counted = |bits| SecondCount::unpack(bits).counted(second).map(SecondCount::pack);
        let _ = self.calls[bucket_of(second)].fetch_update(Relaxed, Relaxed, counted);
    }

    /// Takes one further try, to be made at `now` or soon after. `false` if the window's budget is spent; then nothing
    /// is taken.
    pub fn take(&self, now: Instant) -> bool {
        let mut taken = self.taken.lock().expect("nothing panics while it holds this lock");
        let second = taken.newest.max(self.second(now));
        taken.newest = second;
        if self.unspent(&taken, second) < COST {
            return false;
        }
        let bucket = &mut taken.tries[bucket_of(second)];
        let Some(counted) = bucket.counted(second) else { return false };
        *bucket = counted;
        true
    }

    /// How many further tries could be taken at `now`, one right after the other.
    pub fn balance(&self, now: Instant) -> u64 {
        let taken = self.taken.lock().expect("nothing panics while it holds this lock");
        self.unspent(&taken, taken.newest.max(self.second(now))) / COST
    }

    /// What the window that ends with `second` has left, in hundredths of a try. Tries whose calls have left the window
    /// since may outnumber what is left: then it is 0. No overflow: ten counts of 32 bits times a share of 8 bits.
    fn unspent(&self, taken: &BudgetUse, second: u32) -> u64 {
        let calls: u64 = self.calls.iter().map(|bits| SecondCount::unpack(bits.load(Relaxed)).within(second)).sum();
        let tries: u64 = taken.tries.iter().map(|bucket| bucket.within(second)).sum();
        let floor = u64::from(self.floor) * u64::from(SECONDS) * COST;
        (floor + calls * u64::from(self.percent)).saturating_sub(tries * COST)
    }

    /// The second of `now`, counted from the origin. A `now` before the origin, which another thread read earlier, is
    /// in the first.
    fn second(&self, now: Instant) -> u32 {
        let origin = *self.origin.get_or_init(|| now);
        u32::try_from(now.saturating_duration_since(origin).as_secs()).unwrap_or(u32::MAX)
    }
}
