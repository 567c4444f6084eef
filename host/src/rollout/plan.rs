//! How a new revision gets its share of the calls.

use crate::archive::RecordedPlan;
use std::sync::Arc;
use std::time::Duration;

/// The plan of a canary.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryPlan {
    /// The shares of its steps, in percent, each 1 to 99 and larger than the one before; one at least, unless
    /// there is a shadow. After the last step the revision gets all calls.
    pub shares: Vec<u8>,
    /// How long a step lasts at least: 1 s to 1 d. Default 2 min.
    pub step: Duration,
    /// How many calls the canary gets in a step at least: 1 to 1,000,000. Default 50.
    pub calls: u64,
    /// The share of its calls that may fail, in whatever way the stable revision fares: more than 0 and less than 1.
    /// Default: any.
    pub max_errors: Option<f64>,
    /// What sticks to one revision: `subject`, `header:NAME`, `cookie:NAME`. Default: each request for itself.
    pub sticky: Option<Arc<str>>,
    /// How long calls are compared in the shadow before the canary gets any: 1 s to 1 d. Default: not at all.
    pub shadow: Option<Duration>,
    /// Whether a difference in the shadow takes the canary back. Default: no.
    pub fail_on_diff: bool,
    /// After how long a step that has too few calls asks an operator. Default 10 min.
    pub ask: Duration,
}

impl Default for CanaryPlan {
    fn default() -> Self {
        Self {
            shares: vec![1, 5, 25, 50],
            step: Duration::from_secs(120),
            calls: 50,
            max_errors: None,
            sticky: None,
            shadow: None,
            fail_on_diff: false,
            ask: Duration::from_secs(600),
        }
    }
}

impl CanaryPlan {
    /// A share of a step, `1%` to `99%` in whole percent; `None` for any other text.
    pub fn percent(text: &str) -> Option<u8> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok().filter(|percent| (1..=99).contains(percent))
    }

    pub(super) fn to_record(&self, hold: bool, no_way_back: bool) -> RecordedPlan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        RecordedPlan {
            shares: self.shares.clone(),
            step_ms: millis(self.step),
            calls: self.calls,
            max_errors: self.max_errors.unwrap_or_default(),
            ask_ms: millis(self.ask),
            sticky: self.sticky.as_deref().map(str::to_owned),
            shadow_ms: self.shadow.map(millis).unwrap_or_default(),
            fail_on_diff: self.fail_on_diff,
            hold,
            no_way_back,
        }
    }

    /// The plan that a record has; `None` if it has no steps.
    pub(super) fn from_record(record: &RecordedPlan) -> Option<Self> {
        let shares: Vec<u8> = record.shares.iter().copied().filter(|share| (1..100).contains(share)).collect();
        let shadow = (record.shadow_ms > 0).then(|| Duration::from_millis(record.shadow_ms));
        (!shares.is_empty() || shadow.is_some()).then(|| Self {
            shares,
            step: Duration::from_millis(record.step_ms),
            calls: record.calls,
            max_errors: Some(record.max_errors).filter(|share| *share > 0.0 && *share < 1.0),
            sticky: record.sticky.as_deref().map(Arc::from),
            shadow,
            fail_on_diff: record.fail_on_diff,
            ask: Duration::from_millis(record.ask_ms),
        })
    }
}
