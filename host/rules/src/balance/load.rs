//! The load of one endpoint.

use super::ejection::EjectionState;
use super::failure_window::FailureWindow;
use super::latency::Latency;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The share of its weight that an endpoint has after slow start, in thousandths. Slow start begins with a tenth of it
/// (10 %, the least that Envoy's slow start gives).
const WHOLE: u32 = 1_000;
const TENTH: u32 = WHOLE / 10;

/// How a call ended, for the load of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadSample {
    /// The call was answered.
    Answered {
        /// The time until the answer.
        took: Duration,
    },
    /// The endpoint failed. The call counts as a latency of at least 1 s, or of twice what is left of earlier
    /// failures, up to 10 s. It counts as a failure when outliers are looked for.
    Failed {
        /// The time until the failure.
        took: Duration,
    },
    /// The caller went away before the answer. The call counts only if the wait was longer than the average: the call
    /// would have taken at least that long.
    GivenUp {
        /// How long the caller waited.
        after: Duration,
    },
    /// The call was never sent. It says nothing about the endpoint.
    Unused,
}

/// The load of one endpoint, and whether the endpoint is ejected. It lives with the endpoint. All of it is atomic,
/// since all calls share it.
#[derive(Debug)]
pub struct Load {
    weight: AtomicU16,
    /// When the endpoint was created. Slow start and all times of this endpoint count from here.
    created: Instant,
    in_flight: AtomicUsize,
    latency: Latency,
    pub(super) failures: FailureWindow,
    pub(super) ejection: EjectionState,
}

impl Load {
    /// The load of a new endpoint: never measured, no call under way, in the choice.
    ///
    /// `weight`: 1..=1000 (0 counts as 1, more as 1000), the endpoint's share of the calls relative to the service's
    /// other endpoints.
    pub fn new(weight: u16, now: Instant) -> Self {
        Self {
            weight: AtomicU16::new(weight.clamp(1, 1_000)),
            created: now,
            in_flight: AtomicUsize::new(0),
            latency: Latency::default(),
            failures: FailureWindow::default(),
            ejection: EjectionState::default(),
        }
    }

    /// Counts a call that begins. [`Load::end`] must follow, however the call ends.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Like [`Load::begin`], but counts nothing if `most` calls or more are under way. Returns whether the call was
    /// counted. However many threads call it at once, the calls under way never exceed `most`.
    pub fn begin_below(&self, most: usize) -> bool {
        self.in_flight.fetch_update(Relaxed, Relaxed, |calls| (calls < most).then_some(calls + 1)).is_ok()
    }

    /// Ends a call that [began](Load::begin).
    pub fn end(&self, sample: LoadSample, now: Instant) {
        // Checked, so that it never wraps: one `end` too many must not make the endpoint look as busy as can be.
        let _ = self.in_flight.fetch_update(Relaxed, Relaxed, |calls| calls.checked_sub(1));
        let now = self.millis(now);
        match sample {
            LoadSample::Answered { took } => {
                self.latency.answered(took, now);
                self.failures.count(false);
            }
            LoadSample::Failed { took } => {
                self.latency.failed(took, now);
                self.failures.count(true);
            }
            LoadSample::GivenUp { after } => self.latency.given_up(after, now),
            LoadSample::Unused => {}
        }
    }

    /// The number of calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Whether the endpoint is out of the choice, because it failed far more often than the others.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.may_be_ejected() && self.ejection.is_ejected(self.millis(now))
    }

    /// The weight that the endpoint was given, 1..=1000, without slow start.
    pub fn weight(&self) -> u16 {
        self.weight.load(Relaxed)
    }

    /// Gives the endpoint another weight, within the bounds of [`Load::new`]; calls see it from now on.
    pub fn set_weight(&self, weight: u16) {
        self.weight.store(weight.clamp(1, 1_000), Relaxed);
    }

    /// The average latency as the last call left it, with failures and their penalty; `None` before the first call. A
    /// peak counts at once, and is forgotten over a second of faster calls, or over 10 s without calls.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    /// The expected latency of a call in µs, at least 1: the average, faded since the last call. `None` before the
    /// first call.
    pub(super) fn expected_latency(&self, now: Instant) -> Option<f32> {
        self.latency.expected(self.millis(now))
    }

    /// The effective weight in thousandths, 100..=1,000,000: over `slow_start` it climbs in a straight line from a
    /// tenth to the whole.
    pub(super) fn effective_weight(&self, slow_start: Duration, now: Instant) -> usize {
        let age = now.saturating_duration_since(self.created);
        let mut share = WHOLE;
        if age < slow_start {
            // `f64` is exact enough: an age and a slow start of days lose at most their last digits.
            let grown = age.as_secs_f64() / slow_start.as_secs_f64() * f64::from(WHOLE - TENTH);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= grown < 900")]
            let grown = grown as u32;
            share = TENTH + grown;
        }
        usize::from(self.weight()) * share as usize
    }

    /// Milliseconds since the endpoint was created; 0 for an earlier time.
    pub(super) fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }
}
