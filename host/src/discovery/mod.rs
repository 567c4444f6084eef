//! Floor 4: where the endpoints of a service are that this host does not run: what names of DNS say about them.
//!
//! Owns the kinds of sources, the questions to each, and what is known of one: its last good answer. What always holds:
//! - A source says everything that it names at one moment, and the last good answer stays until there is another one.
//! - Each wait and each answer has a bound. After a failure a source is left alone for a while, with a jitter.
//!
//! Never: it knows what an endpoint's breaker, load or counters are, and publishes nothing: `rollout` makes endpoints
//! of what is found.
//!
//! From the top: `watched_source` → `host_name`, `srv_records` → `srv_lookup` → `dns_message` → `srv_choice`;
//! `source_address` → `srv_source`; `endpoint_source` below all. Tests stand beside the files; through the real binary
//! in `tests/it/mesh`.

mod dns_message;
mod endpoint_source;
mod host_name;
mod source_address;
mod srv_choice;
mod srv_lookup;
mod srv_records;
mod srv_source;
mod watched_source;

pub use endpoint_source::{FoundEndpoint, LocatedEndpoints};
pub use source_address::SourceAddress;
pub use srv_source::SrvSource;
pub use watched_source::WatchedSource;
