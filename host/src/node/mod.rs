//! Floor 7: what this host does as a node of its cluster, over time.
//!
//! Owns the tasks that follow the cluster's view and its agreements: votes on swaps, and the serving of what all nodes
//! have agreed on ([`SwapFollower`]); the instances of services with `node_count` ([`ServicePlaces`]); the endpoints of
//! services on other nodes, and whether nodes without a lease can be reached ([`PeerDirectory`]); whose calls are
//! answered ([`KnownNodes`]); and what all of these note for each other, and for operators ([`NodeDuties`]). What
//! always holds:
//! - A node decides by its own view, and nobody leads. While the view is stale nothing moves.
//! - A move is made before it is broken.
//! - A revision on which the nodes have agreed is served here, or it is said that it is not.
//!
//! Never: it knows which nodes there are before `cluster` says so, decides where a service stands (`membership` does),
//! or calls a service. Operators' orders are `app`'s. Tests stand beside the files, and in `tests/it/cluster` and
//! `tests/it/nodes`.

mod known_nodes;
mod node_duties;
mod peer_directory;
mod service_places;
mod swap_follower;

pub use known_nodes::KnownNodes;
pub use node_duties::NodeDuties;
pub use peer_directory::PeerDirectory;
pub use service_places::{ServicePlaces, handed_over};
pub use swap_follower::SwapFollower;
