//! What the admin asks about the nodes of the cluster.

use super::node_view::{NodeView, NodesView};
use super::operation_error::OperationError;
#[cfg(doc)]
use super::operation_error::OperationErrorKind;
use crate::membership::Standing;

/// What an operator can see of nodes, and order of them.
pub trait NodeOperations: Send + Sync + 'static {
    /// The nodes.
    ///
    /// # Errors
    /// [`OperationErrorKind::Conflict`] if this host is no node of a cluster.
    fn nodes(&self) -> Result<NodesView, OperationError>;

    /// Says what may be asked of a node from now on; it lasts through its restarts. `Living` takes that back. Returns
    /// the node as it is then.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoNode`] if there is no such node, [`OperationErrorKind::Conflict`] if this host is no
    /// node, [`OperationErrorKind::Overloaded`] if NATS cannot be reached.
    fn order_node(
        &self,
        node: &str,
        standing: Standing,
    ) -> impl Future<Output = Result<NodeView, OperationError>> + Send;
}
