//! Floor 6: how revisions come and go.
//!
//! Owns each service's line of revisions (what serves, what served before), the steps of a swap (compile, check, rehearse, publish), and the
//! addresses that host names stand for.
//! What always holds:
//! - Nothing changes until the new revision has passed every check; then one publication swaps it in.
//! - Requests in flight finish on the revision that they started on: it lives as long as they do.
//! - An endpoint that stays keeps its breaker and its load, when a name is resolved again and when a revision comes. What a name stood for
//!   last is kept while no name server answers.
//! - Swaps of one service happen one after the other; those of different services do not wait for each other.
//!
//! Never: it serves no sockets. A swap lasts until the host restarts.
//! Tests: with real components in `tests/it`.

mod addresses;
mod deployment;
mod error;
mod plan;
mod swap;
mod wiring;

pub use error::SwapError;
pub use plan::{PlainAddress, Plan};
pub use swap::{Rollout, Swapped};
pub use wiring::{Need, Offers, Uses, WireError, breaks, needs_of, wire};
