//! Floor 5: the making of one service call, to a component, to a plain HTTP address or to an outside host.
//!
//! Owns what the discovery table holds for a name ([`Service`], [`Endpoint`]), the policy of its calls ([`Traffic`]),
//! and each call: resolve the name, enter the bulkhead, pick an endpoint, get a permit of its breaker, send, record the
//! outcome, perhaps try again. HTTP requests and typed calls, from the gateway and from services, all run through one
//! engine. What always holds:
//! - Each try is recorded at its endpoint exactly once, whether it is answered, fails, breaks off or is cancelled.
//! - A breaker permit without a verdict is neutral; only faults of the service count against its endpoint.
//! - A call holds one permit of its service's bulkhead through all of its tries, until the end of its answer's body.
//! - Each try has a deadline, and all tries together have one; after the head, each wait for the body has one.
//! - A call is sent again only where a second sending does no harm, within the retry budget, and never once its answer
//!   is on the way to the caller.
//!
//! Never: it turns no error into a status, and knows no route and no edge.
//!
//! The wings, from the top; imports run downwards only:
//! - `call`: one call under way. A [`Mesh`] starts it, the engine runs its tries.
//! - `table`: what the discovery table holds: services, endpoints, and what is known of how they fare.
//! - `dial`: the HTTP client for plain addresses and outside hosts, with TLS.
//!
//! Below all of them: the errors, the clock and the randomness of the room.
//! Tests stand beside the files; whole calls in `tests/sim`, and with real components in `tests/it`.

mod call;
mod call_rng;
mod clock;
mod dial;
mod error;
mod table;

pub use crate::runtime::Value;
pub use call::mesh::{Mesh, Settings};
pub use call::peer_door::PeerDoor;
pub use call::pinned_function::PinnedFunction;
pub use dial::client::HttpClient;
pub use dial::dial::Dial;
pub use dial::tls::{Tls, TlsError};
pub use error::{CallError, TryError};
pub use table::bulkhead::{Bulkhead, BulkheadCounts, BulkheadFull, BulkheadPermit, BulkheadSettings, Entered};
pub use table::canary_watch::{CanaryWatch, TossedCall};
pub use table::check::HealthProbe;
pub use table::distance::Distance;
pub use table::endpoint::{BreakerOrder, Endpoint, EndpointState, EndpointStats};
pub use table::endpoint_group::EndpointGroup;
pub use table::outside::{OutsideHost, OutsideHosts, OutsideSettings};
pub use table::peer_target::PeerTarget;
pub use table::readiness::Readiness;
pub use table::scrape::Discovered;
pub use table::service::{Canary, RevisionInfo, Service};
pub use table::target::{CallKind, EndpointTarget, Invoke};
pub use table::traffic::{Traffic, TrafficSettings};
