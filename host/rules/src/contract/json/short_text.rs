//! Values that are one short text: in a path, in a query, in a header, and as the name of a member of a map.

use super::expected::{Actual, Expected};
use super::json_form::is_plain_text;
use super::names::Names;
use super::scalar_parser::parse_scalar;
use super::scalar_writer::write_scalar;
use super::value::Value;
use crate::contract::wit::Type;

/// Reads a text as a value of a [textual](super::is_textual) type. Each value but a float has exactly one text: whole
/// numbers have no plus and no leading zeros, a `bool` is `true` or `false`. The text of an option is that of its
/// value.
///
/// # Errors
/// The text is not of the type: the rest of a sentence about it, as in a [`Violation`](super::Violation).
pub fn read_text<V: Value>(ty: &Type, names: Names, text: &str) -> Result<V, String> {
    let expected = Expected { ty: option_of(ty).unwrap_or(ty), names, or_null: false };
    match option_of(ty) {
        Some(inner) => parse_scalar(inner, names, text).map(|value| V::option(Some(value))),
        None => parse_scalar(ty, names, text),
    }
    .ok_or_else(|| format!("must be {expected}, not {}", Actual::Text(text)))
}

/// Reads the texts of a repeated parameter as a value of a [list of short texts](super::is_list_of_textual).
///
/// # Errors
/// A text is not of the items' type: as in [`read_text`], for the first such text.
pub fn read_texts<V: Value>(ty: &Type, names: Names, texts: &[impl AsRef<str>]) -> Result<V, String> {
    let Type::List(item) = ty.resolved() else {
        return Err("must not be repeated: its type is not a list".into());
    };
    texts.iter().map(|text| read_text(item, names, text.as_ref())).collect::<Result<_, _>>().map(V::list)
}

/// The text of a value of a textual type. `None` for an option without a value, and for a value that is not of the
/// type.
pub fn write_text<V: Value>(ty: &Type, names: Names, value: &V) -> Option<String> {
    match option_of(ty) {
        Some(inner) => plain_text(inner, names, value.as_option()??),
        None => plain_text(ty, names, value),
    }
}

/// The text of a value of a scalar type or an enum; `None` if the type is another one, or the value is not of it.
pub(super) fn plain_text<V: Value>(ty: &Type, names: Names, value: &V) -> Option<String> {
    match ty.resolved() {
        Type::String => value.as_string().map(str::to_owned),
        Type::Char => value.as_char().map(String::from),
        other if is_plain_text(other) => {
            let mut json = Vec::new();
            write_scalar(other, names, value, &mut json).ok()?;
            let text = String::from_utf8(json).ok()?;
            // Names and large numbers need no escapes, so their JSON is their text in quotes.
            Some(text.trim_matches('"').to_owned())
        }
        _ => None,
    }
}

fn option_of(ty: &Type) -> Option<&Type> {
    match ty.resolved() {
        Type::Option(inner) => Some(inner),
        _ => None,
    }
}
