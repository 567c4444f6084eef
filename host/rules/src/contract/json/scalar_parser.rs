//! Reads scalars and names of enums from text. Each value but a float has exactly one text.

use super::integer::IntegerRange;
use super::names::Names;
use super::value::Value;
use crate::contract::wit::{Enum, Type};
use std::str::FromStr;

/// Reads a value of a scalar type or an enum from its text. `None` if the text is none of the type, or the type is
/// another one.
pub(super) fn parse_scalar<V: Value>(ty: &Type, names: Names, text: &str) -> Option<V> {
    let ty = ty.resolved();
    match ty {
        Type::Bool => match text {
            "true" => Some(V::bool(true)),
            "false" => Some(V::bool(false)),
            _ => None,
        },
        Type::F32 => special_float(text).or_else(|| number(text).and_then(|_| parse_finite(text))).map(V::f32),
        Type::F64 => special_float(text).or_else(|| number(text)).map(V::f64),
        Type::Char => single_char(text).map(V::char),
        Type::String => Some(V::string(text.to_owned())),
        Type::Enum(cases) => enum_case(cases, names, text).map(V::enumeration),
        other => {
            let range = IntegerRange::of(other)?;
            range.parse(text).map(|value| V::integer(range.kind, value))
        }
    }
}

/// The case of an enum that has this name in the style of `names`.
pub(super) fn enum_case(cases: &Enum, names: Names, text: &str) -> Option<String> {
    cases.cases.iter().find(|case| names.matches(&case.name, text)).map(|case| case.name.clone())
}

/// The character that is the whole text.
pub(super) fn single_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
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

/// The float that is nearest to a number, by the text of the number; `None` if that is an infinity. An `f32` that was
/// rounded to a double before can be the second nearest.
pub(super) fn parse_finite<F: FromStr + Into<f64> + Copy>(text: &str) -> Option<F> {
    text.parse::<F>().ok().filter(|&float| float.into().is_finite())
}

/// The nearest `f32`, unless that is an infinity.
pub(super) fn nearest_f32(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
    let single = value as f32;
    single.is_finite().then_some(single)
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<f64> {
    // The parser alone would accept white space around the number.
    let bare = text.bytes().all(|byte| !byte.is_ascii_whitespace());
    bare.then(|| serde_json::from_str(text).ok()).flatten()
}
