//! Values that are one short text: in a path, a query, a header, and as the name of a member of a map.

use super::read::{single, single_char};
use super::shape::{Whole, is_plain_text};
use super::words::{Actual, Expected};
use super::write::write;
use crate::contract::{Enum, Names, Type, Value};

/// Reads a text as a value of a [textual](super::is_textual) type. Each value but a float has one text: whole numbers have no plus and no leading zeros,
/// truth is `true` or `false`. An option is told by its value.
///
/// # Errors
/// The text is not of the type: the rest of a sentence about it, as in a [`Violation`](super::Fault).
pub fn read_text<V: Value>(ty: &Type, names: Names, text: &str) -> Result<V, String> {
    let expected = Expected { ty: option_of(ty).unwrap_or(ty), names, or_null: false };
    match option_of(ty) {
        Some(inner) => from_text(inner, names, text).map(|value| V::option(Some(value))),
        None => from_text(ty, names, text),
    }
    .ok_or_else(|| format!("must be {expected}, not {}", Actual::Text(text)))
}

/// Reads the texts of a parameter that is repeated as a value of a [list of textual values](super::is_list_of_textual).
///
/// # Errors
/// A text is not of the item's type: as in [`read_text`], for the first such.
pub fn read_texts<V: Value>(ty: &Type, names: Names, texts: &[impl AsRef<str>]) -> Result<V, String> {
    let Type::List(item) = ty.resolved() else {
        return Err("must be given in another way, for it is no list".into());
    };
    texts.iter().map(|text| read_text(item, names, text.as_ref())).collect::<Result<_, _>>().map(V::list)
}

/// The text of a value of a textual type. `None` if it is an option of nothing, or not of the type.
pub fn write_text<V: Value>(ty: &Type, names: Names, value: &V) -> Option<String> {
    match option_of(ty) {
        Some(inner) => to_text(inner, names, value.as_option()??),
        None => to_text(ty, names, value),
    }
}

fn option_of(ty: &Type) -> Option<&Type> {
    match ty.resolved() {
        Type::Option(inner) => Some(inner),
        _ => None,
    }
}

/// Reads the one text that a value has.
pub(super) fn from_text<V: Value>(ty: &Type, names: Names, text: &str) -> Option<V> {
    let ty = ty.resolved();
    match ty {
        Type::Bool => match text {
            "true" => Some(V::bool(true)),
            "false" => Some(V::bool(false)),
            _ => None,
        },
        Type::F32 => special_float(text).or_else(|| single(number(text)?)).map(V::f32),
        Type::F64 => special_float(text).or_else(|| number(text)).map(V::f64),
        Type::Char => single_char(text).map(V::char),
        Type::String => Some(V::string(text.to_owned())),
        Type::Enum(cases) => enumerated(cases, names, text).map(V::enumeration),
        other => Whole::of(other).and_then(|whole| whole.parse(text).map(|value| V::integer(whole.kind, value))),
    }
}

/// Writes the one text that a value has.
pub(super) fn to_text<V: Value>(ty: &Type, names: Names, value: &V) -> Option<String> {
    match ty.resolved() {
        Type::String => value.as_string().map(str::to_owned),
        Type::Char => value.as_char().map(String::from),
        other if is_plain_text(other) => {
            let mut json = Vec::new();
            write(other, names, value, &mut json).ok()?;
            let text = String::from_utf8(json).ok()?;
            // Names and big numbers need no escapes, so their JSON is their text in quotes.
            Some(text.trim_matches('"').to_owned())
        }
        _ => None,
    }
}

/// The case of an enum that has this name.
pub(super) fn enumerated(cases: &Enum, names: Names, text: &str) -> Option<String> {
    cases.cases.iter().find(|case| names.matches(&case.name, text)).map(|case| case.name.clone())
}

/// A float that JSON has no number for.
pub(super) fn special_float<F: From<f32>>(text: &str) -> Option<F> {
    let value = match text {
        "NaN" => f32::NAN,
        "Infinity" => f32::INFINITY,
        "-Infinity" => f32::NEG_INFINITY,
        _ => return None,
    };
    Some(value.into())
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<f64> {
    // The parser would let white space stand around it.
    let bare = text.bytes().all(|byte| !byte.is_ascii_whitespace());
    bare.then(|| serde_json::from_str(text).ok()).flatten()
}
