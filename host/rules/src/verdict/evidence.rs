//! The e-process: how much the events so far speak against the canary.

/// How many times as frequent the canary's failures may be: what is below is no harm that anybody sees.
pub const TOLERATED: f64 = 1.25;

/// The harms that are tried, each as a multiple of [`TOLERATED`].
const HARMS: [f64; 7] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// Evidence that events (failures, slow calls) are more than [`TOLERATED`] times as frequent at the canary.
///
/// Given that an event came, it was the canary's with the odds `r·p : 1 − p`, where `p` is the share by which its call
/// was assigned, and `r` how many times as frequent events are there. Each number below is the logarithm of how much
/// better one harm `λ` explains the events so far than the tolerated one does. The mean of their exponentials is a
/// supermartingale from 1 wherever `r` is at most [`TOLERATED`], so it reaches 1/α with a probability of α at most.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Evidence {
    logs: [f64; HARMS.len()],
}

impl Evidence {
    /// Takes one event into account: whether the canary had it, and the probability with which its call was to go there
    /// (0 to 1).
    pub fn note(&mut self, canary: bool, share: f64) {
        for (log, harm) in self.logs.iter_mut().zip(HARMS) {
            let rate = harm * TOLERATED;
            let gain = if canary { harm.ln() } else { 0.0 };
            *log += gain - ((rate * share + 1.0 - share) / (TOLERATED * share + 1.0 - share)).ln();
        }
    }

    /// How many times better harm explains the events than no harm: 1 at the beginning.
    pub fn value(&self) -> f64 {
        self.logs.iter().map(|log| log.exp()).sum::<f64>() / HARMS.len() as f64
    }

    /// What is kept of it on disk.
    pub fn logs(&self) -> [f64; HARMS.len()] {
        self.logs
    }

    /// The evidence that was kept.
    pub fn from_logs(logs: [f64; HARMS.len()]) -> Self {
        Self { logs }
    }
}
