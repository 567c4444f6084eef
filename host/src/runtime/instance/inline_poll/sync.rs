//! The types in which the pollers of a future meet, and the clock.
//!
//! `protocol.rs` imports them from here alone. `tests/loom` puts loom's types in the place of this file, and so runs
//! the very protocol.

pub(super) use futures_util::task::AtomicWaker;
pub(super) use std::panic::catch_unwind;
pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicBool, fence};
pub(super) use std::time::Instant;
