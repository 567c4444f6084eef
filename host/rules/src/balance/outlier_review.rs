//! The review that finds outliers: endpoints that fail far more often than the others leave the choice for a while.
//!
//! No task watches the pool. A choice that finds the last review at least a second old reviews the pool itself; of
//! several choices that find this at the same time, one does (compare-and-swap). Each endpoint counts its calls and
//! failures exactly. Every second an eighth of both is forgotten, so a failure rate covers the last 8 s or so, and an
//! idle pool is not judged by calls of long ago.
//!
//! The rule: the endpoints in the choice with at least `least_calls` calls are compared. One of them is an outlier if
//! its failure rate is at least `margin` percentage points above their median (the lower one, if their number is even).
//! So an endpoint is never judged alone, and one of two can be an outlier. If more than half of them fail alike, the
//! median is as high as they are, and none is ejected: the cause lies elsewhere. The worst outliers are ejected first,
//! and never more of the pool than `most` allows.

use super::ejection::Ejection;
use super::failure_window::FadedCounts;
use super::load::Load;
use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

/// The shortest time between two reviews of a pool.
const REVIEW_EVERY_MS: u64 = 1_000;
/// For up to so many endpoints a review allocates nothing.
const INLINE: usize = 16;
/// A failure rate of 100 %, so that a percentage point is 100.
const WHOLE_RATE: u64 = 10_000;

/// When the pool was last reviewed.
#[derive(Debug, Default)]
pub(super) struct OutlierReview {
    /// The time of the first choice, from which `last` counts.
    start: OnceLock<Instant>,
    /// The time of the last review in ms since `start`, with the bit [`UNDER_WAY`] while a review runs.
    last: AtomicU64,
}

/// Marks that a review is under way. The thread that reviews may be held up for a second, and then the next review is
/// due. It must not start: the two together would eject too many endpoints.
const UNDER_WAY: u64 = 1 << 63;

/// Ends the review when it is dropped, also when the review panics.
struct ReviewEnd<'r>(&'r AtomicU64);

impl Drop for ReviewEnd<'_> {
    fn drop(&mut self) {
        // `Release` pairs with the reviewer's `Acquire`: the next reviewer sees which endpoints are out.
        self.0.fetch_and(!UNDER_WAY, Release);
    }
}

/// The failure rate of an endpoint with enough calls to be judged.
#[derive(Clone, Copy, Default)]
struct FailureRate {
    endpoint: usize,
    /// In parts of [`WHOLE_RATE`].
    rate: u64,
}

impl OutlierReview {
    /// Reviews the pool if the last review is a second old and no other thread reviews it.
    pub(super) fn run_if_due<'a>(
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
        let millis = u64::try_from(since_start).unwrap_or(u64::MAX) & !UNDER_WAY;
        let last = self.last.load(Relaxed);
        // While a review is under way, its mark puts `last` far into the future.
        if millis < last.saturating_add(REVIEW_EVERY_MS) {
            return;
        }
        // Races with other choices that find the review due: one of them wins. `Acquire`: see `ReviewEnd`.
        let won = self.last.compare_exchange(last, millis | UNDER_WAY, Acquire, Relaxed);
        if won.is_ok() {
            let _end = ReviewEnd(&self.last);
            let seconds = (millis - last) / REVIEW_EVERY_MS;
            if endpoints <= INLINE {
                review(settings, &mut [FailureRate::default(); INLINE][..endpoints], load, seconds, now);
            } else {
                review(settings, &mut vec![FailureRate::default(); endpoints], load, seconds, now);
            }
        }
    }
}

/// Judges the endpoints `0..rates.len()` by their calls; the last review was `seconds` ago. `rates` is space to work
/// in.
fn review<'a>(
    settings: &Ejection,
    rates: &mut [FailureRate],
    load: impl Fn(usize) -> &'a Load,
    seconds: u64,
    now: Instant,
) {
    let pool = rates.len();
    let (mut judged, mut out) = (0, 0);
    for endpoint in 0..pool {
        let FadedCounts { calls, failures } = load(endpoint).failures.fade(seconds);
        if load(endpoint).is_ejected(now) {
            out += 1;
        } else if calls >= u64::from(settings.least_calls.max(1)) * FadedCounts::ONE_CALL {
            rates[judged] = FailureRate { endpoint, rate: failures * WHOLE_RATE / calls };
            judged += 1;
        }
    }
    // A pool that has shrunk may have more endpoints out than it should.
    for endpoint in 0..pool {
        if out > settings.allowed(pool) && load(endpoint).is_ejected(now) {
            load(endpoint).ejection.release();
            out -= 1;
        }
    }
    let rates = &mut rates[..judged];
    // The worst first.
    rates.sort_unstable_by_key(|judged| Reverse(judged.rate));
    // The rates are in descending order. So index 1 is the lower median of 2 rates, and the median of 3.
    let Some(median) = rates.get(judged / 2).map(|judged| judged.rate) else { return };
    let outlier = median + u64::from(settings.margin.max(1)) * (WHOLE_RATE / 100);
    for judged in rates {
        let load = load(judged.endpoint);
        if judged.rate < outlier {
            load.ejection.end_streak();
        } else if out < settings.allowed(pool) {
            out += 1;
            load.ejection.eject(settings.pause, load.millis(now));
            // An endpoint that comes back is judged by its calls from then on.
            load.failures.clear();
        }
    }
    debug_assert!(out <= settings.allowed(pool), "{out} of {pool} endpoints are out");
}
