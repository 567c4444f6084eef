//! What goes wrong between this node and the registry.

use crate::broker::BrokerError;

/// Why the registry did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// NATS did not do it. After `Away` nobody knows whether it has.
    #[error(transparent)]
    Nats(#[from] BrokerError),
    /// The bucket is not what the nodes need.
    #[error("{0}")]
    Unfit(String),
    /// Somebody else has written the key.
    #[error("somebody else was faster")]
    Overtaken,
    /// The news do not come any more.
    #[error("{0}")]
    Silent(&'static str),
    /// There is no such node.
    #[error("there is no node `{0}`")]
    NoNode(String),
    /// This node has no lease, so it does not know whether it still is one.
    #[error("this node has no lease now: NATS does not answer it, or another process has its name")]
    NoLease,
    /// A swap of all nodes is under way; by whom.
    #[error("another swap of it is under way, by {0}: wait for its end")]
    UnderWay(String),
    /// NATS has not said whether it has written what was agreed on.
    #[error("NATS did not say whether it has written what the nodes have agreed on, so they may serve it or not")]
    InDoubt,
    /// A component cannot be had.
    #[error("{0}")]
    Component(String),
}

impl ClusterError {
    /// Whether it will be the same until somebody changes NATS or the manifest. The start of a host fails by it.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Nats(error) => error.is_lasting(),
            Self::Unfit(_) => true,
            Self::Overtaken
            | Self::Silent(_)
            | Self::NoNode(_)
            | Self::NoLease
            | Self::UnderWay(_)
            | Self::InDoubt
            | Self::Component(_) => false,
        }
    }
}
