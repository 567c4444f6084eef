//! The HTTP face of a function: where each of its parameters stands in a request, and what its answers are as statuses.
//!
//! A [`HttpBinding`] is bound once, when the manifest is checked against the contract; `bind` has the rules. Serving a request decides nothing
//! any more: it reads [`HttpBinding::sources`] in order, and looks up a status.

mod bind;
mod location;
#[cfg(test)]
mod tests;

pub use bind::{HttpBindingError, HttpBindingKey, HttpBindingSpec};
pub use location::Location;

use super::{Case, Function, Names, Param, Type, UNAVAILABLE};
use std::collections::BTreeMap;

/// How a function is reached over HTTP.
#[derive(Debug, Clone)]
pub struct HttpBinding {
    /// The function.
    pub function: Function,
    /// How its names are written in JSON and in queries.
    pub names: Names,
    /// Where its parameters stand, one for each and in their order. At most one is the [`ParamSource::Body`].
    pub sources: Vec<ParamSource>,
    /// The status of a success.
    pub status: u16,
    /// The `Location` of a success.
    pub location: Option<Location>,
    /// The status of each case of its error by the case's name in kebab-case. Empty where the error has no cases.
    pub errors: BTreeMap<String, u16>,
}

/// Where a parameter stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamSource {
    /// In the path: the name of the parameter in the path's pattern, `id` for `{id}`. Its type is textual.
    Path(String),
    /// In the query, by its JSON name. Its type is textual, or a list of what is textual: one item each time that the name occurs.
    Query(String),
    /// In a header. Its type is textual.
    Header(http::HeaderName),
    /// It is the whole body, as JSON.
    Body,
}

/// The status of an error whose case has this name, where the route does not say otherwise.
pub fn default_status(case: &str) -> u16 {
    match case {
        "unauthorized" => 401,
        "forbidden" => 403,
        "not-found" => 404,
        "conflict" => 409,
        "invalid" => 422,
        UNAVAILABLE => 503,
        _ => 500,
    }
}

impl HttpBinding {
    /// The type of the answer's value; `None` where the function answers nothing.
    pub fn success(&self) -> Option<&Type> {
        success(&self.function)
    }

    /// The type of its errors; `None` where it has none or they say nothing.
    pub fn error(&self) -> Option<&Type> {
        error(&self.function)
    }

    /// The status of an error: by the name of its case, in kebab-case. 500 for any other.
    pub fn status_of(&self, case: &str) -> u16 {
        self.errors.get(case).copied().unwrap_or(500)
    }

    /// The parameters with their sources, in order.
    pub fn params(&self) -> impl Iterator<Item = (&Param, &ParamSource)> {
        self.function.params.iter().zip(&self.sources)
    }

    /// The parameter that is the body.
    pub fn body(&self) -> Option<&Param> {
        self.params().find(|(_, source)| **source == ParamSource::Body).map(|(param, _)| param)
    }

    /// The JSON names of the parameters that stand in the query: any other name there is a fault.
    pub fn query_names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            ParamSource::Query(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

fn success(function: &Function) -> Option<&Type> {
    let result = function.result.as_ref()?;
    match result.resolved() {
        Type::Result { ok, .. } => ok.as_deref(),
        _ => Some(result),
    }
}

fn error(function: &Function) -> Option<&Type> {
    match function.result.as_ref()?.resolved() {
        Type::Result { err, .. } => err.as_deref(),
        _ => None,
    }
}

/// The cases of an error; an error of any other type has none.
pub(super) fn cases(error: Option<&Type>) -> &[Case] {
    match error.map(Type::resolved) {
        Some(Type::Variant(variant)) => &variant.cases,
        Some(Type::Enum(names)) => &names.cases,
        _ => &[],
    }
}
