//! What is known of one endpoint's load.

use super::ejection::{EjectionState, ReviewWindow};
use super::latency::Latency;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The whole of an effective weight; slow start begins with a tenth of it (10 %, the least that Envoy's slow start gives).
const WHOLE: u32 = 1_000;
const TENTH: u32 = WHOLE / 10;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadSample {
    /// It was answered.
    Answered {
        /// How long that took.
        took: Duration,
    },
    /// The endpoint failed. It counts as a latency of at least 1 s, or twice what the failures before it have left, up to 10 s; and as a
    /// failure when outliers are looked for.
    Failed {
        /// How long that took.
        took: Duration,
    },
    /// The caller went away first. It counts only if that was longer than the average: the call was at least as slow.
    GivenUp {
        /// How long the caller waited.
        after: Duration,
    },
    /// It was never sent. Nothing is learnt.
    Unused,
}

/// What is known of one endpoint's load; it lives with the endpoint. All of it in atomics: it is shared by all calls.
#[derive(Debug)]
pub struct Load {
    weight: u16,
    /// When the endpoint came to be: slow start counts from here, and so do all its stamps.
    born: Instant,
    in_flight: AtomicUsize,
    latency: Latency,
    pub(super) window: ReviewWindow,
    pub(super) standing: EjectionState,
}

impl Load {
    /// The load of a new endpoint: never measured, no call under way, in the choice.
    ///
    /// `weight`: 1..=1000 (0 counts as 1, more as 1000), its share of the calls relative to the other endpoints of the service.
    pub fn new(weight: u16, now: Instant) -> Self {
        Self {
            weight: weight.clamp(1, 1_000),
            born: now,
            in_flight: AtomicUsize::new(0),
            latency: Latency::default(),
            window: ReviewWindow::default(),
            standing: EjectionState::default(),
        }
    }

    /// A call begins; [`Load::end`] must follow, whatever becomes of it.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// [`Load::begin`], unless `most` calls or more are under way; whether it did. Of several at once no more get in than there is room for.
    pub fn begin_below(&self, most: usize) -> bool {
        self.in_flight.fetch_update(Relaxed, Relaxed, |calls| (calls < most).then_some(calls + 1)).is_ok()
    }

    /// A call that [began](Load::begin) is over.
    pub fn end(&self, sample: LoadSample, now: Instant) {
        // It never wraps: one `end` too many must not make the endpoint look as busy as can be.
        let _ = self.in_flight.fetch_update(Relaxed, Relaxed, |calls| calls.checked_sub(1));
        let now = self.millis(now);
        match sample {
            LoadSample::Answered { took } => {
                self.latency.answered(took, now);
                self.window.count(false);
            }
            LoadSample::Failed { took } => {
                self.latency.failed(took, now);
                self.window.count(true);
            }
            LoadSample::GivenUp { after } => self.latency.given_up(after, now),
            LoadSample::Unused => {}
        }
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Whether it is out of the choice, because it failed far more often than the others.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.standing.was_ejected() && self.standing.is_ejected(self.millis(now))
    }

    /// The weight that it was given, 1..=1000, without slow start.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// The average latency as the last call left it, failures and their penalty included; `None` before the first. Peaks count at once
    /// and are forgotten over a second of better calls, or over 10 s of silence.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    /// What a call is expected to take, in µs (at least 1): the average, faded since the last call.
    pub(super) fn expected(&self, now: Instant) -> Option<f32> {
        self.latency.expected(self.millis(now))
    }

    /// The weight in thousandths, 100..=1,000,000: over `slow_start` it climbs in a straight line from a tenth to the whole.
    pub(super) fn effective_weight(&self, slow_start: Duration, now: Instant) -> usize {
        let age = now.saturating_duration_since(self.born);
        let mut share = WHOLE;
        if age < slow_start {
            // Both fit: an age and a slow start of days lose at most their last digits.
            let grown = age.as_secs_f64() / slow_start.as_secs_f64() * f64::from(WHOLE - TENTH);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= grown < 900")]
            let grown = grown as u32;
            share = TENTH + grown;
        }
        usize::from(self.weight) * share as usize
    }

    /// Milliseconds since it came to be; 0 before.
    pub(super) fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}
