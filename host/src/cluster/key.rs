//! The kinds of keys in the registry: each is followed by a dot and a name, of a node or a service.

/// The lease of a node.
pub(super) const LEASE: &str = "lease";
/// The row of a node.
pub(super) const ROW: &str = "row";
/// What operators want of a node.
pub(super) const ORDER: &str = "order";
/// The revision of a service that all nodes have to serve.
pub(super) const WANTED: &str = "wanted";
/// A swap of a service that all nodes are asked about.
pub(super) const PROPOSAL: &str = "proposal";
/// What a node says of a swap: the name of the service is followed by a dot and that of the node.
pub(super) const VOTE: &str = "vote";
