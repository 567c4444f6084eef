//! Owns the choice of the instance for a call: a new one, or one that is kept between calls.
//! A call waits for its instance until its deadline at most, and gets no more of the pool than its depth permits.
//! Never: runs a guest.

mod call_guard;
mod guest_body;
mod guest_span;
pub(super) mod instance_pool;
mod kept_instances;
pub(super) mod migration;
mod replay;
