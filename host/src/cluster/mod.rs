//! Floor 5: the nodes that share one NATS.
//!
//! Owns this node's lease and row in the registry, which is a bucket of JetStream, and the watch of all others. What
//! leases and rows mean, `membership` decides. The view is handed on as `watch::Receiver<Arc<ClusterView>>`: `mesh`
//! and whoever connects to other nodes need not know this room.
//!
//! Never: calls a service, or asks another node.

mod settings;

pub use settings::Settings;
