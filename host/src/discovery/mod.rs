//! Floor 4: where the endpoints of a service are that this host does not run: what names of DNS and registries say.
//!
//! Owns the kinds of sources, the questions to each, and what is known of one: its last good answer, its age, its last
//! error. What always holds:
//! - A source says everything that it names at one moment, and the last good answer stays until there is another one.
//!   An answer without endpoints is none: what is not there cannot be told from what was lost.
//! - Each wait, each answer and each list has a bound. After a failure a source is left alone for a while, with jitter.
//! - No secret and no text of a registry stands in an error: only what this room says of them.
//!
//! Never: it knows what an endpoint's breaker, load or counters are, and publishes nothing: `rollout` makes endpoints
//! of what is found. It opens no connection to a registry itself: that is [`AskRegistry`], which `app` implements with
//! the client of `mesh`.
//!
//! From the top: `watched_source` → `source_kind` → the kinds: `host_name`, `srv_records` → `srv_lookup` →
//! `dns_message` → `srv_choice`, and `consul`, `etcd`, `eureka`, `kubernetes` → `endpoint_slice`, which all go through
//! `named_endpoint` and `registry_client` → `answer_lines`, `settings` → `ask_registry`; `source_address` →
//! `registry_address`, `srv_source`; `endpoint_source`, `source_error` and `endpoint_weight` below all. Tests stand
//! beside the files; through the real binary, with fakes of registries, in `tests/it/mesh/registries`.

mod answer_lines;
mod ask_registry;
mod consul;
mod dns_message;
mod endpoint_slice;
mod endpoint_source;
mod endpoint_weight;
mod etcd;
mod eureka;
mod host_name;
mod kubernetes;
mod named_endpoint;
mod registry_address;
mod registry_client;
mod settings;
mod source_address;
mod source_error;
mod source_kind;
mod srv_choice;
mod srv_lookup;
mod srv_records;
mod srv_source;
mod watched_source;

pub use ask_registry::{AskRegistry, RegistryFuture};
pub use endpoint_source::{FoundEndpoint, LocatedEndpoints};
pub use registry_address::{RegistryAddress, RegistryKind, WrongAddress};
pub use settings::{RegistryLogin, RegistrySecret, Settings, SourceAccess, SourceSettings};
pub use source_address::SourceAddress;
pub use srv_source::SrvSource;
pub use watched_source::{SourceReport, WatchedSource};
