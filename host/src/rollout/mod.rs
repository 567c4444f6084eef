//! Floor 6: how the revisions of services are deployed and replaced.
//!
//! Owns each service's history of revisions (what serves, what served before), the steps of a swap (compile, check,
//! rehearse, publish), the compilations after a start, the trial of a component without a swap, and the resolving of
//! host names into endpoints.
//!
//! What always holds:
//! - Nothing changes until the new revision has passed every check; then one publication swaps it in.
//! - Requests in flight finish on the revision that they started on: it lives as long as they do.
//! - An endpoint that stays keeps its breaker and its load, when a name is resolved again and when a revision is
//!   replaced. While no name server answers, the addresses that were resolved last stay.
//! - Swaps of one service happen one after the other; swaps of different services do not wait for each other.
//!
//! Never: it serves sockets. A swap lasts until the host restarts.
//!
//! From the top: `start` → `swap` → `deployment` → `addresses` → `spec`; `swap` → `trial` → `wiring`; `swap` and
//! `start` → `start_ledger`; `error` stands apart.
//! Tests: with real components in `tests/it`.

mod addresses;
mod deployment;
mod error;
mod spec;
mod start;
mod start_ledger;
mod swap;
mod trial;
mod wiring;

pub use error::SwapError;
pub use spec::{AddressSettings, GrantSettings, PlainAddress, ReplicaSettings, ServiceSpec};
pub use swap::{Rollout, Swapped};
pub use trial::{Trial, TrialGround};
pub use wiring::{Importer, ManifestName, Need, Offers, Uses, WireError, needs_of, wire, wire_each};
