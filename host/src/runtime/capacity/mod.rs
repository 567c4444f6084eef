//! Owns what all instances share: the slots of the engine's pool, and processor time; and the meter of what an instance
//! takes.
//! Callers never take the slots that their callees need, no service takes those of another, and guests that compute
//! leave processor time for others.
//! Never: makes or ends an instance. The keeper of idle instances gives them up, through a trait of this wing.

pub(super) mod compute_future;
pub(super) mod cpu;
mod cpu_ledger;
pub(super) mod cpu_slice;
pub(super) mod depth_class;
pub(super) mod pressure;
mod slot_ledger;
pub(super) mod slots;
mod thread_clock;
mod work_meter;
