//! Floor 2: which endpoint of a service gets the next attempt.
//!
//! Owns the choice among endpoints that are known by number only. What always holds: no endpoint is asked twice for one choice, an
//! endpoint that grants is found if there is one, and up to 16 endpoints cost no allocation. Never: knows what an endpoint or a
//! permit is, makes its own randomness, waits.
//!
//! Tests: `tests.rs`, with property tests on fairness.

mod balancer;
#[cfg(test)]
mod tests;

pub use balancer::{Balancer, Policy, UnknownPolicy};
