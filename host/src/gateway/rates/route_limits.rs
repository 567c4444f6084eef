//! The limits of one route.

use super::rate_fields;
use super::rate_limit::RateLimit;
use http::HeaderValue;
use std::sync::Arc;

/// The limits of one route; all of them must admit a request.
#[derive(Debug, Clone)]
pub struct RouteLimits {
    /// First those that are looked at before authentication.
    pub(super) limits: Arc<[Arc<RateLimit>]>,
    /// How many these are.
    pub(super) early: usize,
    pub(super) policy: HeaderValue,
}

impl RouteLimits {
    /// These limits together; `None` without any.
    pub fn new(mut limits: Vec<Arc<RateLimit>>) -> Option<Self> {
        // Stable: otherwise in the order of the route.
        limits.sort_by_key(|limit| limit.by.needs_identity());
        let early = limits.iter().filter(|limit| !limit.by.needs_identity()).count();
        let policies: Vec<_> = limits.iter().flat_map(|limit| rate_fields::policies(limit)).collect();
        let policy = HeaderValue::from_str(&policies.join(", ")).expect("names and numbers");
        (!limits.is_empty()).then(|| Self { limits: limits.into(), early, policy })
    }

    /// The same limits, of which those that `known` has by their names are those.
    #[must_use]
    pub fn with(&self, known: impl Fn(&str) -> Option<Arc<RateLimit>>) -> Self {
        let own = |limit: &Arc<RateLimit>| known(limit.name()).unwrap_or_else(|| Arc::clone(limit));
        Self { limits: self.limits.iter().map(own).collect(), early: self.early, policy: self.policy.clone() }
    }
}
