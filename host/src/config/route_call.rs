//! The keys of a `[[route]]` that names a function: a typed route.

use super::matching::Matching;
use super::reader::finding::ValueOrigin;
use super::reader::function::{Callee, CalleeKind};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::key_spans::KeySpans;
use super::reader::kind::{CountKind, KindError, TableKind, TextKind, ValueKind, refused};
use super::reader::report::Report;
use super::reader::section::Section;
use super::service::Services;
use crate::contract::HttpBindingKey;
use http::{HeaderName, Method};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// The function that a route calls, as the manifest has it. A later step compares it with the component's contract:
/// whether the service has this function, and whether the other keys fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCall {
    /// `function` or `interface#function`, in kebab-case, of the route's service.
    pub function: String,
    /// GET, POST, PUT, PATCH or DELETE. If it is GET, the route's rule has HEAD as well.
    pub method: Method,
    /// The parameters that stand in headers: the parameter's name, then the header's name.
    pub from_header: BTreeMap<String, String>,
    /// The status of a success, 200 to 299. `None`: the usual one.
    pub status: Option<u16>,
    /// The path of the created resource, as the manifest has it: with names of fields or parameters in braces.
    pub location: Option<String>,
    /// The name of a case of the function's error, and the status with which it is answered: 400 to 599.
    pub errors: BTreeMap<String, u16>,
}

pub(super) static CALL: ManifestKey<CalleeKind> = ManifestKey::without_default(
    "call",
    CalleeKind,
    "The function that answers, see below. It is named with its interface if several interfaces have a function of \
     that name; in full, `shop:products/products@2.0.0#get`, if the component exports several versions of the \
     interface.",
);
static FROM_HEADER: ManifestKey<TableKind<HeaderNameKind>> = ManifestKey::without_default(
    "from_header",
    TableKind(HeaderNameKind),
    "Parameters of the function that stand in headers: `{ key = \"Idempotency-Key\" }`. Only with `call`.",
);
static STATUS: ManifestKey<CountKind<u16>> = ManifestKey::without_default(
    "status",
    CountKind { min: 200, max: 299 },
    "The status of a success. Absent: see below. Only with `call`.",
);
static LOCATION: ManifestKey<TextKind> = ManifestKey::without_default(
    "location",
    TextKind { min: 1 },
    "The `Location` of a created resource: `\"/api/products/{id}\"`, where `{id}` is a field of the result or a \
     parameter. Only with `call`.",
);
static ERRORS: ManifestKey<TableKind<CountKind<u16>>> = ManifestKey::without_default(
    "errors",
    TableKind(CountKind { min: 400, max: 599 }),
    "The statuses of cases of the function's error: `{ sold-out = 409 }`. Only with `call`.",
);

/// The name of a header.
pub(super) struct HeaderNameKind;

impl ValueKind for HeaderNameKind {
    type Value = String;

    fn accepts(&self) -> String {
        "the name of a header".into()
    }

    fn help(&self) -> String {
        "write it in quotes, of letters, digits and `-`: \"Idempotency-Key\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let name = value.get_ref().as_str().filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
        name.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// The values of the keys of a typed route, as the manifest has them.
pub(super) struct CallKeys {
    pub(super) call: Option<Sourced<Callee>>,
    from_header: Option<Sourced<BTreeMap<String, String>>>,
    status: Option<Sourced<u16>>,
    location: Option<Sourced<String>>,
    errors: Option<Sourced<BTreeMap<String, u16>>>,
}

impl CallKeys {
    /// Reads the keys. If the section has no `call`, each other key of a typed route is reported as an error.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keys = Self {
            call: section.find(&CALL),
            from_header: section.find(&FROM_HEADER),
            status: section.find(&STATUS),
            location: section.find(&LOCATION),
            errors: section.find(&ERRORS),
        };
        if section.lacks(CALL.name) {
            let report = section.report;
            refuse_key(FROM_HEADER.name, keys.from_header.as_ref(), WITHOUT_CALL, report);
            refuse_key(STATUS.name, keys.status.as_ref(), WITHOUT_CALL, report);
            refuse_key(LOCATION.name, keys.location.as_ref(), WITHOUT_CALL, report);
            refuse_key(ERRORS.name, keys.errors.as_ref(), WITHOUT_CALL, report);
        }
        keys
    }

    /// Where in the manifest these keys and the path stand, for errors that are found later.
    pub(super) fn spans(&self, section: &Section<'_>, path: Option<&Sourced<String>>) -> KeySpans<HttpBindingKey> {
        let call = self.call.as_ref().and_then(Sourced::span);
        let mut spans = KeySpans::new(call.unwrap_or_else(|| section.span.clone()));
        spans.note(HttpBindingKey::Path, path);
        spans.note(HttpBindingKey::FromHeader, self.from_header.as_ref());
        spans.note(HttpBindingKey::Status, self.status.as_ref());
        spans.note(HttpBindingKey::Location, self.location.as_ref());
        spans.note(HttpBindingKey::Errors, self.errors.as_ref());
        spans
    }

    /// The function that the route calls, after a check of all keys together. `matching` has the route's other keys;
    /// if its method is GET, HEAD is added to it.
    ///
    /// `None` in two cases: the section has no valid `call`, or its method is missing or wrong, which is reported.
    pub(super) fn finish(
        self,
        section: &Section<'_>,
        matching: &mut Matching,
        services: &Services,
    ) -> Option<RouteCall> {
        let report = section.report;
        let call = self.call?;
        refuse_service_without_functions(&call, services, report);
        if let (Some(prefix), None) = (&matching.prefix, &matching.path) {
            let help = "write path = \"/…\", with parameters of the function in braces";
            report.push(prefix.origin.clone(), "a route with `call` has a `path`, and no `prefix`", help);
        }
        refuse_key("strip_prefix", matching.strip_prefix.as_ref(), WITH_CALL, report);
        refuse_key("rewrite", matching.rewrite.as_ref(), WITH_CALL, report);
        let method = method(section, matching, &call.origin);
        Some(RouteCall {
            function: call.value.function,
            method: method?,
            from_header: self.from_header.map(|found| found.value).unwrap_or_default(),
            status: self.status.map(|found| found.value),
            location: self.location.map(|found| found.value),
            errors: self.errors.map(|found| found.value).unwrap_or_default(),
        })
    }
}

/// Why a key is refused, and how to correct it. The reason follows the key's name.
type Reason = (&'static str, &'static str);

const WITHOUT_CALL: Reason = (
    "is only for a route with `call`",
    "leave it out, or name a function: call = \"service/function\" in place of `service`",
);
const WITH_CALL: Reason = ("does not go with `call`", "leave it out: a function gets parameters, not a path");

fn refuse_key<T>(name: &str, found: Option<&Sourced<T>>, (reason, help): Reason, report: &Report) {
    if let Some(found) = found {
        report.push_if_whole(found.origin.clone(), format!("`{name}` {reason}"), help);
    }
}

/// Reports a call of a service that has only addresses. Such a service has no functions: functions are in components.
fn refuse_service_without_functions(call: &Sourced<Callee>, services: &Services, report: &Report) {
    let name = &call.value.service;
    if services.only_addresses.iter().any(|service| service.as_str() == name) {
        let message = format!("service `{name}` has no component, and so no function to call");
        let help = format!("give it a `component`, or write service = \"{name}\" in place of `call`");
        report.push_if_whole(call.origin.clone(), message, help);
    }
}

/// The one method of a typed route; `None` if it is missing or wrong, which is reported. Sets the methods of `matching`
/// to this one, and to HEAD as well if it is GET.
fn method(section: &Section<'_>, matching: &mut Matching, call: &ValueOrigin) -> Option<Method> {
    let report = section.report;
    let Some(found) = matching.methods.take() else {
        // Without its method, the route would seem to match the same requests as its neighbours.
        matching.right = false;
        if section.lacks("method") {
            let help = "add method = \"GET\", \"POST\", \"PUT\", \"PATCH\" or \"DELETE\"";
            report.push_if_whole(call.clone(), "a route with `call` needs a `method`", help);
        }
        return None;
    };
    let names: Vec<&str> = found.value.iter().map(String::as_str).collect();
    let method = match names[..] {
        ["GET"] | ["GET", "HEAD"] | ["HEAD", "GET"] => Method::GET,
        ["POST"] => Method::POST,
        ["PUT"] => Method::PUT,
        ["PATCH"] => Method::PATCH,
        ["DELETE"] => Method::DELETE,
        _ => {
            let message = "a route with `call` is for one of the methods GET, POST, PUT, PATCH and DELETE";
            let help = "write one of them; HEAD comes with GET, and another method is another route";
            report.push(found.origin, message, help);
            matching.right = false;
            return None;
        }
    };
    let methods: &[&Method] = if method == Method::GET { &[&Method::GET, &Method::HEAD] } else { &[&method] };
    let value = methods.iter().map(ToString::to_string).collect();
    matching.methods = Some(Sourced { value, origin: found.origin });
    Some(method)
}
