//! The symptoms: what a canary can be worse in.

use std::fmt;

/// What a canary can be worse in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symptom {
    /// Calls fail by the service's fault.
    Failures,
    /// Calls crash in a way that the stable revision has not shown.
    NewTraps,
    /// Calls are slower than 95 % of the stable revision's.
    SlowCalls,
    /// Calls need more memory than 95 % of the stable revision's.
    Memory,
}

impl Symptom {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failures, Self::NewTraps, Self::SlowCalls, Self::Memory];

    /// What its evidence counts in the whole. The weights sum to 1, so the whole is an e-process too.
    pub(super) fn weight(self) -> f64 {
        match self {
            // Failures say the most: 0.1 to 1 % takes 1,509 canary calls with 0.6, and 1,468 with 0.7 (decision 037).
            Self::Failures => 0.7,
            Self::NewTraps | Self::SlowCalls => 0.12,
            Self::Memory => 0.06,
        }
    }

    /// A stable name: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::NewTraps => "new-traps",
            Self::SlowCalls => "slow-calls",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failures => "failed calls",
            Self::NewTraps => "crashes of a new kind",
            Self::SlowCalls => "slow calls",
            Self::Memory => "calls that need much memory",
        })
    }
}
