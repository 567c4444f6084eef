//! Floor 9: builds everything in order, runs it, shuts it down in order.
//!
//! Owns the long-lived tasks and the connections between rooms: it gives each room its settings from the manifest, and
//! answers the admin with `rollout` and the discovery table.
//!
//! What always holds: sockets are bound and components checked before the first request, though not all of them need to
//! be compiled by then; at the end requests finish first, and the store closes last.
//!
//! Never: it holds policy.
//!
//! From the top: `run` → `assembly` → `host_parts` → `running_host`, then `edge`, `otlp`, `asynchronous`,
//! `name_service`, `cluster_node`; → `start_end`; → `shutdown`. What an operator asks of the host is in `operations`,
//! another manifest in `apply`, and the verbs that need no host in `verbs`. Tests: with the real binary in `tests/it`.

mod apply;
mod assembly;
mod asynchronous;
mod cluster_node;
mod discovery_samples;
mod edge;
mod event_handler;
mod fault_watch;
mod health_watches;
mod host_parts;
mod late_findings;
mod name_service;
mod operations;
mod otlp;
mod run;
mod running_host;
mod shutdown;
mod start_end;
mod verbs;

pub use edge::admin_file::{AdminSource, KnownAdmin, development_authority, known_admin, own_admin};
pub use edge::peer_edge::PeerEdge;
pub use operations::grant_views::{grant_views, manifest_grants};
pub use operations::node_operations::cluster_servers;
pub use run::run;
pub use verbs::check::{Summary, check};
pub use verbs::cluster_authority::{NodeFiles, certify_node, init_cluster};
pub use verbs::inspect::{Inspection, ManifestTrial, inspect};
pub use verbs::replay::{Replays, replay};
pub use verbs::test_order::{TestOrder, test};
