//! Floor 6: active health checks.
//!
//! Owns the asking: every endpoint of a service that wants it is asked in an interval, whether it gets calls or not. What always holds:
//! - An endpoint that does not pass several checks in a row leaves the choice, never the table; one that passes several comes back.
//! - Checks of one service never pile up: a round begins when the one before it has ended.
//! - A check touches no breaker and no counter, and takes no place from a call but an instance.
//!
//! Never: it decides nothing about calls (`mesh` does, by the endpoint's readiness), and knows no manifest.
//! Tests: `tests.rs` with a paused clock.

#[cfg(test)]
mod tests;
mod watch;

pub use watch::{Settings, watch};
