//! What the admin answers about the nodes of the cluster.

use serde::{Deserialize, Serialize};

/// The cluster, as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesView {
    /// Every node that is believed to live, by name.
    pub nodes: Vec<NodeView>,
    /// For how long NATS has told nothing, in milliseconds: the nodes are the last that were known. None: it tells.
    pub stale_ms: Option<u64>,
    /// How long ago this node's lease was last renewed, in milliseconds. None: it has none.
    pub lease_age_ms: Option<u64>,
    /// How many of the nodes have no lease, and are believed to live all the same.
    pub doubted: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Whether it is the one that answers.
    pub own: bool,
    /// Which start of its process it is.
    pub incarnation: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Where other nodes reach it.
    pub address: String,
    /// What may be asked of it: `living`, `cordoned` or `draining`.
    pub standing: String,
    /// What it serves.
    pub services: Vec<NodeServiceView>,
}

/// A service of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeServiceView {
    /// Its name.
    pub name: String,
    /// The revision that serves there: the first 12 hex digits of its digest.
    pub revision: String,
    /// The whole digest of that revision.
    pub digest: String,
    /// Its replicas that are ready.
    pub replicas: u32,
    /// About how many of its calls are under way there. Of another node it is some seconds old.
    pub load: u32,
}
