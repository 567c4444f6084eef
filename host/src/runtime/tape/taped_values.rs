//! The values of functions, as a recording has them: JSON by their types.

use crate::contract::{Function, Names, Type, json};
use crate::recording::Blob;
use wasmtime::component::Val;

/// The names as the contract has them.
const NAMES: Names = Names::Kebab;

/// A value as JSON; `None` if it has no form in JSON: a stream, or a number that is none.
pub(crate) fn recorded_value(ty: &Type, value: &Val) -> Option<Blob> {
    if ty.has_streams() {
        return None;
    }
    let mut text = Vec::new();
    json::write(ty, NAMES, value, &mut text).ok()?;
    Some(text.into())
}

/// The arguments of a call.
pub(crate) fn recorded_arguments(function: &Function, values: &[Val]) -> Option<Vec<Blob>> {
    let params = function.params.iter().zip(values);
    params.map(|(param, value)| recorded_value(&param.ty, value)).collect()
}

/// The result of a call; the inner `None`: the function has none.
pub(crate) fn recorded_result(function: &Function, values: &[Val]) -> Option<Option<Blob>> {
    match (&function.result, values.first()) {
        (None, _) => Some(None),
        (Some(ty), Some(value)) => recorded_value(ty, value).map(Some),
        (Some(_), None) => None,
    }
}

/// The value of this type that a recording has.
pub(crate) fn played_value(ty: &Type, text: &Blob) -> Option<Val> {
    if ty.has_streams() {
        return None;
    }
    json::read(ty, NAMES, text.bytes()).ok()
}

/// The arguments of a function that a recording has; `None` if they are not of its types.
pub(crate) fn played_arguments(function: &Function, texts: &[Blob]) -> Option<Vec<Val>> {
    if function.params.len() != texts.len() {
        return None;
    }
    function.params.iter().zip(texts).map(|(param, text)| played_value(&param.ty, text)).collect()
}
