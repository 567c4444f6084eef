//! What the discovery table holds: services, endpoints, the policy of their calls, and what is known of how they fare.
//! Always: an entry is replaced whole or counted atomically, so calls read it without waiting; all queues have bounds.
//! Never: it makes no call (but for a health check of one endpoint), and decides nothing about further tries.

pub(super) mod bulkhead;
pub(super) mod canary_watch;
pub(super) mod check;
pub(super) mod distance;
pub(super) mod endpoint;
pub(super) mod endpoint_group;
mod function_texts;
pub(super) mod outside;
pub(super) mod peer_target;
pub(super) mod readiness;
pub(super) mod recent_latency;
pub(super) mod scrape;
pub(super) mod service;
pub(super) mod target;
pub(super) mod traffic;
