//! Floor 7: the public HTTP edge.
//!
//! Owns the path of a request from the socket to a service and of its answer back, as one list in `pipeline.rs` that is
//! read from top to bottom; typed routes, on which a request becomes the call of a function (the wing `typed`), and
//! their OpenAPI document; the rate limits of routes; the cache of answers (the wing `caching`); which pages of other
//! origins may use a route (the wing `cors`);
//! the trace of each request (`request_trace.rs`); the compression of answers (the wing `compression`), the decoding of
//! requests, edits of header sections, and copies of requests (`mirror.rs`); routes that the gateway answers itself,
//! with the files of a folder (the wing `files`) or by another address (`redirection.rs`); the problem bodies of
//! everything that the gateway refuses; the one table from an error's kind to a status (`status.rs`); the access log;
//! and the count of all requests, by route, status and kind (`count_scopes.rs`). Policies of `[auth.NAME]` and whom a
//! route lets in are the wing `authentication`.
//!
//! What always holds:
//! - every answer that the pipeline gives carries `x-request-id`, and every answer of the gateway's own is an RFC 9457
//!   problem (a request that hyper cannot parse never reaches the pipeline: see `listen`);
//! - the outside sees kinds of failures and names of services, never an internal message;
//! - what a client says about the origin of its request (`Forwarded`, `X-Forwarded-*`, `x-request-id`) is replaced,
//!   unless the client is a trusted proxy;
//! - a service is told `https` exactly where its client, or the client of a trusted proxy, came by TLS;
//! - the gateway and the service agree on host, path and body: what could be read in two ways is refused with 400;
//! - a route with policies reaches its service, and reads its body, only for a caller that one of them has proved and
//!   who has all that the route demands; no credential goes on to the service unless its policy says so;
//! - a body over its route's limit is answered with 413, whatever the service answers, unless the head of the answer
//!   has been sent;
//! - what a typed route passes on fits the function's contract; what a service says about its own failures is logged
//!   and never sent;
//! - a WebSocket is passed on only where the route says so, and by origin and number as it says;
//! - an answer that breaks off after its head never looks complete; each request leaves one line in the access log, and
//!   is counted once.
//!
//! Never: touches runtime, registry, breaker, balance or state; decides whether to try again. Tests: `tests.rs` over
//! real sockets, and beside the files.

mod access_log;
mod acme_answer;
mod address_list;
mod answer_extras;
mod authentication;
mod body_budget;
mod body_decoding;
mod body_limit;
mod caching;
mod call;
mod call_outcome;
mod caller;
mod client_address;
mod compression;
mod cors;
mod count_scopes;
mod disk;
mod entry_gate;
mod files;
mod forwarded_request;
mod head_check;
mod header_edits;
mod https_only;
mod mirror;
mod openapi_document;
mod operator_access;
mod own_answer;
mod pipeline;
mod problem;
mod public_answer;
mod rates;
mod redirection;
mod request_changes;
mod request_trace;
mod route_numbers;
mod saga_answer;
mod settings;
mod status;
mod sticky_fields;
mod succession;
#[cfg(test)]
mod tests;
mod told_hosts;
mod typed;
mod websocket;

pub use address_list::{AddressList, AddressRange, AddressRangeError};
pub use authentication::{
    AskIssuer, AuthPolicy, Introspector, IssuerFuture, KeyPace, KeySource, PolicyProof, RouteAccess, SharedKeyRing,
    TokenKeys, TokenProver,
};
pub use body_decoding::BodyDecoding;
pub use caching::{CacheBounds, CacheDisk, CacheDiskError, SharedCache};
pub use call::{Call, CallFailure};
pub use compression::AnswerCompression;
pub use cors::{CorsPolicy, OriginPattern, OriginPatternError};
pub use entry_gate::EntrySettings;
pub use files::{FilePath, StaticFolder};
pub use header_edits::{AnswerEdits, HeaderEdits, SECURITY, why_fixed};
pub use mirror::Mirror;
pub use openapi_document::DOCUMENT_PATH;
pub use pipeline::Gateway;
pub use rates::{KeepQuota, LimitCounts, LimitKey, LimitMeasures, RateLimit, RouteLimits, SavedFuture};
pub use redirection::{Redirection, RedirectionError};
pub use saga_answer::{SagaDoor, SagaDoorFuture, SagaEntrance, SagaRefusal, SagaRoute};
pub use settings::{Answerer, HttpsSettings, RouteTransforms, Settings, Target, WebSocketSettings};
