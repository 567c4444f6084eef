//! Binds a function to a route. Parameters are bound by name: first to the path, then to the headers that the route
//! names, the rest to the query and the body.
//!
//! All errors are reported together, each with the key of the route that is wrong. The route may write a name of the
//! contract as the contract does (`user-id`), in snake_case, or in the style of the JSON names. (The braces of a path
//! allow no capitals, so camelCase names need one of the other two there.)

use super::binding::{HttpBinding, default_status, error_cases, success};
use super::location::{Location, LocationName};
use super::param_source::ParamSource;
use crate::contract::json::{Names, is_list_of_textual, is_textual, unmappable};
use crate::contract::wit::{Case, Function, Param, Type, described};
use http::{HeaderName, Method, StatusCode};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What a route says about the function that it names.
#[derive(Debug, Clone)]
pub struct HttpBindingSpec {
    /// The methods of the route; at least one.
    pub methods: Vec<Method>,
    /// The names of the parameters in the path of the route.
    pub path_params: Vec<String>,
    /// The parameters that come from a header, each with the name of its header.
    pub from_header: BTreeMap<String, String>,
    /// The status of a success, if it is not the default one.
    pub status: Option<u16>,
    /// The `Location` of a success: `/api/products/{id}`.
    pub location: Option<String>,
    /// The statuses of cases of the error that do not have the default one.
    pub errors: BTreeMap<String, u16>,
    /// The style of names in JSON and in queries: the gateway's setting.
    pub names: Names,
}

/// The key of the route that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpBindingKey {
    /// `call`: there is no such function, it does not fit the methods, or a value of it has no JSON.
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
    /// The key that is wrong.
    pub key: HttpBindingKey,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl HttpBinding {
    /// Binds `function` as the route says.
    ///
    /// # Errors
    /// Everything that does not fit, in the order in which it was found.
    pub fn bind(function: &Function, spec: &HttpBindingSpec) -> Result<Self, Vec<HttpBindingError>> {
        let sources = vec![None; function.params.len()];
        let mut binder = Binder { function, spec, sources, errors: Vec::new() };
        binder.check_types();
        let has_body = binder.has_body();
        binder.bind_path();
        binder.bind_headers();
        binder.bind_rest(has_body);
        let location = spec.location.as_deref().and_then(|template| binder.location(template));
        let status = binder.status(location.is_some());
        let statuses = binder.error_statuses();
        // If no error was found, every parameter has a source.
        match binder.sources.into_iter().collect::<Option<Vec<_>>>() {
            Some(sources) if binder.errors.is_empty() => {
                Ok(Self { function: function.clone(), names: spec.names, sources, status, location, errors: statuses })
            }
            _ => Err(binder.errors),
        }
    }
}

struct Binder<'a> {
    function: &'a Function,
    spec: &'a HttpBindingSpec,
    /// `None` for a parameter that has no source yet.
    sources: Vec<Option<ParamSource>>,
    errors: Vec<HttpBindingError>,
}

impl Binder<'_> {
    fn error(&mut self, key: HttpBindingKey, message: String, help: impl Into<String>) {
        self.errors.push(HttpBindingError { key, message, help: help.into() });
    }

    /// Whether the route's `written` is the name `wit` of the contract.
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
        for (part, ty) in params.chain(result) {
            let Some(what) = ty.and_then(unmappable) else { continue };
            let message = format!("{part} of `{}` holds {what}, which has no JSON", function.name);
            self.error(
                HttpBindingKey::Call,
                message,
                "let the component handle this path itself: `service = …` instead of `call = …`",
            );
        }
    }

    /// Whether requests of the route have a body. All methods of the route must agree on that.
    fn has_body(&mut self) -> bool {
        let (with, without): (Vec<_>, Vec<_>) = self.spec.methods.iter().partition(|method| takes_body(method));
        match (with.first(), without.first()) {
            (Some(with), Some(without)) => {
                let message = format!(
                    "{with} has a body and {without} has none, so `{}` cannot be bound for both",
                    self.function.name
                );
                self.error(
                    HttpBindingKey::Call,
                    message,
                    "write one route for the methods with a body, and one for those without",
                );
            }
            (None, None) => {
                let message = format!("the route names no method for `{}`", self.function.name);
                self.error(HttpBindingKey::Call, message, "add `method = \"GET\"`, or another method");
            }
            _ => {}
        }
        !with.is_empty()
    }

    fn bind_path(&mut self) {
        let spec = self.spec;
        for name in &spec.path_params {
            let Some(at) = self.position(name) else {
                let message = format!("`{{{name}}}` is not a parameter of `{}`", self.function.name);
                self.error(
                    HttpBindingKey::Path,
                    message,
                    listed("its parameters", self.function.params.iter().map(|p| &p.name)),
                );
                continue;
            };
            let param = &self.function.params[at];
            if self.sources[at].replace(ParamSource::Path(name.clone())).is_some() {
                let message = format!("`{{{name}}}` names parameter `{}` a second time", param.name);
                self.error(HttpBindingKey::Path, message, "remove one of the two");
            }
            self.check_textual(HttpBindingKey::Path, param, "a segment of a path");
        }
    }

    fn bind_headers(&mut self) {
        let spec = self.spec;
        for (name, header) in &spec.from_header {
            let Some(at) = self.position(name) else {
                let message = format!("`{name}` is not a parameter of `{}`", self.function.name);
                let params = self.function.params.iter().map(|param| &param.name);
                self.error(HttpBindingKey::FromHeader, message, listed("its parameters", params));
                continue;
            };
            let Ok(header) = HeaderName::from_bytes(header.as_bytes()) else {
                let message = format!("`{header}` is not a header name");
                self.error(HttpBindingKey::FromHeader, message, "use letters, digits and `-`");
                // The parameter gets a source all the same, so that no second error says that it has none.
                self.sources[at].get_or_insert(ParamSource::Body);
                continue;
            };
            let param = &self.function.params[at];
            if self.sources[at].replace(ParamSource::Header(header)).is_some() {
                let message = format!("parameter `{}` is bound already, to the path or to another header", param.name);
                self.error(HttpBindingKey::FromHeader, message, "remove one of the two");
            }
            self.check_textual(HttpBindingKey::FromHeader, param, "a header");
        }
    }

    fn check_textual(&mut self, key: HttpBindingKey, param: &Param, part: &str) {
        if !is_textual(&param.ty) {
            let message = format!("parameter `{}` ({}) cannot stand in {part}", param.name, described(Some(&param.ty)));
            self.error(key, message, "only `bool`, numbers, `char`, `string` and enums can");
        }
    }

    /// Binds the parameters that have no source yet: to the query, or to the body.
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
                // `check_types` has reported it, with the reason.
                continue;
            }
            if let Some(first) = body.filter(|_| has_body) {
                let message = format!("`{}` and `{}` would both be the body of the request", first.name, param.name);
                self.error(HttpBindingKey::Call, message, "make them fields of one record");
            } else if let Some(method) = self.spec.methods.first().filter(|_| !has_body) {
                let ty = described(Some(&param.ty));
                let message = format!("parameter `{}` ({ty}) needs a body, and {method} has none", param.name);
                self.error(
                    HttpBindingKey::Call,
                    message,
                    "use POST, PUT or PATCH, or make its parts parameters of their own",
                );
            }
            body.get_or_insert(param);
        }
    }

    fn status(&mut self, has_location: bool) -> StatusCode {
        let answers = success(self.function).is_some();
        let default = match (answers, has_location && self.spec.methods == [Method::POST]) {
            (false, _) => StatusCode::NO_CONTENT,
            (true, true) => StatusCode::CREATED,
            (true, false) => StatusCode::OK,
        };
        let Some(number) = self.spec.status else { return default };
        let Some(status) = status_in(200..=299, number) else {
            let message = format!("{number} is not a status of a success");
            self.error(HttpBindingKey::Status, message, "use 200 to 299");
            return default;
        };
        if answers && matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            let message =
                format!("an answer with status {number} has no body, but `{}` answers a value", self.function.name);
            let help = format!("remove it: the status is {} then", default.as_u16());
            self.error(HttpBindingKey::Status, message, help);
        }
        status
    }

    fn location(&mut self, template: &str) -> Option<Location> {
        let location = Location::parse(template, |name| self.location_name(name));
        location
            .map_err(|message| {
                let help =
                    "write a path such as `/things/{id}`: in braces are fields of the answer's record, or parameters";
                self.error(HttpBindingKey::Location, message, help);
            })
            .ok()
    }

    /// Looks up a name of a location: first among the fields of the answer, then among the parameters.
    fn location_name(&self, name: &str) -> Result<LocationName, String> {
        let fields = match success(self.function).map(Type::resolved) {
            Some(Type::Record(record)) => record.fields.as_slice(),
            _ => &[],
        };
        let field = fields.iter().find(|field| self.matches(&field.name, name));
        let param = self.position(name).map(|at| &self.function.params[at]);
        let (named, ty) = match (field, param) {
            (Some(field), _) => (LocationName::Field(field.name.clone()), &field.ty),
            (None, Some(param)) => (LocationName::Parameter(param.name.clone()), &param.ty),
            (None, None) => {
                return Err(format!(
                    "`{{{name}}}` is neither a field of what `{}` answers nor a parameter",
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

    /// The status of every case of the error.
    fn error_statuses(&mut self) -> BTreeMap<String, StatusCode> {
        let cases: &[Case] = error_cases(self.function);
        let mut statuses: BTreeMap<_, _> =
            cases.iter().map(|case| (case.name.clone(), default_status(&case.name))).collect();
        let spec = self.spec;
        for (name, &number) in &spec.errors {
            let status = status_in(400..=599, number);
            if status.is_none() {
                self.error(HttpBindingKey::Errors, format!("{number} is not a status of an error"), "use 400 to 599");
            }
            let Some(case) = cases.iter().find(|case| self.matches(&case.name, name)) else {
                let message = format!("`{name}` is not a case of the error of `{}`", self.function.name);
                self.error(HttpBindingKey::Errors, message, listed("its cases", cases.iter().map(|case| &case.name)));
                continue;
            };
            if let Some(status) = status {
                statuses.insert(case.name.clone(), status);
            }
        }
        statuses
    }
}

/// The status with this number, if the number is in `range`.
fn status_in(range: RangeInclusive<u16>, number: u16) -> Option<StatusCode> {
    StatusCode::from_u16(number).ok().filter(|_| range.contains(&number))
}

fn takes_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn listed<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { format!("{what}: none") } else { format!("{what}: {}", names.join(", ")) }
}
