//! Floor 7: the public HTTP edge.
//!
//! Owns the path of a request from the socket to a service and of its answer back, as one list in `pipeline.rs` that is
//! read from top to bottom; typed routes, on which a request becomes the call of a function (the wing `typed`), and
//! their OpenAPI document; which pages of other origins may use a route (the wing `cors`); the problem bodies of
//! everything that the gateway refuses; the one table from an error's kind to a status (`status.rs`); the access log;
//! and the count of all requests, by route, status and kind (`count_scopes.rs`).
//!
//! What always holds:
//! - every answer that the pipeline gives carries `x-request-id`, and every answer of the gateway's own is an RFC 9457
//!   problem (a request that hyper cannot parse never reaches the pipeline: see `listen`);
//! - the outside sees kinds of failures and names of services, never an internal message;
//! - what a client says about the origin of its request (`Forwarded`, `X-Forwarded-*`, `x-request-id`) is replaced,
//!   unless the client is a trusted proxy;
//! - the gateway and the service agree on host, path and body: what could be read in two ways is refused with 400;
//! - a body over its route's limit is answered with 413, whatever the service answers, unless the head of the answer
//!   has been sent;
//! - what a typed route passes on fits the function's contract; what a service says about its own failures is logged
//!   and never sent;
//! - an answer that breaks off after its head never looks complete; each request leaves one line in the access log, and
//!   is counted once.
//!
//! Never: touches runtime, registry, breaker, balance or state; decides whether to try again. Tests: `tests.rs` over
//! real sockets, and beside the files.

mod access_log;
mod body_budget;
mod body_limit;
mod call;
mod cors;
mod count_scopes;
mod forwarded_request;
mod head_check;
mod openapi_document;
mod pipeline;
mod problem;
mod public_answer;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod told_hosts;
mod typed;

pub use call::{Call, CallFailure};
pub use cors::{CorsPolicy, OriginPattern, OriginPatternError};
pub use openapi_document::DOCUMENT_PATH;
pub use pipeline::Gateway;
pub use settings::{Settings, Target};
