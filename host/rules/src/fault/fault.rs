//! One fault, and what a call suffers from the active faults.

use super::share::Share;
use std::fmt;
use std::time::Duration;

/// What is done on purpose to the calls of a service. [`Fault::new`] alone makes one; the fields are for reading.
#[expect(clippy::manual_non_exhaustive, reason = "`#[non_exhaustive]` would let this crate make unchecked ones")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The latency that is added to calls.
    pub latency: Duration,
    /// The share of calls that the latency is added to, whether they fail or not.
    pub latency_share: Share,
    /// The share of calls that fail like an error of the service.
    pub error: Share,
    /// The share of calls that fail like a trap of the service. No call fails in both ways, so the two shares are of
    /// different calls.
    pub trap: Share,
    /// Keeps other code from making a fault whose shares are more than all calls.
    _checked: (),
}

/// The shares of a [`Fault`] are more than all calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("error {error} and trap {trap} are more than 100% of the calls together")]
pub struct InvalidFault {
    error: Share,
    trap: Share,
}

impl InvalidFault {
    /// How to correct it.
    pub fn help(&self) -> &'static str {
        "no call fails in both ways, so lower one of them"
    }
}

/// How an injected fault makes a call fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFailure {
    /// Like an error of the service.
    Error,
    /// Like a trap of the service.
    Trap,
}

impl InjectedFailure {
    /// A stable name for metrics: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Trap => "trap",
        }
    }
}

/// What one call suffers from the active faults: a latency, a failure, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// How long to wait before the call, or before its failure.
    pub latency: Duration,
    /// How the call fails after the wait; `None`: the call is sent.
    pub failure: Option<InjectedFailure>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, latency_share, error, trap, .. } = self;
        write!(f, "latency {latency:?} of {latency_share}, error {error}, trap {trap}")
    }
}

impl Fault {
    /// A fault that makes every call `latency` slower, fails the share `error` of them with an error, and the share
    /// `trap` with a trap.
    ///
    /// # Errors
    /// [`InvalidFault`] when `error` and `trap` are more than all calls together.
    pub fn new(latency: Duration, error: Share, trap: Share) -> Result<Self, InvalidFault> {
        if error.millionths() + trap.millionths() > Share::ALL.millionths() {
            return Err(InvalidFault { error, trap });
        }
        Ok(Self { latency, latency_share: Share::ALL, error, trap, _checked: () })
    }

    /// The same fault, which makes only `share` of the calls slower.
    #[must_use]
    pub fn with_latency_share(self, share: Share) -> Self {
        Self { latency_share: share, ..self }
    }

    /// Whether the fault does nothing to any call.
    pub fn is_nothing(&self) -> bool {
        (self.latency.is_zero() || self.latency_share == Share::NONE)
            && self.error == Share::NONE
            && self.trap == Share::NONE
    }

    /// How much slower the next call is. If that is not the same for all calls, one random number decides.
    pub(super) fn slows(&self, random: &mut dyn FnMut(usize) -> usize) -> Duration {
        let share = self.latency_share;
        let is_slow = match share {
            Share::ALL => true,
            Share::NONE => false,
            _ => !self.latency.is_zero() && random(Share::ALL.millionths() as usize) < share.millionths() as usize,
        };
        if is_slow { self.latency } else { Duration::ZERO }
    }

    /// Whether the next call fails, and how. One random number decides: the lowest numbers are errors, the ones after
    /// them traps.
    pub(super) fn failure(&self, random: &mut dyn FnMut(usize) -> usize) -> Option<InjectedFailure> {
        let (error, trap) = (self.error.millionths() as usize, self.trap.millionths() as usize);
        if error + trap == 0 {
            return None;
        }
        debug_assert!(error + trap <= Share::ALL.millionths() as usize, "a fault fails at most all calls");
        match random(Share::ALL.millionths() as usize) {
            drawn if drawn < error => Some(InjectedFailure::Error),
            drawn if drawn < error + trap => Some(InjectedFailure::Trap),
            _ => None,
        }
    }
}
