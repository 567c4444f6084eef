//! The kinds of keys in the registry: each is followed by a dot and the name of a node.

/// The lease of a node.
pub(super) const LEASE: &str = "lease";
/// The row of a node.
pub(super) const ROW: &str = "row";
/// What operators want of a node.
pub(super) const ORDER: &str = "order";
