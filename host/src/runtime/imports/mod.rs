//! Owns what guests can import: the host's interfaces, in one linker for all, and the functions of other services.
//! Every component is linked with the same linker: its grants, not the linker, decide what it may use.
//! Never: loads a component, or makes an instance.

pub(super) mod blocking;
mod blocking_function;
mod caller;
mod delivery;
mod keyvalue;
pub(super) mod linker;
mod logging;
mod otel;
mod outbox;
mod own_bucket;
mod publisher;
mod sent_http;
mod timers;
mod transactions;
mod transactions_0_2;
pub(super) mod typed;
