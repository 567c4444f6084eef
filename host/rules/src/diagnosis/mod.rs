//! Floor 2: why a service does not fare well, from what is known of all services.
//!
//! Owns the rules by which the state and the recent counts of services become causes: which of several symptoms is the
//! first cause, and by which calls it reaches the service that was asked about.
//!
//! What always holds: a cause names the service where it is wrong, and a path of calls that leads there. A cause in a
//! service that is called stands before the symptoms which it explains. A circle of calls ends the search.
//!
//! Never: counts, reads a clock, or knows who asks. Tests: `tests.rs`, a table of planted faults.

mod cause;
mod service_facts;
#[cfg(test)]
mod tests;
mod why;

pub use cause::{CauseKind, ServiceCause};
pub use service_facts::{CircuitFacts, EndpointFacts, FailureFacts, PoolFacts, ServiceFacts};
pub use why::why;
