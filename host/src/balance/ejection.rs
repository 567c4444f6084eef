//! Outliers: endpoints that fail far more often than the others leave the choice for a while.
//!
//! Nobody watches: a choice that finds the last review at least a second old reviews the pool itself, and of those that find it at the
//! same time one does (compare-and-swap). Each endpoint counts its calls and failures exactly; every second an eighth of both is
//! forgotten, so a rate is one over the last 8 s or so, and an idle pool is not judged by what was long ago.
//!
//! The rule: among the endpoints in the choice with at least `least_calls`, one is an outlier if its failure rate is at least `margin`
//! points above their lower median. So an endpoint is never judged alone, and where half or more of them fail alike, the fault is not
//! theirs and nobody goes. The worst go first, and never more of the pool than `most` allows.

use super::load::Load;
use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

/// A pool is reviewed at most so often.
const REVIEW_EVERY_MS: u64 = 1_000;
/// No pause is longer: 5 min, as in Envoy (`max_ejection_time`).
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Up to so many endpoints a review needs no allocation.
const INLINE: usize = 16;
/// A failure rate of 100 %; a point is a hundredth of it.
const ALL: u64 = 10_000;

/// When an endpoint leaves the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// At most so many percent of a pool are out at a time, rounded down and never all of it: at 50 none of 1, 1 of 2 or 3, 2 of 4.
    /// 0: nobody ever. Default 50.
    pub most: u8,
    /// Nobody is judged by fewer calls in the last 8 s or so. Default 20.
    pub least_calls: u32,
    /// So many points above the median failure rate make an outlier: at least 1 (0 counts as 1). Default 30.
    pub margin: u8,
    /// How long an outlier is out, times how often it was in a row; never more than 5 min. A review that finds it in order ends the row.
    /// Default 10 s.
    pub pause: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { most: 50, least_calls: 20, margin: 30, pause: Duration::from_secs(10) }
    }
}

impl Ejection {
    /// How many of a pool may be out at a time.
    fn allowed(&self, pool: usize) -> usize {
        (pool * usize::from(self.most) / 100).min(pool.saturating_sub(1))
    }
}

/// Calls in the high half, failures among them in the low half: both change together. They are counted in 64ths, or what fading rounds
/// away would be a fifth of a small count.
#[derive(Debug, Default)]
pub(super) struct ReviewWindow(AtomicU64);

impl ReviewWindow {
    const ONE: u64 = 64;

    pub(super) fn count(&self, failed: bool) {
        self.0.fetch_add(Self::ONE << 32 | (Self::ONE * u64::from(failed)), Relaxed);
    }

    /// Forgets what `seconds` (at least 1) take away, and answers calls and failures, in 64ths, as they were before the last of them: what was
    /// counted since the last review is judged whole.
    fn fade(&self, seconds: u64) -> (u64, u64) {
        let faded = |word: u64, seconds: u64| {
            let left = |count: u64| (0..seconds).try_fold(count, |n, _| (n > 0).then_some(n * 7 / 8)).unwrap_or(0);
            (left(word >> 32), left(word & u64::from(u32::MAX)))
        };
        let mut word = self.0.load(Relaxed);
        loop {
            let (calls, failures) = faded(word, seconds);
            match self.0.compare_exchange_weak(word, calls << 32 | failures, Relaxed, Relaxed) {
                Ok(_) => return faded(word, seconds - 1),
                Err(moved) => word = moved,
            }
        }
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Until when an endpoint is out (ms since it came to be, 48 bits) and how often it was in a row (16 bits). 0: never, or in order again.
/// Only a review writes it, and there is one at a time.
#[derive(Debug, Default)]
pub(super) struct EjectionState(AtomicU64);

impl EjectionState {
    const TIMES: u64 = 0xFFFF;

    /// Whether [`EjectionState::is_ejected`] needs to be asked at all.
    pub(super) fn was_ejected(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    pub(super) fn is_ejected(&self, now: u64) -> bool {
        now < self.0.load(Relaxed) >> 16
    }

    fn eject(&self, pause: Duration, now: u64) {
        let times = ((self.0.load(Relaxed) & Self::TIMES) + 1).min(Self::TIMES);
        let pause = pause.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        let until = now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.0.store(until.min(u64::MAX >> 16) << 16 | times, Relaxed);
    }

    /// Back into the choice before its time; the row goes on.
    fn release(&self) {
        self.0.fetch_and(Self::TIMES, Relaxed);
    }

    fn end_row(&self) {
        if self.was_ejected() {
            self.0.store(0, Relaxed);
        }
    }
}

/// When the pool was last reviewed.
#[derive(Debug, Default)]
pub(super) struct Reviews {
    /// The first choice: stamps count from here.
    start: OnceLock<Instant>,
    /// The last review, in ms since the start, and [`BUSY`] while it is under way.
    last: AtomicU64,
}

/// A review is under way. Whoever is held up in one for a second must not be joined by another: together they would eject too many.
const BUSY: u64 = 1 << 63;

/// Ends the review, also when it panics.
struct Done<'r>(&'r AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // `Release`: the next reviewer sees who is out.
        self.0.fetch_and(!BUSY, Release);
    }
}

/// An endpoint that can be judged.
#[derive(Clone, Copy, Default)]
struct EndpointRecord {
    endpoint: usize,
    /// Of [`ALL`].
    rate: u64,
}

impl Reviews {
    /// Reviews the pool if the last review is a second old and nobody else does.
    pub(super) fn review_if_due<'a>(
        &self,
        settings: &Ejection,
        endpoints: usize,
        load: impl Fn(usize) -> &'a Load,
        now: Instant,
    ) {
        if settings.most == 0 {
            return;
        }
        let since_start = now.saturating_duration_since(*self.start.get_or_init(|| now)).as_millis();
        let millis = u64::try_from(since_start).unwrap_or(u64::MAX) & !BUSY;
        let last = self.last.load(Relaxed);
        // While one is under way, `last` lies far in the future.
        if millis < last.saturating_add(REVIEW_EVERY_MS) {
            return;
        }
        // `Acquire`: see `Done`.
        let won = self.last.compare_exchange(last, millis | BUSY, Acquire, Relaxed);
        if won.is_ok() {
            let _done = Done(&self.last);
            let seconds = (millis - last) / REVIEW_EVERY_MS;
            if endpoints <= INLINE {
                review(settings, &mut [EndpointRecord::default(); INLINE][..endpoints], load, seconds, now);
            } else {
                review(settings, &mut vec![EndpointRecord::default(); endpoints], load, seconds, now);
            }
        }
    }
}

/// Judges the endpoints `0..records.len()` by their calls; the last review was `seconds` ago.
fn review<'a>(
    settings: &Ejection,
    records: &mut [EndpointRecord],
    load: impl Fn(usize) -> &'a Load,
    seconds: u64,
    now: Instant,
) {
    let pool = records.len();
    let (mut known, mut out) = (0, 0);
    for endpoint in 0..pool {
        let (calls, failures) = load(endpoint).window.fade(seconds);
        if load(endpoint).is_ejected(now) {
            out += 1;
        } else if calls >= u64::from(settings.least_calls.max(1)) * ReviewWindow::ONE {
            records[known] = EndpointRecord { endpoint, rate: failures * ALL / calls };
            known += 1;
        }
    }
    // A pool that has shrunk may have more out than it should.
    for endpoint in 0..pool {
        if out > settings.allowed(pool) && load(endpoint).is_ejected(now) {
            load(endpoint).standing.release();
            out -= 1;
        }
    }
    let records = &mut records[..known];
    // The worst first.
    records.sort_unstable_by_key(|record| Reverse(record.rate));
    // Downwards, the lower median of 2 is the second, that of 3 too.
    let Some(median) = records.get(known / 2).map(|record| record.rate) else { return };
    let outlier = median + u64::from(settings.margin.max(1)) * (ALL / 100);
    for record in records {
        let load = load(record.endpoint);
        if record.rate < outlier {
            load.standing.end_row();
        } else if out < settings.allowed(pool) {
            out += 1;
            load.standing.eject(settings.pause, load.millis(now));
            // When it comes back it is judged by what it does then.
            load.window.clear();
        }
    }
}
