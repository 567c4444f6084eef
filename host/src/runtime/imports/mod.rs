//! What the host offers for import: WASI and the state interfaces in one linker, and the functions of other services by typed imports.
//! Every component is linked with the same linker. What a service may use is decided by its grants, when it is loaded and when it calls.
//! Never: loads a component or makes an instance.

mod keyvalue;
pub(super) mod linker;
mod transactions;
pub(super) mod typed;
