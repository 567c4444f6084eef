//! Floor 7: the operators' HTTP edge.
//!
//! Owns the admin's resources, their wire types (which the CLI reads), and the guards that stand before them. What it tells and changes
//! it asks for through [`Operations`], which the room that builds everything implements.
//!
//! What always holds:
//! - no web page reaches it: a `Host` that is not this machine is refused while it listens on loopback (so a rebound DNS name is of no
//!   use), and so is every `Origin` but its own;
//! - beyond loopback nothing but the two probes answers without the token, whatever the configuration says;
//! - a swap is `application/wasm`, at most [`MAX_COMPONENT`] bytes, and only a few are held in memory at once;
//! - an order is `application/json`, at most 4 KiB, and has no member that is not known: a slip of the pen changes nothing;
//! - a change that was begun is finished, even if the operator who asked for it goes away;
//! - every answer carries `x-request-id` and is never cached; every refusal is a problem body (RFC 9457). Operators may read the
//!   inside's message, but no secret.
//!
//! Never: decides what a swap is, touches the discovery table or the runtime, opens a socket.
//!
//! Tests: `tests.rs` and `traffic_tests.rs` drive the whole edge in memory against `fake.rs`; small tests stand beside their noun.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod admin;
#[cfg(test)]
pub(crate) mod fake;
mod guard;
mod operations;
mod order;
mod problem;
mod router;
#[cfg(test)]
mod tests;
mod token;
mod traffic;
#[cfg(test)]
mod traffic_tests;
mod upload;
mod view;

pub use admin::{Admin, Settings};
pub use operations::{HostReadiness, OperationError, OperationErrorKind, Operations};
pub use order::{BreakerAction, BreakerRequest, FaultOrder, FaultRequest};
pub use token::Token;
pub use upload::MAX_COMPONENT;
pub use view::{
    BreakerView, ClearedView, EndpointView, FaultView, OriginView, OutsideView, ProblemView, RouteView, ServiceView,
    SwapView,
};
