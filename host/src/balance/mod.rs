//! Floor 2: which endpoint of a service gets the next attempt.
//!
//! Owns the choice among endpoints that are known by number only, and what is known of each one's load: calls under way, latency,
//! recent failures. Four [policies](Policy); weights and slow start hold for all of them, and so does ejection: an endpoint that fails
//! far more often than the others leaves the choice for a while.
//!
//! What always holds:
//! - No endpoint is asked twice for one choice, and none after one granted.
//! - An endpoint that grants is found if there is one. Ejected ones are asked last: better an outlier than a refusal.
//! - Ejection takes at most its share of the pool, rounded down, and never the last endpoint.
//! - A failure never makes an endpoint look fast.
//! - No endpoint is forgotten: a latency that was high once fades, and with it the reason to avoid its endpoint.
//! - A choice takes no lock, and up to 16 endpoints cost no allocation.
//!
//! Never: knows what an endpoint or a permit is, makes its own randomness, reads a clock, waits. `now` may lie slightly behind what
//! another thread handed in.
//!
//! Tests: `tests/`, with property tests on fairness and a naive model of the averages.

mod balancer;
mod candidate;
mod ejection;
mod latency;
mod load;
mod policy;
#[cfg(test)]
mod tests;
mod turns;

pub use balancer::{Balancer, Settings};
pub use ejection::Ejection;
pub use load::{Load, LoadSample};
pub use policy::{Policy, UnknownPolicy};
