//! Floor 5: the nodes that share one NATS.
//!
//! Owns this node's lease and row in the registry, which is a bucket of JetStream, and the watch of all others. What
//! leases and rows mean, `membership` decides. The view is handed on as `watch::Receiver<Arc<ClusterView>>`: `mesh`
//! and whoever connects to other nodes need not know this room. It stands above `broker`, whose connection it takes.
//!
//! The registry has three keys for each node: `lease.NODE` ends by itself and is renewed by compare-and-set; `row.NODE`
//! is written when it changes; `order.NODE` is what operators want of the node. Three more are for swaps of all nodes:
//! `proposal.SERVICE` asks them, and has what was agreed on until `wanted.SERVICE` has it, which is what all have to
//! serve; `vote.SERVICE.NODE` is what each says. The components are in an object store of NATS.
//!
//! What always holds:
//! - A lease counts from before it was sent. Whether a write was stored, only the server's comparison decides, and what
//!   is unknown is looked at by its leader.
//! - A watch that has lost a message, or its connection, ends; the next one begins with the whole list. The table is
//!   stale in between.
//! - Each request of NATS ends within a part of a lease; no task of the host waits for NATS.
//! - A server that is too old, or a bucket with other settings, is refused by name.
//!
//! Never: calls a service, or asks another node.
//!
//! From the top: `swap_register` → `cluster` → `node_keeper`, `table_keeper` → `shared_table`, `swap_table` →
//! `bucket_watch`; `cluster` → `component_store`; both → `bucket` → `record`, `swap_record`, `key`, `error`. Tests: of
//! texts beside them, and with a real server in `tests/it/cluster`.

mod bucket;
mod bucket_watch;
#[expect(clippy::module_inception, reason = "the file has the type that the room is named for")]
mod cluster;
mod component_store;
mod error;
mod key;
mod node_keeper;
mod record;
mod settings;
mod shared_table;
mod swap_record;
mod swap_register;
mod swap_table;
mod table_keeper;

pub use cluster::{Cluster, ClusterReport};
pub use error::ClusterError;
pub use node_keeper::Serving;
pub use settings::Settings;
pub use swap_register::OpenSwap;
