//! Floor 2: what a service is expected to answer, for `atoll test`.
//!
//! Owns the arguments that are made up for a function by its types, and how a failing one is made smaller; the examples
//! of a contract, in files of TOML and in the docs of WIT; whether an answer is as expected; and the report for CI.
//!
//! What always holds: the same seed makes the same arguments; every argument fits its type; making one smaller ends.
//!
//! Never: it calls anything, reads files, or knows whose values they are.
//!
//! From the top: `example` → `json_match`; `argument_source`; `smaller`; `junit`. Tests stand beside the code.

mod argument_source;
mod example;
mod json_match;
mod junit;
mod smaller;

pub use argument_source::ArgumentSource;
pub use example::{Example, ExampleError, ExpectedAnswer};
pub use json_match::mismatch;
pub use junit::{TestCase, junit};
pub use smaller::smaller;
