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
//! From the top: `run`, `check` and `inspect` → `assembly` → `load`, `probe`, `trust`, `warnings` → `late_findings`;
//! `run` → `start_end` → `operations`, with `rollout_operations`, `observations` and `fault_watch`; `operations` →
//! `recent_traffic`, `service_view`, `fault_views`, `rollout_views`, `topic_operations`, `trace_views`, `swap_refusal`,
//! `readiness`, `node_operations`; `assembly` → `event_plan`; `run` → `kept_revisions`, `admin_file`,
//! `audited_operations`; `assembly` and `operations` → `api_description`; `run` and `assembly` → `edge_tls` →
//! `development_authority`; `run` → `applier` → `host_parts` → `operations`; `applier` → `manifest_in_use`,
//! `health_watches`, `running_host`, `apply_refusal`, `apply_view`; `operations` → `apply_manifest`, which `applier`
//! implements; `run` → `auth_policies` → `issuer`, `key_file`; `run` → `host_traces` → `otlp_export`; `test_order` →
//! `test_bench` → `stand_ins`. Tests: with the real binary in `tests/it`.

mod admin_file;
mod agreed_components;
mod api_description;
mod applier;
mod apply_manifest;
mod apply_refusal;
mod apply_view;
mod assembly;
mod asynchronous;
mod audited_guards;
mod audited_nodes;
mod audited_operations;
mod auth_policies;
mod cache_order;
mod check;
mod cluster_authority;
mod cluster_node;
mod cluster_swap;
mod data_operations;
mod development_authority;
mod discovery_samples;
mod edge_files;
mod edge_tls;
mod event_handler;
mod event_plan;
mod fault_views;
mod fault_watch;
mod grant_views;
mod guard_operations;
mod guards;
mod health_watches;
mod host_parts;
mod host_traces;
mod inspect;
mod issuer;
mod kept_revisions;
mod key_file;
mod late_findings;
mod load;
mod manifest_in_use;
mod node_operations;
mod observations;
mod operations;
mod operations_succession;
mod otlp_client;
mod otlp_export;
mod otlp_logs;
mod otlp_metrics;
mod otlp_traces;
mod peer_edge;
mod private_files;
mod probe;
mod quota_store;
mod quotas;
mod readiness;
mod recent_traffic;
mod recording_views;
mod registries;
mod replay;
mod rollout_operations;
mod rollout_views;
mod routed_places;
mod run;
mod running_host;
mod saga_operations;
mod saga_plans;
mod saga_topics;
mod saga_waits;
mod schedule_operations;
mod schedule_plan;
mod service_component;
mod service_view;
mod shutdown;
mod snapshot_folder;
mod spooled_data;
mod stand_ins;
mod start_end;
mod state_refusals;
mod stop_point;
mod swap_refusal;
mod test_bench;
mod test_order;
mod topic_operations;
mod trace_views;
mod troubles;
mod trust;
mod unfinished_sagas;
mod warnings;

pub use admin_file::{AdminSource, KnownAdmin, development_authority, known_admin};
pub use check::{Summary, check};
pub use cluster_authority::{NodeFiles, certify_node, init_cluster};
pub use grant_views::{grant_views, manifest_grants};
pub use inspect::{Inspection, ManifestTrial, inspect};
pub use node_operations::cluster_servers;
pub use peer_edge::PeerEdge;
pub use replay::{Replays, replay};
pub use run::run;
pub use test_order::{TestOrder, test};
