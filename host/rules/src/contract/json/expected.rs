//! The text of a violation: what was expected, and what was found instead.

use super::integer::IntegerRange;
use super::json_form::is_byte;
use super::names::Names;
use crate::contract::wit::{Flags, Type};
use std::fmt;

/// The most names of an enum, a variant or flags that a message lists.
const MAX_NAMES: usize = 20;

/// The longest string that a message repeats, in characters; of a longer one it gives the length.
const MAX_ECHO: usize = 40;

/// What a type expects, in words.
pub(super) struct Expected<'a> {
    pub(super) ty: &'a Type,
    pub(super) names: Names,
    pub(super) or_null: bool,
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names;
        match self.ty.resolved() {
            Type::Bool => f.write_str("true or false"),
            Type::F32 | Type::F64 => f.write_str("a number"),
            Type::Char => f.write_str("a string of one character"),
            Type::String => f.write_str("a string"),
            Type::List(item) if is_byte(item) => f.write_str("a string in base64"),
            Type::FixedList(item, length) if is_byte(item) => {
                write!(f, "a string in base64 of {}", count(*length, "byte"))
            }
            Type::List(_) => f.write_str("an array"),
            Type::FixedList(_, length) => write!(f, "an array of {}", count(*length, "item")),
            Type::Tuple(types) => write!(f, "an array of {}", count(types.len(), "item")),
            Type::Option(_) => f.write_str("an array of at most one item"),
            Type::Map(..) | Type::Record(_) => f.write_str("an object"),
            Type::Result { .. } => f.write_str("an object with one member, \"ok\" or \"err\""),
            Type::Variant(variant) => {
                let forms = variant.cases.iter().map(|case| (case.name.as_str(), case.ty.is_some()));
                one_of(f, names, forms)
            }
            Type::Enum(cases) => one_of(f, names, cases.cases.iter().map(|case| (case.name.as_str(), false))),
            Type::Flags(flags) => {
                f.write_str("an array of names, each ")?;
                ExpectedFlag { flags, names }.fmt(f)
            }
            ty @ (Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64) => {
                let range = IntegerRange::of(ty).expect("these are the integer types");
                write!(f, "a whole number from {} to {}", range.min, range.max)
            }
            Type::Alias(_) => unreachable!("aliases are resolved"),
            Type::Stream(_) | Type::Future(_) | Type::Resource(_) | Type::ErrorContext => {
                f.write_str("absent, because it has no JSON")
            }
        }?;
        if self.or_null { f.write_str(" or null") } else { Ok(()) }
    }
}

/// What each item of flags expects, in words.
pub(super) struct ExpectedFlag<'a> {
    pub(super) flags: &'a Flags,
    pub(super) names: Names,
}

impl fmt::Display for ExpectedFlag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        one_of(f, self.names, self.flags.flags.iter().map(|name| (name.as_str(), false)))
    }
}

/// "1 item", "2 items".
pub(super) fn count(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn one_of<'a>(
    f: &mut fmt::Formatter<'_>,
    names: Names,
    forms: impl ExactSizeIterator<Item = (&'a str, bool)>,
) -> fmt::Result {
    if forms.len() > 1 {
        f.write_str("one of ")?;
    }
    list(f, names, forms)
}

/// The names in quotes. A case that carries a value is shown as its object: `{"name": …}`.
fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    names: Names,
    forms: impl ExactSizeIterator<Item = (&'a str, bool)>,
) -> fmt::Result {
    let more = forms.len().saturating_sub(MAX_NAMES);
    for (index, (name, carries)) in forms.take(MAX_NAMES).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let name = names.of(name);
        if carries { write!(f, "{comma}{{\"{name}\": …}}") } else { write!(f, "{comma}\"{name}\"") }?;
    }
    if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
}

/// What was found instead.
#[derive(Debug, Clone, Copy)]
pub(super) enum Actual<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    /// A number, by its text.
    Number(&'a str),
    Text(&'a str),
    Array,
    Object,
    EmptyObject,
}

impl fmt::Display for Actual<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            // The debug form writes an exponent where the display form would write hundreds of digits.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Number(text) if text.len() <= MAX_ECHO => f.write_str(text),
            Self::Number(text) => write!(f, "a number of {} characters", text.len()),
            Self::Text(text) if text.chars().nth(MAX_ECHO).is_none() => write!(f, "{text:?}"),
            Self::Text(text) => write!(f, "a string of {} characters", text.chars().count()),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
            Self::EmptyObject => f.write_str("an empty object"),
        }
    }
}
