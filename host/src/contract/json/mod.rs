//! JSON for the types of WIT, the same in both directions; `docs/json-mapping.md` has the whole of it, and a test holds its examples.
//!
//! A text is read in one pass: the type leads the parser, and what the parser finds becomes a value at once. What does not fit is noted
//! with its place and skipped, so that the caller learns of all faults together.

mod fault;
mod object;
mod read;
mod scalar;
mod sequence;
mod shape;
mod text;
mod words;
mod write;

#[cfg(test)]
mod tests;

pub use fault::{MAX_FAULT_BYTES, MAX_FAULTS, MAX_VALUES, ReadError, Violation};
pub use read::read;
pub(super) use shape::{MAX_SAFE, Whole, is_byte};
pub use shape::{is_list_of_textual, is_nullable, is_textual, unmappable};
pub use text::{read_text, read_texts, write_text};
pub use write::{Misfit, write};
