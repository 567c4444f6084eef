//! Reads one table of the manifest at a time.
//!
//! Owns the kinds of values, the keys, the tables ("sections"), and the findings with their positions in the text.
//! What always holds: each problem is reported once, with its position and with help; a key that nothing reads is a
//! problem. Never: it knows which sections and keys a manifest has.

pub(super) mod address;
pub(super) mod decimal;
pub(super) mod file;
pub(super) mod finding;
pub(super) mod function;
pub(super) mod key;
pub(super) mod key_spans;
pub(super) mod kind;
pub(super) mod masked_text;
pub(super) mod measure;
pub(super) mod pair;
pub(super) mod private_file;
pub(super) mod report;
pub(super) mod scope;
pub(super) mod section;
pub(super) mod suggest;
pub(super) mod syntax;
