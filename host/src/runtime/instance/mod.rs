//! Owns one instance at work: its store, its task, the jobs that it serves, and its caller's guard.
//! The fault of an instance is recorded before its store is dropped, so every caller learns how its job ended.
//! Never: chooses the instance for a call, or keeps an instance for the next call.

mod drive;
pub(super) mod guard;
pub(super) mod job;
mod serve;
mod store;
pub(super) mod worker;
