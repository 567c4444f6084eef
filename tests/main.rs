//! The host's one integration-test target: one link of Wasmtime instead of many.
//!
//! `it` drives the real binary with real components, `sim` runs rooms through seeded faults in simulated time, `tidy` holds the walls of
//! the house.

// The whole target is test code; Clippy knows as such only what stands in a `#[test]` function itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "test code"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test target has no public interface")]

mod it;
mod sim;
mod tidy;
