//! What a node says of itself.

use super::node_name::{NodeName, ZoneName};
use crate::base::{Digest, GatewayPlace, ServiceName};
use std::collections::BTreeSet;
use std::fmt;

/// One start of a node's process: a random number. After a restart the node has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// An incarnation from its 16 hex digits; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What may be asked of a node. The later ones take less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It takes calls, and further replicas.
    #[default]
    Living,
    /// It takes calls, and no further replicas.
    Cordoned,
    /// It takes no calls from other nodes: it ends what it has.
    Draining,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 3] = [Self::Living, Self::Cordoned, Self::Draining];

    /// The word for it: `living`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Living => "living",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
        }
    }

    /// The standing of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }

    /// Whether other nodes may send calls there.
    pub fn takes_calls(self) -> bool {
        self != Self::Draining
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A service that a node serves by a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Its name.
    pub service: ServiceName,
    /// The revision that serves there.
    pub revision: Digest,
    /// How many of its replicas are ready: at least 1.
    pub replicas: u32,
    /// About how many of its calls are under way there.
    pub load: u32,
}

/// A node, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: NodeName,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// Where it is; `None`: nowhere in particular.
    pub zone: Option<ZoneName>,
    /// Where other nodes reach it: `host:port`.
    pub address: String,
    /// What may be asked of it.
    pub standing: Standing,
    /// What it serves, in the order of the names; each stands once.
    pub services: Vec<ServiceRow>,
    /// The services that it should have and cannot start: for a while others have them in its place.
    pub cannot: BTreeSet<ServiceName>,
    /// Where others reach its gateway; `None`: it does not say, since it has no name server, or is of an older version.
    pub gateway: Option<GatewayPlace>,
}

impl NodeRow {
    /// What it says of `service`; `None`: it does not serve that.
    pub fn service(&self, service: &str) -> Option<&ServiceRow> {
        let at = self.services.binary_search_by(|row| row.service.as_str().cmp(service));
        at.ok().and_then(|at| self.services.get(at))
    }
}
