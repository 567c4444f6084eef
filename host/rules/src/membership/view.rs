//! All nodes at one moment.

use super::node_name::NodeName;
use super::node_row::{NodeRow, ServiceRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cluster, as one node knows it. It never changes; a newer view replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// This node.
    pub own: NodeName,
    /// Every node that is believed to live, this one too.
    pub nodes: BTreeMap<NodeName, Arc<NodeRow>>,
    /// Whether the registry is away, so that this may be the past. It is used all the same.
    pub stale: bool,
}

impl ClusterView {
    /// A cluster of this node alone, before it has heard of others.
    pub fn alone(row: Arc<NodeRow>) -> Self {
        Self { own: row.name.clone(), nodes: BTreeMap::from([(row.name.clone(), row)]), stale: true }
    }

    /// The other nodes.
    pub fn others(&self) -> impl Iterator<Item = &Arc<NodeRow>> {
        self.nodes.values().filter(|row| row.name != self.own)
    }

    /// The other nodes that serve `service` and take calls, with what they say of it.
    pub fn serving<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a Arc<NodeRow>, &'a ServiceRow)> {
        let open = self.others().filter(|row| row.standing.takes_calls());
        open.filter_map(move |row| row.service(service).map(|served| (row, served)))
    }
}
