//! Owns the compact form of values on their way between nodes: bytes without names or types, since both ends have the
//! contract. `docs/cluster-calls.md` describes the form, byte by byte. Always: a value has one form and a form has one
//! value, bit by bit (NaN, too); whoever reads takes no more memory than the bytes and [`MAX_PARTS`] allow, and never
//! panics. Never: carries a stream, a future, a resource or an error context. [`uncrossable`] finds them in a type.

mod compact_reader;
mod compact_writer;
mod crossing;
mod signature;
#[cfg(test)]
mod tests;
mod var_int;

pub use compact_reader::{CompactError, MAX_PARTS, read_compact};
pub use compact_writer::{Unwritable, write_compact};
pub use crossing::{CrossingFunction, CrossingFunctions, uncrossable};
