//! Owns whether a component offers all that its callers use (services in `unmet`, clients of routes in `evolution`),
//! and all that its own WIT files describe (`sources`), whether another service can call a function at all, and which
//! of its imports a component can call.
//! Always: types are compared by structure, and a difference is reported with its position in the signature.
//! Never: changes a contract, or decides what follows from a difference.

mod evolution;
mod sources;
mod type_position;
mod uncallable;
mod unmet;
mod waiting;

pub use evolution::{misread, noticed, rebound};
pub use sources::HeldTo;
pub use uncallable::uncallable;
pub use unmet::{Unmet, unmet};
pub use waiting::never_callable;
