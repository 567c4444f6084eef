//! The host's only integration-test target. All system tests share one binary, so that Wasmtime is linked once and
//! not once for each file.
//!
//! `it` drives the real binary with real components. `sim` runs rooms through seeded faults in simulated time. `tidy`
//! checks the rules of the source tree: which room may import which.

// The whole target is test code. Clippy recognises as test code only what stands inside a `#[test]` function.
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
