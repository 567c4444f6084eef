//! What is known of one service, as far as it may explain why calls fail.

use std::collections::BTreeMap;

/// What is known of one service.
#[derive(Debug, Clone, Default)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// The revision that serves; `None` for a service of addresses.
    pub revision: Option<String>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointFacts>,
    /// The services that it may call.
    pub calls: Vec<String>,
    /// The circuits of the hosts outside that it calls.
    pub outside: Vec<EndpointFacts>,
    /// Why it is not served, if it is left out.
    pub left_out: Option<String>,
    /// The active faults on purpose, described.
    pub faults: Vec<String>,
    /// What the store says if it takes no writes, and the service has state.
    pub store: Option<String>,
    /// Tries in the last minute.
    pub requests: u64,
    /// Tries that failed in the last minute, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Calls refused in the last minute, by kind.
    pub refused: BTreeMap<String, u64>,
    /// Tries without an answer in time, by whose deadline it was.
    pub timeouts: BTreeMap<String, u64>,
    /// Requests of its routes that ended otherwise than with an answer, by kind.
    pub at_gateway: BTreeMap<String, u64>,
    /// Where its guests failed last, if they have.
    pub trap: Option<FailureFacts>,
    /// Calls under way, and how many there may be.
    pub in_flight: (u64, u64),
    /// Calls that wait, and how many may.
    pub waiting: (u64, u64),
    /// Its calls that wait for the engine's pool.
    pub pool: PoolFacts,
    /// Lines about it, or printed by it, that the log left out in the last minute.
    pub left_out_lines: u64,
    /// The latest change of a revision, in words: `swapped 2 min ago: …`.
    pub newest_swap: Option<String>,
}

/// What is known of one endpoint, or of one host outside.
#[derive(Debug, Clone, Default)]
pub struct EndpointFacts {
    /// Its name.
    pub id: String,
    /// Its circuit.
    pub circuit: CircuitFacts,
    /// Whether its code is still being compiled.
    pub starting: bool,
    /// Whether its health checks fail.
    pub unready: bool,
    /// Whether it is ejected.
    pub ejected: bool,
    /// The latest failure of each kind, in the order in which they came.
    pub failures: Vec<FailureFacts>,
}

impl EndpointFacts {
    /// The latest failure.
    pub(super) fn last(&self) -> Option<&FailureFacts> {
        self.failures.last()
    }
}

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CircuitFacts {
    /// Calls pass.
    #[default]
    Closed,
    /// Some or no calls pass, since too many have failed.
    Open,
    /// An operator holds it open.
    HeldOpen,
}

/// A failure that has happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureFacts {
    /// Its kind.
    pub kind: String,
    /// What happened, and where.
    pub detail: String,
    /// How long ago, in seconds.
    pub seconds_ago: u64,
    /// How often, as far as that is known.
    pub count: u64,
    /// The revision that failed; `None` for an address.
    pub revision: Option<String>,
}

impl ServiceFacts {
    /// The latest failure of this kind. Of where a guest failed, and what an endpoint remembers of the same failure,
    /// the former, which says more.
    pub(super) fn last_of(&self, kind: &str) -> Option<&FailureFacts> {
        let failures = self.endpoints.iter().flat_map(|endpoint| &endpoint.failures);
        let known = failures.filter(|last| last.kind == kind).min_by_key(|last| last.seconds_ago);
        // The two are remembered one after the other, so a whole second may lie between.
        let same = |trap: &&FailureFacts| known.is_none_or(|known| trap.seconds_ago <= known.seconds_ago + 1);
        self.trap.as_ref().filter(|trap| trap.kind == kind).filter(same).or(known)
    }
}

/// What a service has of the engine's pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolFacts {
    /// Slots that its instances hold.
    pub held: u64,
    /// Its calls that wait for slots.
    pub waiting: u64,
}
