//! Binds a function to a route: by name to the path, to headers where the route says so, what is left to the query and the body.
//!
//! All that is wrong is told at once, each with the key of the route that is at fault. A name of the contract may be written in the
//! route as the contract has it (`user-id`), in snake_case, or as JSON has it: the braces of a path take no capitals.

use super::location::Named;
use super::{HttpBinding, Location, ParamSource, cases, default_status, error, success};
use crate::contract::json::{is_list_of_textual, is_textual, unmappable};
use crate::contract::place::described;
use crate::contract::{Case, Function, Names, Param, Type};
use http::{HeaderName, Method};
use std::collections::BTreeMap;

/// What a route says of the function that it names.
#[derive(Debug, Clone)]
pub struct HttpBindingSpec<'a> {
    /// Its methods; at least one.
    pub methods: &'a [Method],
    /// The names of the parameters in its path.
    pub path_params: Vec<&'a str>,
    /// Parameters that stand in a header, with the header's name.
    pub from_header: &'a BTreeMap<String, String>,
    /// The status of a success, where the usual one will not do.
    pub status: Option<u16>,
    /// The `Location` of a success: `/api/products/{id}`.
    pub location: Option<&'a str>,
    /// The statuses of cases of the error where the usual ones will not do.
    pub errors: &'a BTreeMap<String, u16>,
    /// The gateway's setting.
    pub names: Names,
}

/// The key of the route that is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpBindingKey {
    /// `call`: there is no such function, or it does not fit the methods, or has no HTTP face at all.
    Call,
    /// `path`
    Path,
    /// `from_header`
    FromHeader,
    /// `status`
    Status,
    /// `location`
    Location,
    /// `errors`
    Errors,
}

/// Why a function cannot be reached as its route says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HttpBindingError {
    /// The key at fault.
    pub key: HttpBindingKey,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl HttpBinding {
    /// Binds `function` as the route says.
    ///
    /// # Errors
    /// All that does not fit, in the order in which it was found.
    pub fn bind(function: &Function, spec: &HttpBindingSpec) -> Result<Self, Vec<HttpBindingError>> {
        let sources = vec![None; function.params.len()];
        let mut binding = Binding { function, spec, sources, faults: Vec::new() };
        binding.check_types();
        let has_body = binding.has_body();
        binding.bind_path();
        binding.bind_headers();
        binding.bind_rest(has_body);
        let location = spec.location.and_then(|template| binding.location(template));
        let status = binding.status(location.is_some());
        let errors = binding.errors();
        // Where no fault was found, every parameter has a source.
        match binding.sources.into_iter().collect::<Option<Vec<_>>>() {
            Some(sources) if binding.faults.is_empty() => {
                Ok(Self { function: function.clone(), names: spec.names, sources, status, location, errors })
            }
            _ => Err(binding.faults),
        }
    }
}

struct Binding<'a> {
    function: &'a Function,
    spec: &'a HttpBindingSpec<'a>,
    /// `None` for a parameter that has no place yet.
    sources: Vec<Option<ParamSource>>,
    faults: Vec<HttpBindingError>,
}

impl Binding<'_> {
    fn fault(&mut self, key: HttpBindingKey, message: String, help: impl Into<String>) {
        self.faults.push(HttpBindingError { key, message, help: help.into() });
    }

    /// Whether a name that the route has is this name of the contract.
    fn matches(&self, wit: &str, written: &str) -> bool {
        wit == written || Names::Snake.matches(wit, written) || self.spec.names.matches(wit, written)
    }

    fn position(&self, written: &str) -> Option<usize> {
        self.function.params.iter().position(|param| self.matches(&param.name, written))
    }

    fn check_types(&mut self) {
        let function = self.function;
        let params = function.params.iter().map(|param| (format!("parameter `{}`", param.name), Some(&param.ty)));
        let result = [("the result".to_owned(), function.result.as_ref())];
        for (place, ty) in params.chain(result) {
            let Some(what) = ty.and_then(unmappable) else { continue };
            let message = format!("{place} of `{}` holds {what}, which has no JSON", function.name);
            self.fault(
                HttpBindingKey::Call,
                message,
                "let the component handle this path itself: `service = …` instead of `call = …`",
            );
        }
    }

    /// Whether requests of the route have a body. Its methods must agree on it.
    fn has_body(&mut self) -> bool {
        let (with, without): (Vec<_>, Vec<_>) = self.spec.methods.iter().partition(|method| takes_body(method));
        match (with.first(), without.first()) {
            (Some(with), Some(without)) => {
                let message = format!(
                    "{with} has a body and {without} has none, so `{}` cannot be bound for both",
                    self.function.name
                );
                self.fault(
                    HttpBindingKey::Call,
                    message,
                    "write one route for the methods with a body, and one for those without",
                );
            }
            (None, None) => {
                let message = format!("the route does not say with which method `{}` is called", self.function.name);
                self.fault(HttpBindingKey::Call, message, "add `method = \"GET\"`, or another one");
            }
            _ => {}
        }
        !with.is_empty()
    }

    fn bind_path(&mut self) {
        for &name in &self.spec.path_params {
            let Some(at) = self.position(name) else {
                let message = format!("`{{{name}}}` is no parameter of `{}`", self.function.name);
                self.fault(
                    HttpBindingKey::Path,
                    message,
                    listed("its parameters", self.function.params.iter().map(|p| &p.name)),
                );
                continue;
            };
            let param = &self.function.params[at];
            if self.sources[at].replace(ParamSource::Path(name.to_owned())).is_some() {
                let message = format!("`{{{name}}}` stands for parameter `{}` a second time", param.name);
                self.fault(HttpBindingKey::Path, message, "leave one of the two out");
            }
            self.check_textual(HttpBindingKey::Path, param, "a segment of a path");
        }
    }

    fn bind_headers(&mut self) {
        for (name, header) in self.spec.from_header {
            let Some(at) = self.position(name) else {
                let message = format!("`{name}` is no parameter of `{}`", self.function.name);
                let params = self.function.params.iter().map(|param| &param.name);
                self.fault(HttpBindingKey::FromHeader, message, listed("its parameters", params));
                continue;
            };
            let Ok(header) = HeaderName::from_bytes(header.as_bytes()) else {
                let message = format!("`{header}` is no name of a header");
                self.fault(HttpBindingKey::FromHeader, message, "use letters, digits and `-`");
                // It has its place, though a wrong one: no second fault says that it has none.
                self.sources[at].get_or_insert(ParamSource::Body);
                continue;
            };
            let param = &self.function.params[at];
            if self.sources[at].replace(ParamSource::Header(header)).is_some() {
                let message = format!("parameter `{}` has a place already", param.name);
                self.fault(HttpBindingKey::FromHeader, message, "leave it out here, or in the path");
            }
            self.check_textual(HttpBindingKey::FromHeader, param, "a header");
        }
    }

    fn check_textual(&mut self, key: HttpBindingKey, param: &Param, place: &str) {
        if !is_textual(&param.ty) {
            let message =
                format!("parameter `{}` ({}) cannot stand in {place}", param.name, described(Some(&param.ty)));
            self.fault(key, message, "only numbers, truth values, characters, strings and enums can");
        }
    }

    /// What has no place yet stands in the query, or is the body.
    fn bind_rest(&mut self, has_body: bool) {
        let mut body: Option<&Param> = None;
        for (at, param) in self.function.params.iter().enumerate() {
            if self.sources[at].is_some() {
                continue;
            }
            if is_textual(&param.ty) || (!has_body && is_list_of_textual(&param.ty)) {
                self.sources[at] = Some(ParamSource::Query(self.spec.names.of(&param.name)));
                continue;
            }
            self.sources[at] = Some(ParamSource::Body);
            if unmappable(&param.ty).is_some() {
                // That has been told, and says more.
                continue;
            }
            if let Some(first) = body.filter(|_| has_body) {
                let message = format!("`{}` and `{}` would both be the body of the request", first.name, param.name);
                self.fault(HttpBindingKey::Call, message, "make them fields of one record");
            } else if let Some(method) = self.spec.methods.first().filter(|_| !has_body) {
                let ty = described(Some(&param.ty));
                let message = format!("a {method} has no body that parameter `{}` ({ty}) could be", param.name);
                self.fault(
                    HttpBindingKey::Call,
                    message,
                    "route it with POST, PUT or PATCH, or take its parts as parameters",
                );
            }
            body.get_or_insert(param);
        }
    }

    fn status(&mut self, has_location: bool) -> u16 {
        let answers = success(self.function).is_some();
        let usual = match (answers, has_location && self.spec.methods == [Method::POST]) {
            (false, _) => 204,
            (true, true) => 201,
            (true, false) => 200,
        };
        let status = self.spec.status.unwrap_or(usual);
        if !(200..=299).contains(&status) {
            let message = format!("{status} is no status of a success");
            self.fault(HttpBindingKey::Status, message, "use 200 to 299");
        } else if answers && matches!(status, 204 | 205) {
            let message =
                format!("an answer with status {status} has no body, and `{}` answers a value", self.function.name);
            self.fault(HttpBindingKey::Status, message, format!("leave it out: it is {usual} then"));
        }
        status
    }

    fn location(&mut self, template: &str) -> Option<Location> {
        let location = Location::parse(template, |name| self.named(name));
        location
            .map_err(|message| {
                let help =
                    "write a path such as `/things/{id}`, with fields of the answer's record or parameters in braces";
                self.fault(HttpBindingKey::Location, message, help);
            })
            .ok()
    }

    /// What a name in a location is: a field of the answer goes before a parameter.
    fn named(&self, name: &str) -> Result<Named, String> {
        let fields = match success(self.function).map(Type::resolved) {
            Some(Type::Record(record)) => record.fields.as_slice(),
            _ => &[],
        };
        let field = fields.iter().find(|field| self.matches(&field.name, name));
        let param = self.position(name).map(|at| &self.function.params[at]);
        let (named, ty) = match (field, param) {
            (Some(field), _) => (Named::Field(field.name.clone()), &field.ty),
            (None, Some(param)) => (Named::Parameter(param.name.clone()), &param.ty),
            (None, None) => {
                return Err(format!(
                    "`{{{name}}}` is no field of what `{}` answers, and no parameter",
                    self.function.name
                ));
            }
        };
        match ty.resolved() {
            Type::Option(_) => Err(format!("`{{{name}}}` is an option, and a location needs a value")),
            ty if !is_textual(ty) => Err(format!("`{{{name}}}` ({}) cannot stand in a location", described(Some(ty)))),
            _ => Ok(named),
        }
    }

    /// The status of every case.
    fn errors(&mut self) -> BTreeMap<String, u16> {
        let cases: &[Case] = cases(error(self.function));
        let mut statuses: BTreeMap<_, _> =
            cases.iter().map(|case| (case.name.clone(), default_status(&case.name))).collect();
        for (name, &status) in self.spec.errors {
            if !(400..=599).contains(&status) {
                self.fault(HttpBindingKey::Errors, format!("{status} is no status of an error"), "use 400 to 599");
            }
            let Some(case) = cases.iter().find(|case| self.matches(&case.name, name)) else {
                let message = format!("`{name}` is no case of the error of `{}`", self.function.name);
                self.fault(HttpBindingKey::Errors, message, listed("its cases", cases.iter().map(|case| &case.name)));
                continue;
            };
            statuses.insert(case.name.clone(), status);
        }
        statuses
    }
}

fn takes_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn listed<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { format!("{what}: none") } else { format!("{what}: {}", names.join(", ")) }
}
