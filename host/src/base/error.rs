//! What can go wrong with a call, and whose fault it is: the vocabulary of every room's errors.
//!
//! A room has one error enum of its own; each of its errors maps to a kind here. The breaker reads [`ErrorKind::blame`]; the gateway's
//! one table reads the kind and writes a status.

use std::fmt;

/// Whose fault an error is. Only faults of the service count in its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client: its request, or its going away.
    Client,
    /// The service that was called.
    Service,
    /// The host itself.
    Host,
    /// A local refusal before the service was asked: nobody's fault, and neutral for the breaker.
    Refusal,
}

/// The kinds of failed calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The guest trapped.
    Trap,
    /// The guest hit its memory limit.
    Memory,
    /// The component could not be instantiated.
    Instantiation,
    /// The guest answered without a response, or with one that is not valid HTTP.
    BadAnswer,
    /// No connection to the endpoint's address.
    Connect,
    /// The endpoint broke the connection, or its body off.
    Reset,
    /// No answer within the deadline.
    Timeout,
    /// Every endpoint that could be asked has an open circuit.
    CircuitOpen,
    /// Too many calls are under way, and too many wait already; or none of those ended in time.
    Overloaded,
    /// The host is going down.
    Draining,
    /// No such service in the discovery table, or one without an endpoint that is ready.
    NoEndpoint,
    /// No way leads there: an address that nobody may call.
    Denied,
    /// Services call each other in a circle, or too long a chain of them.
    TooDeep,
    /// The request's body is larger than allowed.
    BodyTooLarge,
    /// The client did not send its body in the time that the service is given.
    SlowBody,
    /// The client went away or broke its body off.
    ClientGone,
    /// A fault of the host.
    Host,
}

impl ErrorKind {
    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        match self {
            Self::Trap
            | Self::Memory
            | Self::Instantiation
            | Self::BadAnswer
            | Self::Connect
            | Self::Reset
            | Self::Timeout => Blame::Service,
            Self::CircuitOpen | Self::Overloaded | Self::Draining | Self::NoEndpoint | Self::Denied | Self::TooDeep => {
                Blame::Refusal
            }
            Self::BodyTooLarge | Self::SlowBody | Self::ClientGone => Blame::Client,
            Self::Host => Blame::Host,
        }
    }

    /// Whether it is a fault of the place that was asked, and not of the work: then another place may do better, and so may this one later;
    /// what crashed on a request would crash on it again.
    pub fn is_endpoint_fault(self) -> bool {
        matches!(self, Self::Instantiation | Self::Connect | Self::Reset | Self::Timeout)
    }

    /// A stable name for logs, metrics and problem types: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Memory => "memory-limit",
            Self::Instantiation => "instantiation",
            Self::BadAnswer => "bad-answer",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::CircuitOpen => "circuit-open",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::NoEndpoint => "no-endpoint",
            Self::Denied => "denied",
            Self::TooDeep => "too-deep",
            Self::BodyTooLarge => "body-too-large",
            Self::SlowBody => "slow-body",
            Self::ClientGone => "client-gone",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
