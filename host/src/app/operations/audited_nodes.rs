//! What operators order of nodes, with a line in the audit file for each.

use super::audited_operations::{AuditedOperations, who};
use crate::admin::{NodeOperations, NodeView, NodesView, OperationError, Operations};
use crate::audit::AuditRecord;
use crate::membership::Standing;

impl<O: Operations> NodeOperations for AuditedOperations<O> {
    fn nodes(&self) -> Result<NodesView, OperationError> {
        self.inner.nodes()
    }

    async fn order_node(&self, node: &str, standing: Standing) -> Result<NodeView, OperationError> {
        let outcome = self.inner.order_node(node, standing).await;
        self.record(AuditRecord::new(&who(), "node-ordered").on(node), Some(standing.to_string()), outcome)
    }
}
