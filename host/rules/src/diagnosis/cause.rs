//! A cause: what is wrong, and where.

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCause {
    /// What kind of thing it is.
    pub kind: CauseKind,
    /// From the service that was asked about to the one where it is wrong.
    pub path: Vec<String>,
    /// The revision that has failed there, if that is known; otherwise the one that serves.
    pub revision: Option<String>,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// The command that shows more, or that mends it.
    pub next: String,
    /// Whether that command reads lines of the log, which not every host keeps.
    pub reads_log: bool,
}

/// The kinds of causes, from those that explain others to those that are explained by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// Somebody makes calls fail or take longer on purpose.
    FaultOnPurpose,
    /// The service cannot be served: its component is missing or broken.
    LeftOut,
    /// Its component is being compiled.
    Starting,
    /// An operator holds its circuits open.
    OutOfService,
    /// The store takes no writes, or its database server does not answer.
    StoreUnavailable,
    /// The guest traps.
    Trap,
    /// The guest needs more memory than it may have.
    MemoryLimit,
    /// The component cannot be instantiated.
    Instantiation,
    /// Nobody listens at the address.
    Connect,
    /// What answers does not speak HTTP, or breaks it.
    BadAnswer,
    /// The connection broke off.
    Reset,
    /// It takes longer than its own bound.
    Timeout,
    /// The route or the caller leaves it too little time.
    DeadlineTooShort,
    /// It answers with 5xx.
    Answered5xx,
    /// Its functions report an error of the service.
    FunctionError,
    /// Health checks do not pass.
    NotReady,
    /// It is ejected: it fails more often than its neighbours.
    Ejected,
    /// The engine's pool is used up.
    PoolFull,
    /// More calls come than it may have at a time.
    Overloaded,
    /// Callers lack a scope or a credential.
    RefusedByPolicy,
    /// Callers send more than their rate.
    RateLimited,
    /// It may not call what it calls.
    Denied,
    /// Services call each other in a circle, or too deep.
    TooDeep,
    /// Clients send bad, large or slow requests, or go away.
    BadRequests,
    /// A circuit is open: a symptom of failures that are over, or of those above.
    CircuitOpen,
    /// More lines than the log takes of it: it prints without end, or fails again and again, or its circuit refuses.
    LinesLeftOut,
}

impl CauseKind {
    /// A stable name: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FaultOnPurpose => "fault-on-purpose",
            Self::LeftOut => "left-out",
            Self::Starting => "starting",
            Self::OutOfService => "out-of-service",
            Self::StoreUnavailable => "store-unavailable",
            Self::Trap => "trap",
            Self::MemoryLimit => "memory-limit",
            Self::Instantiation => "instantiation",
            Self::Connect => "connect",
            Self::BadAnswer => "bad-answer",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::DeadlineTooShort => "deadline-too-short",
            Self::Answered5xx => "answered-5xx",
            Self::FunctionError => "function-error",
            Self::NotReady => "not-ready",
            Self::Ejected => "ejected",
            Self::PoolFull => "pool-full",
            Self::Overloaded => "overloaded",
            Self::RefusedByPolicy => "refused-by-policy",
            Self::RateLimited => "rate-limited",
            Self::Denied => "denied",
            Self::TooDeep => "too-deep",
            Self::BadRequests => "bad-requests",
            Self::CircuitOpen => "circuit-open",
            Self::LinesLeftOut => "lines-left-out",
        }
    }
}
