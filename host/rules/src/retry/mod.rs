//! Floor 2: whether a failed call is tried again, and when.
//!
//! Owns the [`Settings`] of a service's retries, their [`Budget`], the backoff, and which HTTP methods may be sent
//! twice. What always holds: within ten seconds a service gets no more further tries than its share of calls and its
//! floor allow; a try is taken from the budget only when it will be made; no call waits for a try that would have no
//! time left. Never: knows whether an error is worth another try or whether a call is idempotent (the mesh knows),
//! waits, makes its own randomness.
//!
//! Tests: `tests.rs` holds the budget against a naive model that keeps every call and every try.

mod budget;
mod method;
mod policy;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use method::is_safe;
pub use policy::{Retry, Settings};
