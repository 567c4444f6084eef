//! What can go wrong with a call, and whose fault it is: the vocabulary of every room's errors.
//!
//! A room has one error type of its own, and maps each of its errors to a kind here. The mesh reads
//! [`ErrorKind::blame`] for the breaker; the gateway has one table from kinds to statuses.

use std::fmt;
use std::sync::Arc;

/// The error below another one, where there is one. It is shared: every caller that the failure concerns gets it.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Whose fault an error is. Only faults of the service count in its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client: its request is wrong, or it went away.
    Client,
    /// The service that was called.
    Service,
    /// The host itself.
    Host,
    /// This host refused the call before the service got it: nobody's fault, and neutral for the breaker.
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
    /// The guest returned no response, or one that is not valid HTTP.
    BadAnswer,
    /// No connection to the endpoint's address.
    Connect,
    /// The endpoint broke off the connection, or its answer's body.
    Reset,
    /// No answer within the deadline. It is the service's fault only if the service had the time that it may take: a
    /// caller may have left it less.
    Timeout,
    /// Every endpoint that could take the call has an open circuit.
    CircuitOpen,
    /// An operator has forced the circuit of every endpoint that could take the call open.
    OutOfService,
    /// The component of the service, or of one that it calls, is still being compiled.
    Starting,
    /// Too many calls are under way: the queue is full, or no call ended in time.
    Overloaded,
    /// The host is shutting down.
    Draining,
    /// The discovery table has no such service, or none of its endpoints is ready.
    NoEndpoint,
    /// The address is forbidden to every service.
    Denied,
    /// The chain of calls is too long; services that call each other in a circle end so.
    TooDeep,
    /// The request's body is larger than allowed.
    BodyTooLarge,
    /// The client did not send its body within the time that the service has for its answer, or sent it below the least
    /// rate.
    SlowBody,
    /// The service demands a scope that the caller has not.
    Forbidden,
    /// The client went away, or broke off its body.
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
            Self::CircuitOpen
            | Self::OutOfService
            | Self::Starting
            | Self::Overloaded
            | Self::Draining
            | Self::NoEndpoint
            | Self::Denied
            | Self::TooDeep => Blame::Refusal,
            Self::BodyTooLarge | Self::SlowBody | Self::Forbidden | Self::ClientGone => Blame::Client,
            Self::Host => Blame::Host,
        }
    }

    /// Whether it is a fault of the endpoint and not of the request: then another endpoint may do better, and so may
    /// this one later. A component that crashed on a request would probably crash on it again.
    pub fn is_endpoint_fault(self) -> bool {
        matches!(self, Self::Instantiation | Self::Connect | Self::Reset | Self::Timeout)
    }

    /// The kind of this name, as [`ErrorKind::as_str`] has it.
    pub fn named(name: &str) -> Option<Self> {
        const ALL: [ErrorKind; 20] = [
            ErrorKind::Trap,
            ErrorKind::Memory,
            ErrorKind::Instantiation,
            ErrorKind::BadAnswer,
            ErrorKind::Connect,
            ErrorKind::Reset,
            ErrorKind::Timeout,
            ErrorKind::CircuitOpen,
            ErrorKind::OutOfService,
            ErrorKind::Starting,
            ErrorKind::Overloaded,
            ErrorKind::Draining,
            ErrorKind::NoEndpoint,
            ErrorKind::Denied,
            ErrorKind::TooDeep,
            ErrorKind::BodyTooLarge,
            ErrorKind::SlowBody,
            ErrorKind::Forbidden,
            ErrorKind::ClientGone,
            ErrorKind::Host,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == name)
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
            Self::OutOfService => "out-of-service",
            Self::Starting => "starting",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::NoEndpoint => "no-endpoint",
            Self::Denied => "denied",
            Self::TooDeep => "too-deep",
            Self::BodyTooLarge => "body-too-large",
            Self::SlowBody => "slow-body",
            Self::Forbidden => "forbidden",
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
