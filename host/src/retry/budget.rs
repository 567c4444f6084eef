//! The budget of further tries: a share of the calls of the last ten seconds, and a floor.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// The window, in buckets of one second: that of `tower`'s and Finagle's budgets.
const WINDOW: usize = 10;
/// The same, for seconds.
const SECONDS: u32 = 10;
/// What a further try costs, in hundredths, so that a percentage of a call is a whole number.
const COST: u64 = 100;

/// How many further tries a service may see: a percentage of its calls within the window, and so many a second besides.
///
/// A call pays into the second in which it began, and a try is paid for out of the whole window. The window is the
/// current second and the nine before it, so it is 9 to 10 s long. What is not spent is gone when its second leaves the
/// window.
///
/// Every call pays, so paying is one atomic step and no lock: calls do not wait for each other. Taking is rare and
/// holds a short lock: two tries must not be paid for with the same calls. A payment which comes while somebody takes
/// is seen or not; if it is not, one try is refused that came at the same moment, and never one too many granted.
#[derive(Debug)]
pub struct Budget {
    percent: u8,
    floor: u32,
    /// The `now` of the first question. Seconds are counted from here, so that a bucket's stamp fits into half a word.
    origin: OnceLock<Instant>,
    /// The calls of each second, as [`SecondCount`]s. `Relaxed` is enough: each word is complete in itself.
    calls: [AtomicU64; WINDOW],
    taken: Mutex<BudgetUse>,
}

/// The further tries of the window.
#[derive(Debug)]
struct BudgetUse {
    /// The newest second in which somebody asked. Time does not run backwards: an older question is one of that second.
    newest: u32,
    tries: [SecondCount; WINDOW],
}

/// What happened in one second.
#[derive(Debug, Clone, Copy, Default)]
struct SecondCount {
    /// Which second, counted from the budget's origin. It wraps never: 2³² seconds are 136 years.
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

    /// The bucket with one more in `second`, emptied first if it still held an older second. `None` when it holds a
    /// newer one: then the window has left `second` behind.
    fn counted(self, second: u32) -> Option<Self> {
        if self.second > second {
            return None;
        }
        let before = if self.second == second { self.count } else { 0 };
        Some(Self { second, count: before.saturating_add(1) })
    }

    /// What it holds for the window that ends with `second`.
    fn within(self, second: u32) -> u64 {
        let inside = self.second <= second && second - self.second < SECONDS;
        if inside { u64::from(self.count) } else { 0 }
    }
}

/// Where `second` has its bucket.
fn place(second: u32) -> usize {
    (second % SECONDS) as usize
}

impl Budget {
    /// A budget of `percent` of the calls (100: as many further tries as calls) and `floor` a second besides, which is
    /// `10 * floor` for the window and can be spent at once.
    pub fn new(percent: u8, floor: u32) -> Self {
        let calls = [const { AtomicU64::new(0) }; WINDOW];
        let taken = Mutex::new(BudgetUse { newest: 0, tries: [SecondCount::default(); WINDOW] });
        Self { percent, floor, origin: OnceLock::new(), calls, taken }
    }

    /// One more first try began at `now`: it pays its share. A `now` from more than a window before that of another
    /// call pays nothing.
    pub fn called(&self, now: Instant) {
        if self.percent == 0 {
            return;
        }
        let second = self.second(now);
        // Empties and counts in one step: of two calls that open a new second none is lost.
        let counted = |bits| SecondCount::unpack(bits).counted(second).map(SecondCount::pack);
        let _ = self.calls[place(second)].fetch_update(Relaxed, Relaxed, counted);
    }

    /// Takes one further try, to be made at `now` or soon after. `false`, and nothing is taken, when the window's
    /// budget is spent.
    pub fn take(&self, now: Instant) -> bool {
        let mut taken = self.taken.lock().expect("nothing panics while it holds this lock");
        let second = taken.newest.max(self.second(now));
        taken.newest = second;
        if self.unspent(&taken, second) < COST {
            return false;
        }
        let bucket = &mut taken.tries[place(second)];
        let Some(counted) = bucket.counted(second) else { return false };
        *bucket = counted;
        true
    }

    /// How many further tries could be taken at `now`, one right after the other.
    pub fn balance(&self, now: Instant) -> u64 {
        let taken = self.taken.lock().expect("nothing panics while it holds this lock");
        self.unspent(&taken, taken.newest.max(self.second(now))) / COST
    }

    /// What the window that ends with `second` has left, in hundredths of a try; 0 too when its tries were paid for by
    /// calls that have left it since. Fits: ten counts of 32 bits by a share of 8.
    fn unspent(&self, taken: &BudgetUse, second: u32) -> u64 {
        let calls: u64 = self.calls.iter().map(|bits| SecondCount::unpack(bits.load(Relaxed)).within(second)).sum();
        let tries: u64 = taken.tries.iter().map(|bucket| bucket.within(second)).sum();
        let floor = u64::from(self.floor) * u64::from(SECONDS) * COST;
        (floor + calls * u64::from(self.percent)).saturating_sub(tries * COST)
    }

    /// Which second of this budget `now` is in. One from before its origin (another thread's, read earlier) is in the
    /// first.
    fn second(&self, now: Instant) -> u32 {
        let origin = *self.origin.get_or_init(|| now);
        u32::try_from(now.saturating_duration_since(origin).as_secs()).unwrap_or(u32::MAX)
    }
}
