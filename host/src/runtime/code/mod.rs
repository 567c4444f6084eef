//! Owns a component, from the bytes of its file to the revision that a service runs, and its code in memory.
//! A component is checked before it becomes a revision. Its code is loaded when the revision is first called.
//! Never: makes an instance.

pub(super) mod component;
mod footprint;
pub(super) mod handler;
pub(super) mod linked;
pub(super) mod refusals;
pub(super) mod revision;
mod skeleton;
