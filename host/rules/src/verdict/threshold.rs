//! The bound above which a value of a call is remarkable: what 95 % of the stable revision's calls stay below.

/// How many calls of the stable revision settle the bound.
const SAMPLES: usize = 2000;
/// The bound is above so many of them, in percent. With the 99th percentile twice as many calls are needed to find a
/// canary that is 1.2 times as slow.
const PERCENTILE: usize = 95;

/// A bound that is learnt from the stable revision's calls and then frozen. Since it depends on calls of the past
/// alone, it treats both revisions alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Threshold {
    samples: Vec<u64>,
    bound: Option<u64>,
}

impl Threshold {
    /// Whether `value` is above the bound. `None` before there is one; then a value of the stable revision helps to
    /// settle it.
    pub(super) fn exceeds(&mut self, value: u64, canary: bool) -> Option<bool> {
        if let Some(bound) = self.bound {
            return Some(value > bound);
        }
        if !canary {
            self.samples.push(value);
            if self.samples.len() == SAMPLES {
                let at = SAMPLES * PERCENTILE / 100 - 1;
                let (_, bound, _) = self.samples.select_nth_unstable(at);
                self.bound = Some(*bound);
                self.samples = Vec::new();
            }
        }
        None
    }

    /// The bound, if it is settled.
    pub(super) fn bound(&self) -> Option<u64> {
        self.bound
    }
}
