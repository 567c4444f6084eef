//! Floor 2: which endpoint of a service gets the next try.
//!
//! Owns the choice among endpoints that are known by number only, and what is known of each endpoint's load: calls
//! under way, latency, recent failures. There are four [policies](Policy). Weights, slow start and ejection hold for
//! all of them. Ejection means: an endpoint that fails far more often than the others leaves the choice for a while.
//!
//! What always holds:
//! - No endpoint is asked twice in one choice, and none is asked after one has granted.
//! - If an endpoint grants, it is found. Ejected endpoints are asked last: an outlier is better than a refusal.
//! - Ejection takes at most its share of the pool, rounded down, and never the last endpoint.
//! - A failure never makes an endpoint look fast.
//! - No endpoint is avoided for ever: a latency that was high once fades, and with it the reason to avoid the endpoint.
//! - A choice takes no lock, and allocates nothing for up to 16 endpoints.
//!
//! Never: knows what an endpoint or a permit is, makes its own randomness, reads a clock, waits. `now` may lie
//! slightly behind the time that another thread handed in.
//!
//! Tests: `tests/`, with property tests on fairness and a naive model of the averages.

mod balancer;
mod candidates;
mod ejection;
mod failure_window;
mod latency;
mod load;
mod outlier_review;
mod policy;
#[cfg(test)]
mod tests;
mod weighted_round_robin;

pub use balancer::{Balancer, Settings};
pub use ejection::Ejection;
pub use load::{Load, LoadSample};
pub use policy::{Policy, UnknownPolicy};
