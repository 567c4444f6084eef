//! Floor 6: how revisions come and go.
//!
//! Owns each service's line of revisions (what serves, what served before) and the steps of a swap: compile, check, rehearse, publish.
//! What always holds:
//! - Nothing changes until the new revision has passed every check; then one publication swaps it in.
//! - Requests in flight finish on the revision that they started on: it lives as long as they do.
//! - Swaps of one service happen one after the other; those of different services do not wait for each other.
//!
//! Never: it serves no sockets. A swap lasts until the host restarts.
//! Tests: with real components in `tests/it`.

mod deployment;
mod error;
mod plan;
mod swap;
mod wiring;

pub use error::SwapError;
pub use plan::Plan;
pub use swap::{Rollout, Swapped};
pub use wiring::{Need, Offers, Uses, WireError, breaks, needs_of, wire};
