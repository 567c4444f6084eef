//! The ground floors of Atoll: what needs neither Wasmtime nor a socket nor the manifest.
//!
//! The crate `host` holds the floors above, and names these rooms as if they were its own. `tests/tidy.rs` enforces
//! that a room imports only from floors below its own; `docs/ARCHITECTURE.md` has the overview.

// Floor 0: the vocabulary of all rooms.
pub mod base;

// Floor 1: logs and metrics.
pub mod telemetry;

// Floor 2: decisions that depend only on their arguments.
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod coding;
pub mod contract;
pub mod diagnosis;
pub mod egress;
pub mod fault;
pub mod identity;
pub mod limit;
pub mod membership;
pub mod naming;
pub mod recording;
pub mod retry;
pub mod route;
pub mod schedule;
pub mod verdict;
