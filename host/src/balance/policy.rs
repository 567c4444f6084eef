//! The ways to choose, and their names.

use std::fmt;

/// How the next endpoint is chosen. Weight means effective weight: what the endpoint was given, less what slow start holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Each endpoint that grants is as likely as its weight says.
    Random,
    /// The endpoints take turns, heavier ones more often.
    RoundRobin,
    /// The one of two with fewer calls under way, by weight.
    LeastRequest,
    /// The one of two where a call costs less: latency (peak-EWMA) × calls under way, by weight.
    #[default]
    PeakEwma,
}

/// A text that names no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no balancing policy: write `random`, `round-robin`, `least-request` or `peak-ewma`")]
pub struct UnknownPolicy(String);

impl Policy {
    /// All of them.
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
