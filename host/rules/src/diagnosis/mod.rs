//! Floor 2: why a service does not fare well, from what is known of all services; and where in its source it failed.
//!
//! Owns the rules by which the state and the recent counts of services become causes: which of several symptoms is the
//! first cause, and by which calls it reaches the service that was asked about. Of a component's file it owns the lines
//! of source that belong to its code.
//!
//! What always holds: a cause names the service where it is wrong, and a path of calls that leads there. A cause in a
//! service that is called stands before the symptoms which it explains. A circle of calls ends the search.
//!
//! Never: counts, reads a clock, or knows who asks. Tests: `tests.rs`, a table of planted faults.

mod cause;
mod service_facts;
mod source_line;
#[cfg(test)]
mod tests;
mod why;

pub use cause::{CauseKind, ServiceCause};
pub use service_facts::{CircuitFacts, EndpointFacts, FailureFacts, PoolFacts, ServiceFacts};
pub use source_line::{SourceLine, has_source_lines, source_lines};
pub use why::{why, why_all};
