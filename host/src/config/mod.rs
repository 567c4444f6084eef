//! Floor 8: the manifest `atoll.toml`.
//!
//! Owns the parsing of the manifest, its checks, and their explanation. It turns the file and the environment into the
//! `Settings` of the rooms below, and hands on those very values.
//!
//! What always holds:
//! - A [`Manifest`] that [`Manifest::load`] returns is complete and within its bounds: every route names a service of
//!   the manifest, every component's file existed, every address parses, and an admin that other machines can reach
//!   has a token. A [`Draft`] has what could be read of a manifest that is wrong, so that more mistakes can be told at
//!   once.
//! - An unknown key is refused. All problems are reported together, each with its position in the text and with help.
//!   If the value came from an environment variable, the problem names the variable.
//! - A key is declared once, with its kind, its bounds, its default and its meaning. A default is read by the same code
//!   as a written value.
//! - The admin's token is kept as a hash, which does not print.
//!
//! Never: it is imported by a room below, opens a socket, or reads another file than the manifest (of components it
//! only checks that they exist; the files of TLS are `listen`'s).
//!
//! From the top: [`Manifest`] reads the sections: `edge`, with `tls` and `acme`; `auth`, with `auth_tokens` and
//! `secret`; `encryption`; `state_backend`; `log`; `telemetry`, with `otel_variables` and `telemetry_logs`; `audit`;
//! `operators`; `service`, with a file for each group of its keys (`addresses`, `egress`, `limits`, `breaker`,
//! `resilience`, `health`, `subscription`, `placement`); `broker`; `bridge`; `cluster`, with `cluster_calls`; `dns`;
//! `topic`; `schedule`; `rate`; `route`, with `cors`, `matching`, `own_answer`, `route_cache`, `route_call`,
//! `route_auth` and `transforms`, with `compress`, `decompress`, `header_edits` and `mirror`. Below them is the wing
//! `reader`, which reads one table. Beside them `manifest_change` says what differs between two manifests, and
//! `change_class` what a running host can do about it.
//!
//! Tests: `tests/`. One of them holds `docs/manifest.md` against the keys, and one the defaults against those of the
//! rooms.

mod acme;
mod addresses;
mod audit;
mod auth;
mod auth_names;
mod auth_tokens;
mod breaker;
mod bridge;
mod broker;
mod build;
mod cache_bounds;
mod change_class;
mod cluster;
mod cluster_calls;
mod compress;
mod cors;
mod decompress;
mod discovery;
mod dns;
mod edge;
mod edge_finding_key;
mod egress;
mod encryption;
mod entry;
mod granted_env;
mod header_edits;
mod health;
mod http2;
mod idle_keys;
mod interim;
mod late_finding_key;
mod limits;
mod listen_addresses;
mod log;
mod manifest;
mod manifest_change;
mod matching;
mod mirror;
mod openapi;
mod operators;
mod otel_variables;
mod own_answer;
mod placement;
mod rate;
mod reader;
mod record;
mod resilience;
mod rollout;
mod route;
mod route_auth;
mod route_cache;
mod route_call;
mod route_saga;
mod saga;
mod saga_binding;
mod saga_event;
mod saga_lock;
mod saga_wait;
mod schedule;
mod secret;
mod service;
mod state_backend;
mod subscription;
mod telemetry;
mod telemetry_logs;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod topic;
mod transforms;
mod websocket;

pub use auth::{AuthConfig, AuthProof};
pub use auth_tokens::{IssuerAddress, TokenKeyPlace};
pub use bridge::BridgeConfig;
pub use broker::BrokerConfig;
pub use build::{BuildConfig, quoted};
pub use cache_bounds::CacheDiskSettings;
pub use change_class::ChangeClass;
pub use cluster_calls::ClusterCalls;
pub use dns::DnsConfig;
pub use edge::{AdminConfig, GatewayConfig};
pub use edge_finding_key::EdgeFindingKey;
pub use health::{HealthConfig, ProbeSpec};
pub use late_finding_key::LateFindingKey;
pub use manifest::{Draft, Manifest, environment};
pub use manifest_change::{ManifestChange, ManifestTree};
pub use reader::finding::{Finding, ManifestErrors, RenderStyle};
pub(crate) use reader::measure::as_written;
pub use reader::measure::duration;
pub use reader::private_file::PrivateFile;
pub use route::Route;
pub use route_auth::RouteAuth;
pub use route_call::RouteCall;
pub use saga::{SagaConfig, StepSpans};
pub use saga_event::SagaEvent;
pub use schedule::{ScheduleConfig, ScheduleTarget};
pub use secret::SecretText;
pub use service::ServiceConfig;
pub use state_backend::StateSpans;
pub use subscription::{SubscriptionConfig, TopicUse};
pub use telemetry::TelemetryConfig;
pub use tls::{GatewayTlsConfig, Redirect, TlsConfig};
pub use topic::TopicConfig;
