//! Floor 5: the making of one service call, to a component or to a plain HTTP address.
//!
//! Owns what stands behind a name in the discovery table ([`Service`], [`Endpoint`]), how it is called ([`Traffic`]), and the way of a call
//! through it: resolve, enter the bulkhead, pick, permit, invoke, record, try again; be it a request by HTTP or a typed call, from the gateway
//! or from another service, to a service or to an outside host. What always holds:
//! - A try is recorded at its endpoint exactly once, whatever becomes of it: answered, failed, broken off, cancelled.
//! - A permit that gets no verdict is neutral; only faults of the service count against it.
//! - A call has one slot of its service's bulkhead through all of its tries, until its answer's end.
//! - Every try has a deadline, and all tries together have one; after the head, each wait for the body has.
//! - A call is made again only where that does no harm, within the budget, and never once an answer is on its way to the caller.
//!
//! Never: it turns no error into a status, and knows no route and no edge.
//!
//! Within the room: a [`Mesh`] sends each call on its `course`; a course has an `attempt` for each try, at an [`Endpoint`] of the [`Service`];
//! what can be called is a [`EndpointTarget`] (in a simulation something else: see [`Invoke`]); `dial` makes the connections of the plain ones.
//! Tests stand beside the files; whole calls in `tests/sim`, and with real components in `tests/it`.

mod answer;
mod attempt;
mod bulkhead;
mod call;
mod chance;
mod check;
mod clock;
mod course;
mod dial;
mod endpoint;
mod error;
mod head;
mod outside;
mod place;
mod readiness;
mod replay;
mod scrape;
mod service;
mod traffic;
mod typed;
mod upload;

pub use crate::runtime::Value;
pub use bulkhead::{Bulkhead, BulkheadFull, BulkheadPermit, BulkheadSettings};
pub use call::{Mesh, Settings};
pub use check::HealthProbe;
pub use dial::{Dial, HttpClient, Tls, TlsError};
pub use endpoint::{BreakerOrder, Endpoint, EndpointState, EndpointStats};
pub use error::CallError;
pub use outside::{Outside, OutsideSettings};
pub use place::{CallKind, EndpointTarget, Failed, Invoke};
pub use readiness::Readiness;
pub use scrape::Discovered;
pub use service::{RevisionInfo, Service};
pub use traffic::{Traffic, TrafficSettings};
