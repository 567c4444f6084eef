//! Floor 8: the manifest `atoll.toml`.
//!
//! Owns its parsing, its checks and their explanation: it turns the file and the environment into the `Settings` of the rooms below.
//!
//! What always holds:
//! - A [`Manifest`] that exists is whole and within its bounds: every route names a service that is there, every component's file was
//!   there, every address parses, and an admin that other machines can reach has a token.
//! - An unknown key is refused. All faults are told at once, each with its place in the text and how to mend it; a variable of the
//!   environment that is at fault is named.
//! - A key's default is written once, beside its bounds, and read by the same code as what people write.
//! - A [`Secret`] does not print.
//!
//! Never: is imported by a room below, opens a socket, reads more files than the manifest (of the components and certificates it asks
//! whether they are there).
//!
//! Within the room: [`Manifest`] reads the sections in `edge`, `service` with a file for each group of its keys (`url`, `egress`, `policy`,
//! `breaker`, `resilience`, `health`), and `route` with `route_call`; each of these lists its keys on top. A `section` is one table, a `kind` is what a key accepts, a [`Finding`] is what is wrong, and a `place` is where: also
//! for what shows only when the components are held against the manifest. Tests: `tests/`, one of which holds `docs/manifest.md` against
//! the keys.

mod address;
mod breaker;
mod edge;
mod egress;
mod file;
mod finding;
mod function;
mod health;
mod kind;
mod manifest;
mod measure;
mod pair;
mod place;
mod policy;
mod resilience;
mod route;
mod route_call;
mod secret;
mod section;
mod service;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod url;

pub use edge::{AdminSettings, GatewaySettings};
pub use finding::{Finding, Look, ManifestErrors};
pub use health::{Health, ProbeSpec};
pub use manifest::{Manifest, environment};
pub use measure::duration;
pub use place::ServiceKey;
pub use route::Route;
pub use route_call::RouteCall;
pub use secret::Secret;
pub use service::ServiceConfig;
pub use url::Url;
