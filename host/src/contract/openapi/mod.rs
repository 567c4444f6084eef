//! Owns the OpenAPI 3.1 document of the functions that routes name; `document.rs` has the entry.
//! Always: the same operations give the same document, byte for byte; a schema admits what the gateway reads.
//! Never: shows what a service says about its own failures (5xx).

mod document;
mod responses;
mod schema;
mod schema_names;
#[cfg(test)]
mod tests;
mod text_pattern;

pub use document::{Info, Operation, document};
