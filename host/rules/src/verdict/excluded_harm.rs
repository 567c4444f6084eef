//! What can be said at a promotion: which harm is excluded.

/// The harms of which it is told whether they are excluded: how many times as frequent failures are at the canary.
const HARMS: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
/// Excluded with 99 %.
const CERTAIN: f64 = 100.0;

/// Which harms the events so far exclude: for each harm an e-process against it, as [`super::Evidence`] is one against
/// no harm.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExcludedHarm {
    logs: [f64; HARMS.len()],
}

impl ExcludedHarm {
    /// Takes one event into account, as [`super::Evidence::note`] does.
    pub(super) fn note(&mut self, canary: bool, share: f64) {
        for (log, harm) in self.logs.iter_mut().zip(HARMS) {
            // How much better equal revisions explain the event than this harm does.
            *log += (harm * share + 1.0 - share).ln() - if canary { harm.ln() } else { 0.0 };
        }
    }

    /// The least harm that is excluded at 99 %: events are less than so many times as frequent at the canary. `None`:
    /// there were too few events to exclude any.
    pub fn least(&self) -> Option<f64> {
        let excluded = |(log, _): &(&f64, f64)| log.exp() >= CERTAIN;
        self.logs.iter().zip(HARMS).find(excluded).map(|(_, harm)| harm)
    }
}

/// The highest share of failures that `failed` of `calls` leave possible at 99 %, by Chernoff's bound; 1 without calls.
pub fn highest_share(failed: u64, calls: u64) -> f64 {
    if calls == 0 || failed >= calls {
        return 1.0;
    }
    let seen = failed as f64 / calls as f64;
    let divergence = |share: f64| {
        let of_failed = if failed == 0 { 0.0 } else { seen * (seen / share).ln() };
        of_failed + (1.0 - seen) * ((1.0 - seen) / (1.0 - share)).ln()
    };
    let wanted = CERTAIN.ln() / calls as f64;
    let (mut low, mut high) = (seen, 1.0);
    // The divergence grows from 0 at `seen`. 60 halvings are more than the digits of the number.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if divergence(middle) < wanted { low = middle } else { high = middle }
    }
    high
}
