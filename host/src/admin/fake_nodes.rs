//! The nodes of the host of `fake`: `a`, which it is itself, and `b`.

use super::fake::Fake;
use super::node_operations::NodeOperations;
use super::node_view::{NodeServiceView, NodeView, NodesView};
use super::operation_error::{OperationError, OperationErrorKind};
use crate::membership::Standing;

fn node(name: &str, standing: &str, load: u32) -> NodeView {
    let service = NodeServiceView {
        name: "users".into(),
        revision: "aaaaaaaaaaaa".into(),
        digest: "a".repeat(64),
        replicas: 2,
        load,
    };
    NodeView {
        name: name.into(),
        own: name == "a",
        incarnation: "00000000000000ff".into(),
        zone: (name == "a").then(|| "z1".into()),
        address: format!("{name}.internal:7070"),
        standing: standing.into(),
        services: vec![service],
    }
}

impl NodeOperations for Fake {
    fn nodes(&self) -> Result<NodesView, OperationError> {
        let nodes = vec![node("a", "living", 0), node("b", "draining", 0)];
        Ok(NodesView { nodes, stale_ms: None, lease_age_ms: Some(700), doubted: 0 })
    }

    async fn order_node(&self, name: &str, standing: Standing) -> Result<NodeView, OperationError> {
        if name != "b" {
            return Err(OperationError::new(OperationErrorKind::NoNode, format!("there is no node `{name}`")));
        }
        self.node_orders.lock().expect("no test panics with it").push(format!("{name} {standing}"));
        Ok(node(name, standing.as_str(), 3))
    }
}
