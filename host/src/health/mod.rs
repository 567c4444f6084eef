//! Floor 6: active health checks.
//!
//! Owns the checks: every endpoint of a service with a health check is checked in an interval, whether it gets calls or
//! not.
//!
//! What always holds:
//! - An endpoint that fails several checks in a row gets no more calls, but stays in the discovery table. After several
//!   passed checks in a row it gets calls again.
//! - Checks of one service never pile up: a round begins after the round before it has ended.
//! - A check changes no breaker and no counter. It takes an instance, but no permit of the bulkhead.
//!
//! Never: it decides about calls (`mesh` does, by the endpoint's readiness), or knows the manifest.
//!
//! Tests: `tests.rs` with a paused clock.

#[cfg(test)]
mod tests;
mod watch;

pub use watch::{Schedule, Settings, watch};
