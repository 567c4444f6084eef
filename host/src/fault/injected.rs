//! One fault, and what a call suffers.

use super::Share;
use std::fmt;
use std::time::Duration;

/// What is done on purpose to the calls of a service. [`Fault::new`] is the only way to make one; the fields are there to be read.
#[expect(clippy::manual_non_exhaustive, reason = "`#[non_exhaustive]` would let this crate make unchecked ones")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// How much longer each call takes.
    pub latency: Duration,
    /// The share of calls that fail like an error of the service.
    pub error: Share,
    /// The share of calls that fail like a trap of the service. Another share than `error`: no call does both.
    pub trap: Share,
    /// Keeps others from making one whose shares are more than all calls.
    _checked: (),
}

/// A [`Fault`] that would fail more calls than there are.
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

/// How a call fails on purpose.
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

/// What one call suffers on purpose: never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// How long to wait first, before a failure too.
    pub latency: Duration,
    /// How to fail after it; `None`: not at all, the call is made.
    pub failure: Option<InjectedFailure>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, error, trap, .. } = self;
        write!(f, "latency {latency:?}, error {error}, trap {trap}")
    }
}

impl Fault {
    /// A fault that makes every call `latency` slower, and fails the share `error` of them one way and the share `trap` the other.
    ///
    /// # Errors
    /// [`InvalidFault`] when `error` and `trap` are more than all calls together.
    pub fn new(latency: Duration, error: Share, trap: Share) -> Result<Self, InvalidFault> {
        if error.millionths() + trap.millionths() > Share::ALL.millionths() {
            return Err(InvalidFault { error, trap });
        }
        Ok(Self { latency, error, trap, _checked: () })
    }

    /// Whether it does nothing to any call.
    pub fn is_nothing(&self) -> bool {
        self.latency.is_zero() && self.error == Share::NONE && self.trap == Share::NONE
    }

    /// Whether the next call fails, and how. One draw decides: its lowest numbers are the errors, those after them the traps.
    pub(super) fn failure(&self, random: &mut dyn FnMut(usize) -> usize) -> Option<InjectedFailure> {
        let (error, trap) = (self.error.millionths() as usize, self.trap.millionths() as usize);
        if error + trap == 0 {
            return None;
        }
        match random(Share::ALL.millionths() as usize) {
            drawn if drawn < error => Some(InjectedFailure::Error),
            drawn if drawn < error + trap => Some(InjectedFailure::Trap),
            _ => None,
        }
    }
}
