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
//! - a change that was begun is finished, even if the operator who asked for it goes away;
//! - every answer carries `x-request-id` and is never cached; every refusal is a problem body (RFC 9457). Operators may read the
//!   inside's message, but no secret.
//!
//! Never: decides what a swap is, touches the discovery table or the runtime, opens a socket.
//!
//! Tests: `tests.rs` drives the whole edge in memory against `fake.rs`; small tests stand beside their noun.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod admin;
#[cfg(test)]
pub(crate) mod fake;
mod guard;
mod operations;
mod problem;
mod router;
#[cfg(test)]
mod tests;
mod token;
mod upload;
mod view;

pub use admin::{Admin, Settings};
pub use operations::{OperationError, OperationErrorKind, Operations, Readiness};
pub use token::Token;
pub use upload::MAX_COMPONENT;
pub use view::{BreakerView, EndpointView, ProblemView, RouteView, ServiceView, SwapView};
