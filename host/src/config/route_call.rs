//! The keys of a `[[route]]` that names a function: a typed route.

use crate::config::finding::ValueOrigin;
use crate::config::function::{Call, Callee};
use crate::config::kind::{Count, KindError, Table, Text, ValueKind, refused};
use crate::config::place::Places;
use crate::config::route::Matching;
use crate::config::section::{ManifestKey, Report, Section, Sourced};
use crate::config::service::Services;
use crate::contract::HttpBindingKey;
use http::{HeaderName, Method};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// What the manifest says about the function that a route calls. Whether the service has it, and whether the rest fits to it, is checked
/// against the component's contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCall {
    /// `function` or `interface#function`, in kebab-case, of the route's service.
    pub function: String,
    /// GET, POST, PUT, PATCH or DELETE. The route's rule has HEAD as well where this is GET.
    pub method: Method,
    /// Parameters, each with the name of the header that holds it.
    pub from_header: BTreeMap<String, String>,
    /// The status of a success, 200 to 299, where it is not the usual one.
    pub status: Option<u16>,
    /// The path of what was made, with names in braces, as it is written.
    pub location: Option<String>,
    /// Statuses, 400 to 599, of cases of the function's error.
    pub errors: BTreeMap<String, u16>,
}

pub(super) static CALL: ManifestKey<Call> = ManifestKey { name: "call", kind: Call, default: None };
static FROM_HEADER: ManifestKey<Table<Header>> =
    ManifestKey { name: "from_header", kind: Table(Header), default: None };
static STATUS: ManifestKey<Count<u16>> =
    ManifestKey { name: "status", kind: Count { min: 200, max: 299 }, default: None };
static LOCATION: ManifestKey<Text> = ManifestKey { name: "location", kind: Text { min: 1 }, default: None };
static ERRORS: ManifestKey<Table<Count<u16>>> =
    ManifestKey { name: "errors", kind: Table(Count { min: 400, max: 599 }), default: None };

/// The name of a header.
struct Header;

impl ValueKind for Header {
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

/// The keys of a route that only a typed route has, as they were written.
pub(super) struct CallKeys {
    pub(super) call: Option<Sourced<Callee>>,
    from_header: Option<Sourced<BTreeMap<String, String>>>,
    status: Option<Sourced<u16>>,
    location: Option<Sourced<String>>,
    errors: Option<Sourced<BTreeMap<String, u16>>>,
}

impl CallKeys {
    /// Reads them. Those that mean nothing without `call` are refused where it is not written.
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

    /// Notes where they stand, and where the path does.
    pub(super) fn places(&self, section: &Section<'_>, path: Option<&Sourced<String>>) -> Places<HttpBindingKey> {
        let call = self.call.as_ref().and_then(Sourced::span);
        let mut places = Places::new(call.unwrap_or_else(|| section.span.clone()));
        places.note(HttpBindingKey::Path, path);
        places.note(HttpBindingKey::FromHeader, self.from_header.as_ref());
        places.note(HttpBindingKey::Status, self.status.as_ref());
        places.note(HttpBindingKey::Location, self.location.as_ref());
        places.note(HttpBindingKey::Errors, self.errors.as_ref());
        places
    }

    /// What they say together; `None` without `call`, or where anything keeps it from being called, and then that was noted. `matching` gets
    /// the method that comes with another.
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
            report.push(prefix.place.clone(), "a route with `call` has a `path`, and no `prefix`", help);
        }
        refuse_key("strip_prefix", matching.strip_prefix.as_ref(), WITH_CALL, report);
        refuse_key("rewrite", matching.rewrite.as_ref(), WITH_CALL, report);
        let method = method(section, matching, &call.place);
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

/// Why a key is refused, after its name, and how to mend it.
type Why = (&'static str, &'static str);

const WITHOUT_CALL: Why =
    ("goes with `call` alone", "leave it out, or name a function: call = \"service/function\" in place of `service`");
const WITH_CALL: Why = ("does not go with `call`", "leave it out: a function gets parameters, and no path");

fn refuse_key<T>(name: &str, found: Option<&Sourced<T>>, (why, help): Why, report: &Report) {
    if let Some(found) = found {
        report.push_if_whole(found.place.clone(), format!("`{name}` {why}"), help);
    }
}

/// Refuses a service of addresses alone: only a component has functions.
fn refuse_service_without_functions(call: &Sourced<Callee>, services: &Services, report: &Report) {
    let name = &call.value.service;
    if services.addresses_alone.iter().any(|service| service.as_str() == name) {
        let message = format!("service `{name}` has no component, and so no function to call");
        let help = format!("give it a `component`, or write service = \"{name}\" in place of `call`");
        report.push_if_whole(call.place.clone(), message, help);
    }
}

/// The one method of a typed route, to which `matching` is narrowed, with HEAD where it is GET.
fn method(section: &Section<'_>, matching: &mut Matching, call: &ValueOrigin) -> Option<Method> {
    let report = section.report;
    let Some(found) = matching.methods.take() else {
        // Without its method it seems to match what its neighbours match.
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
            report.push(found.place, message, help);
            matching.right = false;
            return None;
        }
    };
    let methods: &[&Method] = if method == Method::GET { &[&Method::GET, &Method::HEAD] } else { &[&method] };
    let value = methods.iter().map(ToString::to_string).collect();
    matching.methods = Some(Sourced { value, place: found.place });
    Some(method)
}
