//! Owns the description of a contract: interfaces, functions, types; it is read from a component and from WIT sources.
//! Always: a description is plain data that shares equal types, and a type is never recursive.
//! Never: knows JSON, HTTP or a route. No other wing names `wit-parser`.

mod function_lookup;
mod interface;
mod source_docs;
mod source_worlds;
mod type_display;
mod type_reader;
mod types;
mod version_track;
mod world_reader;

pub use function_lookup::LookupError;
pub use interface::{Contract, FORBIDDEN, Function, FunctionName, Interface, InterfaceName, Param, UNAVAILABLE};
pub use source_docs::DocsError;
pub(crate) use source_docs::{SourceInterface, Sources};
pub(crate) use type_display::described;
pub use types::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
pub use world_reader::{DecodeError, HOST_PACKAGES, HOW_TO_BUILD};
