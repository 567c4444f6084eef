//! Floor 2: what a component offers and needs, in the words of its WIT contract.
//!
//! Owns the description of interfaces, functions and types ([`Contract`]), which is decoded from a component once; what JSON is to each
//! type, in both directions; the OpenAPI document of the functions that routes name; and whether a component still fits those who use
//! another one's place.
//!
//! What always holds: types are compared by structure, and names and docs never count; a JSON text is read in one pass, and all of its
//! faults are told with a pointer to each; the mapping loses nothing in either direction. Never: Wasmtime, hyper, I/O but for the WIT
//! files of `wit = …`, a clock. Values are made and read through the trait [`Value`], so that the engine's own values are built without
//! a copy in between.
//!
//! Tests stand beside the files.

mod compat;
mod crossing;
mod decode;
mod docs;
mod face;
mod interface;
pub mod json;
mod lookup;
mod names;
mod openapi;
mod place;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
pub(crate) mod specimen;
mod text;
mod types;
mod value;
mod version;

pub use compat::{Unmet, unmet};
pub use crossing::uncallable;
pub use decode::{DecodeError, HOST_PACKAGES};
pub use docs::DocsError;
pub use face::{HttpBinding, HttpBindingError, HttpBindingKey, HttpBindingSpec, Location, ParamSource, default_status};
pub use interface::{Contract, Function, FunctionName, Interface, InterfaceName, Param, UNAVAILABLE};
pub use json::{is_list_of_textual, is_nullable, is_textual, unmappable};
pub use lookup::LookupError;
pub use names::{Names, capitals};
pub use openapi::{Info, Operation, document};
pub use types::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
pub use value::{Integer, Value};
