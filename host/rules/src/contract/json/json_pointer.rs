//! JSON pointers (RFC 6901) to the parts of a text.

use super::names::Names;
use std::fmt;

/// The pointer to a part of a text. It is a list from the inside out, on the reader's stack: no pointer is spelt unless
/// something is wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonPointer<'a> {
    /// The whole text.
    Root,
    /// An item of an array.
    Item(&'a JsonPointer<'a>, usize),
    /// A member of an object, by the name that the text has.
    Member(&'a JsonPointer<'a>, &'a str),
    /// A member of an object, by the name that the contract has.
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
