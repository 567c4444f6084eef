//! Ejection: an endpoint that fails far more often than the others gets no calls for a while. It is then "out of the
//! choice": the balancer picks it only if no other endpoint takes the call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// No pause is longer: 5 min, as in Envoy (`max_ejection_time`).
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// The most endpoints that are out at a time, in percent of the service's endpoints. The number is rounded down,
    /// and at least one endpoint stays: 50 % is none of 1, 1 of 2 or 3, 2 of 4. If this is 0, no endpoint is ever
    /// ejected. Default 50.
    pub most: u8,
    /// An endpoint with fewer calls in the last 8 s or so is not judged. Default 20.
    pub least_calls: u32,
    /// An endpoint is an outlier if its failure rate is this many percentage points above the median: at least 1 (0
    /// counts as 1). Default 30.
    pub margin: u8,
    /// How long the first ejection of an endpoint lasts. The second one in succession lasts twice as long, the third
    /// three times, but none more than 5 min. A review that finds the endpoint in order ends the streak. Default 10 s.
    pub pause: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { most: 50, least_calls: 20, margin: 30, pause: Duration::from_secs(10) }
    }
}

impl Ejection {
    /// How many endpoints of a pool may be out at a time.
    pub(super) fn allowed(&self, pool: usize) -> usize {
        (pool * usize::from(self.most) / 100).min(pool.saturating_sub(1))
    }
}

/// Until when one endpoint is out, and the length of its streak: how many times in succession it was ejected.
///
/// Both share one word. The high 48 bits are the time, in ms since the endpoint's creation; the low 16 bits are the
/// streak. The word is 0 for an endpoint that was never ejected, and again after a review has found it in order. Only a
/// review writes the word, and only one review runs at a time, so no write is lost.
#[derive(Debug, Default)]
pub(super) struct EjectionState(AtomicU64);

impl EjectionState {
    const TIMES: u64 = 0xFFFF;

    /// Whether [`EjectionState::is_ejected`] can be true at all. This check is cheaper: it needs no clock.
    pub(super) fn may_be_ejected(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Whether the endpoint is out at `now`, in ms since its creation.
    pub(super) fn is_ejected(&self, now: u64) -> bool {
        now < self.0.load(Relaxed) >> 16
    }

    /// Takes the endpoint out of the choice, for `pause` times the number of its consecutive ejections.
    pub(super) fn eject(&self, pause: Duration, now: u64) {
        let times = ((self.0.load(Relaxed) & Self::TIMES) + 1).min(Self::TIMES);
        let pause = pause.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        let until = now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.0.store(until.min(u64::MAX >> 16) << 16 | times, Relaxed);
    }

    /// Takes the endpoint back into the choice before its pause is over. The length of its streak stays.
    pub(super) fn release(&self) {
        self.0.fetch_and(Self::TIMES, Relaxed);
    }

    /// Ends the streak of ejections: the next pause is the first one again.
    pub(super) fn end_streak(&self) {
        if self.may_be_ejected() {
            self.0.store(0, Relaxed);
        }
    }
}
