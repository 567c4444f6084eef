//! Ejection: when an endpoint leaves the choice, and until when it is out.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// No pause is longer: 5 min, as in Envoy (`max_ejection_time`).
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// When an endpoint leaves the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// The largest share of a pool that is out at a time, in percent, rounded down and never the whole pool: at 50,
    /// none of 1, 1 of 2 or 3, 2 of 4. 0: no endpoint is ever ejected. Default 50.
    pub most: u8,
    /// An endpoint with fewer calls in the last 8 s or so is not judged. Default 20.
    pub least_calls: u32,
    /// An endpoint is an outlier if its failure rate is this many percentage points above the median: at least 1 (0
    /// counts as 1). Default 30.
    pub margin: u8,
    /// How long an outlier is out, multiplied by the number of its consecutive ejections; never more than 5 min. A
    /// review that finds the endpoint in order ends the streak. Default 10 s.
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

/// Until when an endpoint is out (ms since its creation, 48 bits), and how many times in a row it was ejected (16
/// bits). 0: never ejected, or in order again. Only a review writes it, and only one review runs at a time.
#[derive(Debug, Default)]
pub(super) struct EjectionState(AtomicU64);

impl EjectionState {
    const TIMES: u64 = 0xFFFF;

    /// Whether [`EjectionState::is_ejected`] can be true at all. It needs no time, so it is cheaper.
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

    /// Takes the endpoint back into the choice before its pause is over. Its streak of ejections goes on.
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
