//! The types that threads meet in: those of `std`, or loom's, which tries every order of their steps.
//!
//! The room imports them from here alone, so that `tests/loom` drives this very source. Two types stay `std`'s: `Arc`, since a method
//! can take no other one as its `self`, and it decides nothing here; and `OnceLock`, which loom does not have, and whose one use
//! runs nothing that could wait.

#[cfg(loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering, fence},
};
