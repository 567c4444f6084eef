//! What others see of a breaker: its state, who holds it there, and its refusal.

use std::fmt;
use std::time::Duration;

/// The textbook states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused until the open time is over, or until an operator says otherwise.
    Open,
    /// A few probes go through and decide.
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

/// What an operator holds a circuit at, until it is reset.
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
    /// The state that a call would meet.
    pub state: State,
    /// Who holds it there: an operator, or nobody.
    pub forced: Option<Forced>,
}

/// The breaker lets no call through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .retry_after {
    Some(wait) => format!("the circuit lets no call through for another {wait:?}"),
    None => "an operator holds the circuit open".to_owned(),
})]
pub struct Refused {
    /// How long until a try makes sense, at least 1 ms: what is left of the open time, or of the lease of the oldest probe under way.
    /// `None`: an operator holds the circuit open, and only an operator knows how long.
    pub retry_after: Option<Duration>,
}
