//! Owns the JSON of each WIT type, the same in both directions. A test holds the examples of `docs/json-mapping.md`.
//! Always: a text is read in one pass, led by the type, and again if a number may have been rounded; all violations are
//! reported together, each with its pointer.
//! Never: builds a tree of JSON, or knows whose values they are: [`Value`] is a trait.

mod array_reader;
mod direction;
#[cfg(feature = "engine")]
mod engine_value;
mod expected;
mod integer;
mod json_form;
mod json_pointer;
mod names;
mod number_text;
mod object_reader;
mod reader;
mod scalar_parser;
mod scalar_writer;
mod seed;
mod short_text;
#[cfg(test)]
mod tests;
mod value;
mod violation;
mod writer;

pub use direction::Direction;
pub use integer::Integer;
pub use integer::{IntegerRange, MAX_SAFE};
pub use json_form::is_byte;
pub use json_form::{is_list_of_textual, is_nullable, is_textual, unmappable};
pub use names::Names;
pub use reader::read;
pub use scalar_writer::Misfit;
pub use short_text::{read_text, read_texts, write_text};
pub use value::Value;
pub use violation::{MAX_VALUES, MAX_VIOLATION_BYTES, MAX_VIOLATIONS, ReadError, Violation};
pub use writer::write;
