//! Owns what guests can import: the host's interfaces, in one linker for all, and the functions of other services.
//! Every component is linked with the same linker: its grants, not the linker, decide what it may use.
//! Never: loads a component, or makes an instance.

mod caller;
mod keyvalue;
pub(super) mod linker;
mod sent_http;
mod state_span;
pub(super) mod transactions;
pub(super) mod typed;
