//! A breaker as others see it: its state, whether an operator holds it there, and its refusal.

use std::fmt;
use std::time::Duration;

/// The textbook states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused until the open time is over, or until an operator closes or resets the circuit.
    Open,
    /// A few probes go through, and their outcomes decide.
    HalfOpen,
}

impl State {
    /// A stable name for metrics and the admin API: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state in which an operator holds a circuit, until the operator resets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// Every call is refused.
    Open,
    /// Every call goes through, and no outcome counts.
    Closed,
}

impl Forced {
    /// A stable name for metrics and the admin API: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Forced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A breaker as its operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The state in which a call would find the circuit.
    pub state: State,
    /// The operator's hold; `None`: no operator holds the circuit.
    pub forced: Option<Forced>,
}

/// The breaker lets no call through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .retry_after {
    Some(wait) => format!("the circuit lets no call through for another {wait:?}"),
    None => "an operator holds the circuit open".to_owned(),
})]
pub struct Refused {
    /// How long to wait before the next try, at least 1 ms: what remains of the open time, or of the lease of the
    /// oldest probe under way. `None`: an operator holds the circuit open, and only the operator knows how long.
    pub retry_after: Option<Duration>,
}
