//! Floor 2: what a component offers and needs, in the words of its WIT contract.
//!
//! Owns the description of interfaces, functions and types ([`Contract`]), which is decoded from a component once; the
//! JSON form of each type, in both directions, and the compact form in which values go to other nodes; how a function
//! is reached over HTTP; the OpenAPI document of the functions that routes name; and whether a component still fits the
//! services that call it.
//!
//! The wings, from the bottom: `wit` describes; `json` stands on it; `compact` and `http_binding` stand on `wit` and
//! `json`; `compat` and `openapi` stand on `wit`, `json` and `http_binding`. A wing imports only from wings below it.
//! `testing` is for tests alone.
//!
//! What always holds: types are compared by structure, and their names and docs never count; a JSON text is read in one
//! pass, and the caller learns all of its violations together, each with a pointer; the mapping loses nothing in either
//! direction. Never: Wasmtime, hyper, a clock, or I/O (except reading the WIT files of `wit = …`). Values are made and
//! read through the trait [`Value`], so that the engine's own values are built without a copy in between.
//!
//! Tests stand beside the files.

mod compact;
mod compat;
mod http_binding;
pub mod json;
mod openapi;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod wit;

pub use compact::{
    CompactError, CrossingFunction, CrossingFunctions, MAX_PARTS, Unwritable, read_compact, uncrossable, write_compact,
};
pub use compat::{HeldTo, Unmet, misread, never_callable, noticed, rebound, uncallable, unmet};
pub use http_binding::{
    BoundFunction, HttpBinding, HttpBindingError, HttpBindingKey, HttpBindingSpec, Location, ParamSource,
    header_title_case,
};
pub use json::{Integer, Names, Value, is_list_of_textual, is_nullable, is_textual, unmappable};
pub use openapi::{Info, Operation, SagaOperation, document};
pub use wit::{
    Alias, Case, Contract, DecodeError, DocsError, Enum, FORBIDDEN, Field, Flags, Function, FunctionName,
    HOST_PACKAGES, HOW_TO_BUILD, Interface, InterfaceName, LookupError, Param, Record, Type, UNAVAILABLE, Variant,
};
