//! A breaker with a clock that the test moves, so that a test reads as a list of calls.

use crate::breaker::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `n` milliseconds.
pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
pub(super) const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An outcome that took no time and has no `Retry-After`.
pub(super) fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, took: Duration::ZERO, retry_after: None }
}

/// The full model with easy numbers: a streak of 3, half of at least 4 calls in 10 s, open for 1 s to 8 s without
/// jitter, one probe, one success.
pub(super) fn full() -> Settings {
    Settings {
        trip: Trip::Full(WindowedTrip { in_a_row: 3, least_calls: 4, ..WindowedTrip::default() }),
        open: OpenTime { least: s(1), most: s(8), jitter: 0 },
        probes: Probes { at_a_time: 1, successes: 1, lease: s(11) },
    }
}

/// [`full`] with other rules.
pub(super) fn full_with(change: impl FnOnce(&mut WindowedTrip)) -> Settings {
    let mut settings = full();
    if let Trip::Full(full) = &mut settings.trip {
        change(full);
    }
    settings
}

/// [`full`] with other probes.
pub(super) fn probing(at_a_time: u32, successes: u32) -> Settings {
    Settings { probes: Probes { at_a_time, successes, lease: s(11) }, ..full() }
}

/// A breaker, the current time, and the permits of the calls under way.
pub(super) struct Rig {
    pub(super) breaker: Arc<Breaker>,
    pub(super) now: Instant,
    held: Vec<Option<Permit>>,
}

impl Rig {
    pub(super) fn new(settings: Settings) -> Self {
        Self { breaker: Arc::new(Breaker::new(settings, 7)), now: Instant::now(), held: Vec::new() }
    }

    /// Makes `times` calls with this verdict, one after the other. Each must get a permit.
    pub(super) fn calls(&mut self, times: u32, verdict: Verdict) -> &mut Self {
        self.outcomes(times, outcome(verdict))
    }

    /// Makes `times` calls with this outcome, one after the other. Each must get a permit.
    pub(super) fn outcomes(&mut self, times: u32, outcome: Outcome) -> &mut Self {
        for _ in 0..times {
            self.breaker.try_acquire(self.now).expect("a permit").record(outcome, self.now);
        }
        self
    }

    /// Begins one more call. Calls are numbered from 0.
    pub(super) fn begin(&mut self) -> &mut Self {
        let permit = self.breaker.try_acquire(self.now).expect("a permit");
        self.held.push(Some(permit));
        self
    }

    /// Ends the call with this number.
    pub(super) fn end(&mut self, call: usize, verdict: Verdict) -> &mut Self {
        self.held[call].take().expect("under way").record(outcome(verdict), self.now);
        self
    }

    /// Drops the permit of the call with this number.
    pub(super) fn cancel(&mut self, call: usize) -> &mut Self {
        drop(self.held[call].take().expect("under way"));
        self
    }

    pub(super) fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// Asserts the state.
    #[track_caller]
    pub(super) fn is(&mut self, state: State) -> &mut Self {
        assert_eq!(self.breaker.state(self.now), state);
        self
    }

    /// Asserts that a call is refused, for so long.
    #[track_caller]
    pub(super) fn refused(&mut self, wait: Duration) -> &mut Self {
        let refused = self.breaker.try_acquire(self.now).expect_err("a refusal");
        assert_eq!(refused.retry_after, Some(wait));
        self
    }

    pub(super) fn force(&mut self, forced: Forced) -> &mut Self {
        self.breaker.force(forced);
        self
    }

    pub(super) fn reset(&mut self) -> &mut Self {
        self.breaker.reset();
        self
    }
}
