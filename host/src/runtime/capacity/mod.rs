//! What instances share: the slots of the engine's pool, and the processor.
//! A call never waits for a slot that only its own callee could free, and whatever guests compute, some processor time is left for others.
//! Never: makes or ends an instance. Whoever keeps idle instances gives them up through a trait that this wing declares.

pub(super) mod cpu;
pub(super) mod pressure;
pub(super) mod slots;
