//! Which instance serves a call: a new one, or one that is kept between calls.
//! A call waits for its instance until its deadline and no longer, and it never gets more of the pool than its depth permits.
//! Never: runs a guest. Dropping a call's guard is enough to end what an instance does for the call.

mod call_guard;
mod guest_body;
pub(super) mod instance_pool;
mod kept_instances;
