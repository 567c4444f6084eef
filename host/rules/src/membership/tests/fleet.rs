//! A fleet of one node's table, for tests.

use crate::base::{Digest, ServiceName};
use crate::membership::{Incarnation, NodeName, NodeRow, ServiceRow, Standing};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name of the node with this number.
pub(super) fn name(node: usize) -> NodeName {
    NodeName::new(&format!("n{node}")).unwrap()
}

/// What it says in its life `life`: one service.
pub(super) fn row(node: usize, life: u64) -> Arc<NodeRow> {
    let service = ServiceName::new("users").unwrap();
    let services = vec![ServiceRow { service, revision: Digest([7; 32]), replicas: 1, load: 0 }];
    let (zone, address, standing) = (None, format!("10.0.0.{node}:7070"), Standing::Living);
    let (name, incarnation, cannot) = (name(node), Incarnation(life), BTreeSet::new());
    Arc::new(NodeRow { name, incarnation, zone, address, standing, services, cannot, gateway: None })
}
