//! Real servers that tests start, kill and pause. Where one is not installed there is none, and the test says so.

// All of it is test code. Clippy recognises as test code only what stands inside a `#[test]` function.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

mod redis_process;

pub use redis_process::RedisProcess;
