//! Owns the OpenAPI 3.1 document of the functions and sagas that routes name; `document.rs` has the entry.
//! Always: the same operations give the same document, byte for byte; a schema admits what the gateway
//! reads, and all that this or a later revision of the component may answer to its clients.
//! Never: shows what a service says about its own failures (5xx).

mod document;
mod responses;
mod saga_operation;
mod schema;
mod schema_names;
#[cfg(test)]
mod tests;
mod text_pattern;

pub use document::{Info, Operation, document};
pub use saga_operation::SagaOperation;
