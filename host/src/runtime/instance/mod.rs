//! Owns one instance at work: its store, its task, the jobs that it serves, and its caller's guard.
//! The fault of an instance is recorded before its store is dropped, so every caller learns how its job ended.
//! Never: chooses the instance for a call, or keeps an instance for the next call.

pub(super) mod guard;
mod inline_poll;
pub(super) mod job;
mod job_queue;
mod serve;
pub(super) mod serving;
mod store;
pub(super) mod worker;
