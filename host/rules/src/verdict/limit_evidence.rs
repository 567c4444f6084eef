//! Evidence that the canary breaks the absolute limit on failed calls.

/// The shares of failures that are tried, as multiples of the limit; those that are no shares are left out.
const MULTIPLES: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0];
/// A share that is close to 1, for limits of which 1.5 times is too much already.
const HIGHEST: f64 = 0.999;

/// Evidence that calls fail more often than the limit permits: an e-process of the same kind as
/// [`super::Evidence`], on all calls in place of the failed ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitEvidence {
    limit: f64,
    /// What a call that failed adds to each logarithm, and what another one adds.
    gains: [(f64, f64); MULTIPLES.len()],
    logs: [f64; MULTIPLES.len()],
}

impl LimitEvidence {
    /// No evidence yet. `limit`: a share of calls, more than 0 and less than 1.
    pub(super) fn new(limit: f64) -> Self {
        let gains = MULTIPLES.map(|multiple| {
            let share = (limit * multiple).min(HIGHEST.max(limit));
            ((share / limit).ln(), ((1.0 - share) / (1.0 - limit)).ln())
        });
        Self { limit, gains, logs: [0.0; MULTIPLES.len()] }
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// Takes one call into account.
    pub(super) fn note(&mut self, failed: bool) {
        for (log, (of_failed, of_other)) in self.logs.iter_mut().zip(self.gains) {
            *log += if failed { of_failed } else { of_other };
        }
    }

    /// Whether the evidence is so much.
    pub(super) fn reaches(&self, enough: f64) -> bool {
        // A mean is no more than the largest of what it is of: most calls need no exponential.
        self.logs.iter().any(|log| *log >= enough.ln()) && self.value() >= enough
    }

    /// How many times better a broken limit explains the calls than one that is kept.
    pub(super) fn value(&self) -> f64 {
        self.logs.iter().map(|log| log.exp()).sum::<f64>() / MULTIPLES.len() as f64
    }
}
