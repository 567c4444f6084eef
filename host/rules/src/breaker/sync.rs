//! The types through which threads meet: those of `std`, or those of loom, which tries every order of the threads'
//! steps.
//!
//! The room imports these types from here alone, so that `tests/loom` runs this very source. Two types are always
//! `std`'s: `Arc`, since a method can take no other `Arc` as its `self`, and the order of its steps decides nothing
//! here; and `OnceLock`, which loom does not have, and whose one use here runs nothing that could wait.

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
