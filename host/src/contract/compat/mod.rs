//! Owns whether a component offers all that its callers use, whether another service can call a function at all, and
//! which of its imports a component can call.
//! Always: types are compared by structure, and a difference is reported with its position in the signature.
//! Never: changes a contract, or decides what follows from a difference.

mod type_position;
mod uncallable;
mod unmet;
mod waiting;

pub use uncallable::uncallable;
pub use unmet::{Unmet, unmet};
pub use waiting::never_callable;
