//! The policies of a choice, and their names.

use std::fmt;

/// How the next endpoint is chosen. Weight means the effective weight: the endpoint's own weight, reduced during its
/// slow start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// At random: each endpoint that grants is as likely as its weight says.
    Random,
    /// The endpoints take turns, and heavier ones more often.
    RoundRobin,
    /// Of two random endpoints, the one with fewer calls under way for its weight.
    LeastRequest,
    /// Of two random endpoints, the one where a call costs less for its weight: latency (peak-EWMA) × calls under way.
    #[default]
    PeakEwma,
}

/// A text that names no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no balancing policy: write `random`, `round-robin`, `least-request` or `peak-ewma`")]
pub struct UnknownPolicy(String);

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Random, Self::RoundRobin, Self::LeastRequest, Self::PeakEwma];

    /// Reads the name that [`Policy::as_str`] writes.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownPolicy> {
        let named = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        named.ok_or_else(|| UnknownPolicy(text.to_owned()))
    }

    /// The policy's name in the manifest: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastRequest => "least-request",
            Self::PeakEwma => "peak-ewma",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
