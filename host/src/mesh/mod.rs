//! Floor 5: the making of one service call, to a component or to a plain HTTP address.
//!
//! Owns what stands behind a name in the discovery table ([`Service`], [`Endpoint`]) and the way of a call through it: resolve, pick,
//! permit, invoke, record; be it a request by HTTP or a typed call, from the gateway or from another service. What always holds:
//! - A call is recorded at its endpoint exactly once, whatever becomes of it: answered, failed, broken off, cancelled.
//! - A permit that gets no verdict is neutral; only faults of the service count against it.
//! - A service's deadline holds for every attempt; after the head, for each wait for its body.
//!
//! Never: it turns no error into a status, and knows no route and no edge.
//! Tests stand beside the files; with real components in `tests/it`.

mod answer;
mod attempt;
mod call;
mod endpoint;
mod error;
mod head;
mod http_client;
mod scrape;
mod service;
mod typed;
mod upload;

pub use crate::runtime::Value;
pub use call::{Mesh, Settings};
pub use endpoint::{Endpoint, EndpointState, Place};
pub use error::CallError;
pub use http_client::HttpClient;
pub use scrape::Discovered;
pub use service::{RevisionInfo, Service};
