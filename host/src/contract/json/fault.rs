//! What is wrong with a text, and where.

use crate::contract::Names;
use std::cell::{Cell, RefCell};
use std::fmt;

/// A text with more faults than these is told of the first ones.
pub const MAX_FAULTS: usize = 100;

/// A text whose faults take more bytes than these is told of the first ones, the one that passes the bound included. Each repeats the names
/// on the way to its place: without a bound one long name, with many faults below it, makes an answer of a hundred times the text.
pub const MAX_FAULT_BYTES: usize = 64 * 1024;

/// A text with more values than these is not read. An engine keeps some 40 to 120 bytes for each, and `{}` may stand for a record of many
/// absent fields, so the size of the text bounds nothing.
pub const MAX_VALUES: usize = 1 << 18;

/// Why a text is no value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON.
    #[error("line {line}, column {column}: {detail}")]
    Malformed {
        /// The first line is 1.
        line: usize,
        /// In bytes, of the last one that was read; 0 if the line has none.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// It is JSON, and not of the type: at least one fault, at most [`MAX_FAULTS`], in the order of the text.
    #[error("{} fault(s) in the JSON", .0.len())]
    Faults(Vec<Violation>),
}

/// One place of a text that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901). That of a missing member is where it would be.
    pub pointer: String,
    /// What is wrong, as the rest of a sentence about the place: "must be true or false, not 3".
    pub detail: String,
}

/// What one reading has found wrong so far, and how much it has made.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    faults: RefCell<Vec<Violation>>,
    /// The bytes of those.
    told: Cell<usize>,
    values: Cell<usize>,
}

impl Ledger {
    /// Notes a fault; beyond the bounds it is not even worded.
    pub(super) fn note(&self, place: &JsonPointer<'_>, detail: fmt::Arguments<'_>) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MAX_FAULTS && self.told.get() <= MAX_FAULT_BYTES {
            let fault = Violation { pointer: place.to_string(), detail: detail.to_string() };
            self.told.set(self.told.get() + fault.pointer.len() + fault.detail.len());
            faults.push(fault);
        }
    }

    /// Whether so many more values may be made. It is a fault, once, when they may not.
    pub(super) fn admits(&self, more: usize, place: &JsonPointer<'_>) -> bool {
        let before = self.values.get();
        let after = before.saturating_add(more);
        self.values.set(after);
        if before <= MAX_VALUES && after > MAX_VALUES {
            self.note(place, format_args!("must not be there: a text has at most {MAX_VALUES} values, bytes counted"));
        }
        after <= MAX_VALUES
    }

    /// All faults.
    pub(super) fn into_faults(self) -> Vec<Violation> {
        self.faults.into_inner()
    }
}

/// A place in a text, as a list from the inside out that lives on the stack of the reader: it is spelt only where something is wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonPointer<'a> {
    /// The whole text.
    Root,
    /// An item of an array.
    Item(&'a JsonPointer<'a>, usize),
    /// A member of an object, by its name in the text.
    Member(&'a JsonPointer<'a>, &'a str),
    /// A member of an object, by its name in the contract.
    Named(&'a JsonPointer<'a>, Names, &'a str),
}

impl fmt::Display for JsonPointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(outer, index) => write!(f, "{outer}/{index}"),
            Self::Member(outer, name) => {
                write!(f, "{outer}/")?;
                escape(name.chars(), f)
            }
            Self::Named(outer, names, name) => {
                write!(f, "{outer}/")?;
                escape(names.letters(name), f)
            }
        }
    }
}

/// Writes one token of a pointer (RFC 6901 §3).
fn escape(mut letters: impl Iterator<Item = char>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    letters.try_for_each(|letter| match letter {
        '~' => f.write_str("~0"),
        '/' => f.write_str("~1"),
        other => f.write_char(other),
    })
}
