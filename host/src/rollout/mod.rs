//! Floor 6: how the revisions of services are deployed and replaced.
//!
//! Owns each service's history of revisions (what serves, what served before), the steps of a swap (compile, check,
//! rehearse, publish), the compilations after a start, the trial of a component without a swap, and the endpoints of
//! addresses: those that are written, and those that sources name.
//!
//! What always holds:
//! - Nothing changes until the new revision has passed every check; then one publication swaps it in.
//! - Requests in flight finish on the revision that they started on: it lives as long as they do.
//! - An endpoint that stays keeps its breaker and its load, when a source names others and when a revision is replaced.
//! - Swaps of one service happen one after the other; swaps of different services do not wait for each other.
//!
//! - What was taken back never serves again by itself; what was promoted serves after a restart, if the host has a
//!   history.
//!
//! Never: it serves sockets, or decides whether a canary is worse (`verdict` does).
//!
//! From the top: `wanted` → `rollback`; `start` and `rollback` → `canary_rollout` → `attendance`, `shadow_phase`,
//! `way_back`, `promotion` → `sweep` → `data_migration` → `journal` → `swap` → `deployment` → `unfinished_calls`,
//! `addresses`, `canary_run` → `shadow_run`, `spec` → `plan`; `exchange` → `swap`; `exchange` → `succession` →
//! `deployment`; `swap` → `trial` → `wiring`; `swap` and `start` → `start_ledger`; `hosting` → `swap`; `error` stands
//! apart. Tests: with real components in `tests/it`.

mod addresses;
mod attendance;
mod canary_rollout;
mod canary_run;
mod data_migration;
mod deployment;
mod error;
mod exchange;
mod hosting;
mod journal;
mod peers;
mod places;
mod plan;
mod promotion;
mod revision_history;
mod rollback;
mod shadow_phase;
mod shadow_run;
mod spec;
mod start;
mod start_ledger;
mod succession;
mod swap;
mod sweep;
mod trial;
mod unfinished_calls;
mod wanted;
mod way_back;
mod wiring;

pub use canary_rollout::{Begun, EndOrder, RolloutHistory};
pub use canary_run::{RolloutOrder, RolloutState, ShadowState};
pub use error::SwapError;
pub use exchange::{PreparedExchange, WantedService};
pub use hosting::PlacedService;
pub use peers::{PeerPlace, PeerPlaces};
pub use plan::CanaryPlan;
pub use spec::{AddressSettings, GrantSettings, PlainAddress, ReplicaSettings, ServiceSpec};
pub use swap::{Rollout, Swapped};
pub use trial::{Trial, TrialGround, described};
pub use wiring::{Importer, ManifestName, Need, Offers, Uses, WireError, needs_of, wire, wire_each};
