//! The kinds of whole numbers, their bounds, and the one text that each number has.

use crate::contract::wit::Type;

/// The kinds of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
}

/// The largest whole number that every reader keeps exactly. Many readers keep numbers as doubles and would change a
/// larger one, so that is written as a string (RFC 7493 §2.2).
pub const MAX_SAFE: i128 = (1 << 53) - 1;

/// Whether a double holds this number exactly, and no other whole number is rounded to it.
pub(super) fn is_safe(value: i128) -> bool {
    (-MAX_SAFE..=MAX_SAFE).contains(&value)
}

/// A kind of whole numbers, with its bounds.
#[derive(Debug, Clone, Copy)]
pub struct IntegerRange {
    /// The type itself.
    pub kind: Integer,
    /// Its least value.
    pub min: i128,
    /// Its greatest value.
    pub max: i128,
}

impl IntegerRange {
    /// The range of an integer type, behind aliases; `None` for any other type.
    pub fn of(ty: &Type) -> Option<Self> {
        let (kind, min, max) = match ty.resolved() {
            Type::S8 => (Integer::S8, i128::from(i8::MIN), i128::from(i8::MAX)),
            Type::U8 => (Integer::U8, 0, i128::from(u8::MAX)),
            Type::S16 => (Integer::S16, i128::from(i16::MIN), i128::from(i16::MAX)),
            Type::U16 => (Integer::U16, 0, i128::from(u16::MAX)),
            Type::S32 => (Integer::S32, i128::from(i32::MIN), i128::from(i32::MAX)),
            Type::U32 => (Integer::U32, 0, i128::from(u32::MAX)),
            Type::S64 => (Integer::S64, i128::from(i64::MIN), i128::from(i64::MAX)),
            Type::U64 => (Integer::U64, 0, i128::from(u64::MAX)),
            Type::Bool
            | Type::F32
            | Type::F64
            | Type::Char
            | Type::String
            | Type::List(_)
            | Type::FixedList(..)
            | Type::Map(..)
            | Type::Option(_)
            | Type::Result { .. }
            | Type::Tuple(_)
            | Type::Record(_)
            | Type::Variant(_)
            | Type::Enum(_)
            | Type::Flags(_)
            | Type::Alias(_)
            | Type::Stream(_)
            | Type::Future(_)
            | Type::Resource(_)
            | Type::ErrorContext => return None,
        };
        Some(Self { kind, min, max })
    }

    /// Whether a string of digits is read as a number of this kind: 64 bits do not fit into a double.
    pub fn may_be_text(self) -> bool {
        matches!(self.kind, Integer::S64 | Integer::U64)
    }

    /// Whether the number is within the bounds.
    pub(super) fn holds(self, value: i128) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// Reads the one text of a number: no plus, no leading zeros, no minus before a zero.
    pub(super) fn parse(self, text: &str) -> Option<i128> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let canonical = match digits.as_bytes() {
            [b'0'] => digits.len() == text.len(),
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false, // empty, a leading zero, or no digit
        };
        // `parse` fails for a number that is too large for an i128.
        canonical.then(|| text.parse().ok()).flatten().filter(|&value| self.holds(value))
    }
}
