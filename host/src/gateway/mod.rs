//! Floor 7: the public HTTP edge.
//!
//! Owns the way of a request from the socket to a service and of its answer back, as one list in `pipeline.rs` that is read from top to
//! bottom; typed routes, on which a request becomes the call of a function (`typed/`), and their OpenAPI document; the problem bodies of
//! all that is refused on the way; the one table from an error's kind to a status (`status.rs`); and the access log.
//!
//! What always holds:
//! - every answer that comes through here carries `x-request-id`, and every answer of the gateway's own is an RFC 9457 problem
//!   (what hyper cannot parse at all, it answers itself: see `listen`);
//! - the outside sees kinds of failures and names of services, never the inside's message;
//! - what a client says about the way of its request (`Forwarded`, `X-Forwarded-*`, `x-request-id`) is replaced, unless it is a
//!   trusted proxy;
//! - the gateway and the service agree on host, path and body: what could be read in two ways is refused with 400;
//! - a body over its route's limit is answered with 413, whatever the service made of it, while the head is not out;
//! - what a typed route passes on fits the function's contract; what a service says of its own failures is logged and never sent;
//! - an answer that breaks off after its head is never ended in order; each request leaves one line in the access log.
//!
//! Never: touches runtime, registry, breaker, balance or state; decides whether to try again. Tests: `tests.rs` over real sockets, and
//! beside each noun.

mod access;
mod answer;
mod call;
mod document;
mod forward;
mod head;
mod pipeline;
mod problem;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod typed;
mod upload;

pub use call::{Call, CallFailure};
pub use pipeline::Gateway;
pub use settings::{Settings, Target, TypedTarget};
