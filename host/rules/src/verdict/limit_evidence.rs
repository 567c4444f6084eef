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
    logs: [f64; MULTIPLES.len()],
}

impl LimitEvidence {
    /// No evidence yet. `limit`: a share of calls, more than 0 and less than 1.
    pub(super) fn new(limit: f64) -> Self {
        Self { limit, logs: [0.0; MULTIPLES.len()] }
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// Takes one call into account.
    pub(super) fn note(&mut self, failed: bool) {
        for (log, multiple) in self.logs.iter_mut().zip(MULTIPLES) {
            let share = (self.limit * multiple).min(HIGHEST.max(self.limit));
            *log += if failed { (share / self.limit).ln() } else { ((1.0 - share) / (1.0 - self.limit)).ln() };
        }
    }

    /// How many times better a broken limit explains the calls than one that is kept.
    pub(super) fn value(&self) -> f64 {
        self.logs.iter().map(|log| log.exp()).sum::<f64>() / MULTIPLES.len() as f64
    }
}
