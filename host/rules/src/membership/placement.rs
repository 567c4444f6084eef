//! Which nodes have the instances of a service, where their number is one for the whole cluster.
//!
//! Every node reckons it for itself from its view, and equal views give equal answers: nobody has to lead. The order of
//! the zones, and that of the nodes of a zone, are ranks by a hash of the service's name and theirs (rendezvous
//! hashing), so they do not depend on who else is there. A zone after the other gives its next node until the number is
//! reached. Where a node goes, one place of one zone ends: those that remain stay, and one node is added.

use super::node_name::{NodeName, ZoneName};
use super::node_row::{NodeRow, Standing};
use super::view::ClusterView;
use crate::base::ServiceName;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Nodes, by one word of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementRule {
    /// `node=a`: the node of this name.
    Node(NodeName),
    /// `zone=b`: those of this zone.
    Zone(ZoneName),
}

impl fmt::Display for PlacementRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node={name}"),
            Self::Zone(name) => write!(f, "zone={name}"),
        }
    }
}

impl PlacementRule {
    /// Whether it names the node `node` of `zone`.
    pub fn names(&self, node: &NodeName, zone: Option<&ZoneName>) -> bool {
        match self {
            Self::Node(own) => own == node,
            Self::Zone(own) => Some(own) == zone,
        }
    }
}

/// On how many nodes a service stands, and on which it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The nodes on which it may stand; none: all.
    pub rules: Vec<PlacementRule>,
    /// On how many of them it stands: at least 1. Where there are fewer, on all.
    pub count: usize,
}

/// What a node does about the instances of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceOrder {
    /// It has some.
    Have,
    /// It leaves things as they are: the view may be the past, or whoever comes in its place is not ready.
    Stay,
    /// It will have none: all nodes that should have some do. Two nodes may each count on the other at one moment, so
    /// whoever leaves says first that it has none, and ends what it has when all have heard that and it still holds.
    Leave,
}

impl Placement {
    /// Whether the service may stand on this node.
    pub fn permits(&self, node: &NodeName, zone: Option<&ZoneName>) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.names(node, zone))
    }

    /// The nodes of `view` on which `service` should stand.
    pub fn nodes(&self, service: &ServiceName, view: &ClusterView) -> BTreeSet<NodeName> {
        let mut zones: BTreeMap<Option<&ZoneName>, Vec<(u64, &NodeName)>> = BTreeMap::new();
        let fit = view.nodes.values().filter(|row| self.permits(&row.name, row.zone.as_ref()) && takes(row, service));
        for row in fit {
            let rank = rank(service, "node", row.name.as_str());
            zones.entry(row.zone.as_ref()).or_default().push((rank, &row.name));
        }
        let mut places: Vec<(usize, Reverse<u64>, &NodeName)> = Vec::new();
        for (zone, nodes) in &mut zones {
            let zone = rank(service, "zone", zone.map(ZoneName::as_str).unwrap_or_default());
            nodes.sort_by_key(|one| Reverse(*one));
            places.extend(nodes.iter().enumerate().map(|(round, (_, node))| (round, Reverse(zone), *node)));
        }
        places.sort();
        places.into_iter().take(self.count).map(|(.., node)| node.clone()).collect()
    }

    /// What the node of `view` does about `service`. It gives up what it has when the others have what they should:
    /// until then it is one more, and never one too few.
    pub fn order(&self, service: &ServiceName, view: &ClusterView) -> PlaceOrder {
        if view.stale {
            return PlaceOrder::Stay;
        }
        let wanted = self.nodes(service, view);
        if wanted.contains(&view.own) {
            return PlaceOrder::Have;
        }
        let serves = |name: &NodeName| view.nodes.get(name).is_some_and(|row| row.service(service.as_str()).is_some());
        if !wanted.is_empty() && wanted.iter().all(serves) { PlaceOrder::Leave } else { PlaceOrder::Stay }
    }
}

/// Whether a node may be one of those that have instances: one that takes no further replicas keeps those that it has,
/// and one that could not start any is passed over.
fn takes(row: &NodeRow, service: &ServiceName) -> bool {
    match row.standing {
        Standing::Living => !row.cannot.contains(service),
        Standing::Cordoned => row.service(service.as_str()).is_some(),
        Standing::Draining => false,
    }
}

/// The rank of a node or a zone for a service: the same in every version, since nodes of two versions must agree. It is
/// FNV-1a, which mixes its last bytes badly, and then the end of splitmix64.
fn rank(service: &ServiceName, kind: &str, name: &str) -> u64 {
    let bytes = [service.as_str(), kind, name].into_iter().flat_map(|text| text.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let z = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_the_same_in_every_version() {
        let service = ServiceName::new("users").unwrap();
        assert_eq!(rank(&service, "node", "a"), 746_613_506_116_289_623);
        assert_ne!(rank(&service, "node", "a"), rank(&service, "zone", "a"));
    }
}
