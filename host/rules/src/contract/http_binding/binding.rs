//! A function's binding to HTTP: what serving a request looks up.

use super::location::Location;
use super::param_source::ParamSource;
use crate::contract::json::Names;
use crate::contract::wit::{Case, Function, Param, Type, UNAVAILABLE};
use http::StatusCode;
use std::collections::BTreeMap;

/// How a function is reached over HTTP. [`HttpBinding::bind`] makes it.
#[derive(Debug, Clone)]
pub struct HttpBinding {
    /// The function.
    pub function: Function,
    /// How its names are written in JSON and in queries.
    pub names: Names,
    /// The sources of its parameters: one for each, in their order. At most one is [`ParamSource::Body`].
    pub sources: Vec<ParamSource>,
    /// The status of a success: 2xx.
    pub status: StatusCode,
    /// The `Location` of a success.
    pub location: Option<Location>,
    /// The status of each case of its error (4xx or 5xx), by the case's name in kebab-case. Empty if the error has no
    /// cases.
    pub errors: BTreeMap<String, StatusCode>,
}

impl HttpBinding {
    /// The type of the answer's value; `None` if the function answers nothing.
    pub fn success(&self) -> Option<&Type> {
        success(&self.function)
    }

    /// The type of its error; `None` if the function has no error, or one without a type.
    pub fn error(&self) -> Option<&Type> {
        error(&self.function)
    }

    /// The cases of its error. An error that is neither a variant nor an enum has none.
    pub fn error_cases(&self) -> &[Case] {
        error_cases(&self.function)
    }

    /// The status of an error, by the name of its case in kebab-case; 500 for any other name.
    pub fn status_of(&self, case: &str) -> StatusCode {
        self.errors.get(case).copied().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The parameters with their sources, in order.
    pub fn params(&self) -> impl Iterator<Item = (&Param, &ParamSource)> {
        self.function.params.iter().zip(&self.sources)
    }

    /// The parameter that is the body.
    pub fn body(&self) -> Option<&Param> {
        self.params().find(|(_, source)| **source == ParamSource::Body).map(|(param, _)| param)
    }

    /// Whether a request may leave its body out: the parameter is then an option without a value.
    pub fn body_may_be_absent(&self) -> bool {
        self.body().is_some_and(|param| matches!(param.ty.resolved(), Type::Option(_)))
    }

    /// The JSON names of the parameters in the query. A request with any other name there is refused.
    pub fn query_names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            ParamSource::Query(name) => Some(name.as_str()),
            ParamSource::Path(_) | ParamSource::Header(_) | ParamSource::Body => None,
        })
    }
}

/// The status of an error whose case has this name, unless the route sets another one.
pub(super) fn default_status(case: &str) -> StatusCode {
    match case {
        "unauthorized" => StatusCode::UNAUTHORIZED,
        "forbidden" => StatusCode::FORBIDDEN,
        "not-found" => StatusCode::NOT_FOUND,
        "conflict" => StatusCode::CONFLICT,
        "invalid" => StatusCode::UNPROCESSABLE_ENTITY,
        UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(super) fn success(function: &Function) -> Option<&Type> {
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

pub(super) fn error_cases(function: &Function) -> &[Case] {
    match error(function).map(Type::resolved) {
        Some(Type::Variant(variant)) => &variant.cases,
        Some(Type::Enum(names)) => &names.cases,
        _ => &[],
    }
}
