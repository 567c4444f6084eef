//! One instance at work: its store, its task, the jobs that it serves, and its caller's guard.
//! The store is dropped when the instance ends, and the fault is recorded before that, so every caller learns how its job ended.
//! Never: decides which instance serves a call, or keeps one for the next call.

pub(super) mod guard;
pub(super) mod job;
mod serve;
mod store;
pub(super) mod worker;
