//! Writes scalars and names as JSON.

use super::integer::{IntegerRange, is_safe};
use super::names::Names;
use super::scalar_parser::nearest_f32;
use super::value::Value;
use crate::contract::wit::{Case, Type};
use serde::Serialize;

/// A value that is not of the type that it was written as: the service that made it broke its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a {0}, as its type says")]
pub struct Misfit(pub(super) &'static str);

/// Writes a value of a scalar type or an enum.
///
/// # Errors
/// The value is not of the type, or the type is another one. `out` may then hold a part of the text.
pub(super) fn write_scalar<V: Value>(ty: &Type, names: Names, value: &V, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match ty.resolved() {
        Type::Bool => plain(value.as_bool().ok_or(Misfit("bool"))?, out),
        Type::F32 => write_f32(value.as_f32().ok_or(Misfit("f32"))?, out),
        Type::F64 => write_f64(value.as_f64().ok_or(Misfit("f64"))?, out),
        Type::Char => plain(value.as_char().ok_or(Misfit("char"))?, out),
        Type::String => plain(value.as_string().ok_or(Misfit("string"))?, out),
        Type::Enum(cases) => {
            let name = value.as_enumeration().filter(|name| case_named(&cases.cases, name).is_some());
            write_name(names, name.ok_or(Misfit("enum"))?, out);
        }
        other => {
            let range = IntegerRange::of(other).ok_or(Misfit("type that has one text"))?;
            let number = value.as_integer().filter(|&number| range.holds(number));
            write_integer(number.ok_or(Misfit("whole number of its kind"))?, out);
        }
    }
    Ok(())
}

/// Writes a name of the contract as a string, in the style of `names`. Such a name needs no escapes.
pub(super) fn write_name(names: Names, name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for letter in names.letters(name) {
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.push(b'"');
}

/// Writes what serde_json writes in the form that is wanted here.
pub(super) fn plain(value: impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("a vector takes all bytes, and these values have JSON");
}

/// The case with this name, in kebab-case.
pub(super) fn case_named<'c>(cases: &'c [Case], name: &str) -> Option<&'c Case> {
    cases.iter().find(|case| case.name == name)
}

fn write_integer(value: i128, out: &mut Vec<u8>) {
    if is_safe(value) { plain(value, out) } else { plain(value.to_string(), out) }
}

fn write_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        plain("NaN", out);
    } else if value.is_infinite() {
        plain(if value > 0.0 { "Infinity" } else { "-Infinity" }, out);
    } else {
        plain(value, out);
    }
}

/// Writes the shortest number that has this value. A few such numbers (7.038531e-26) lead a reader that keeps doubles
/// to the neighbouring `f32`; these are written with all the digits of the double.
fn write_f32(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return write_f64(value.into(), out);
    }
    let start = out.len();
    plain(value, out);
    let read: Option<f64> = serde_json::from_slice(&out[start..]).ok();
    if read.and_then(nearest_f32) != Some(value) {
        out.truncate(start);
        write_f64(value.into(), out);
    }
}
