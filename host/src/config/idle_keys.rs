//! Keys that are right by themselves and have no effect where they stand. Whoever writes one expects something of it,
//! so each is refused.

use super::reader::finding::ValueOrigin;
use super::reader::section::Section;
use crate::listen;

/// The keys of `[service.NAME]` that concern instances of its component.
const OF_COMPONENT: [&str; 15] = [
    "replicas",
    "nodes",
    "weight",
    "isolation",
    "reuse",
    "state",
    "config",
    "env",
    "secrets",
    "calls",
    "egress",
    "idempotent",
    "wit",
    "rollout",
    "bucket",
];
/// The keys of `limits` that do.
const LIMITS_OF_COMPONENT: [&str; 2] = ["memory", "share"];
/// The keys that concern the connections to its addresses.
const OF_ADDRESSES: [&str; 2] = ["http2", "dns"];

/// Reports the keys of a service without a component that concern one, and those of one without addresses that concern
/// them.
pub(super) fn refuse_of_service(service: &Section<'_>) {
    let (component, urls) = (service.has("component"), service.has("urls"));
    if urls && service.lacks("component") {
        let help = "add `component`, or leave it out";
        refuse(service, &OF_COMPONENT, "has no effect, since the service has no component", help);
    }
    if component && service.lacks("urls") {
        refuse(service, &OF_ADDRESSES, "has no effect, since the service has no `urls`", "add `urls`, or leave it out");
    }
}

/// Reports the keys of `limits` of a service in the same way.
pub(super) fn refuse_of_limits(service: &Section<'_>, limits: &Section<'_>) {
    if service.has("urls") && service.lacks("component") {
        let help = "add `component`, or leave it out";
        refuse(limits, &LIMITS_OF_COMPONENT, "has no effect, since the service has no component", help);
    }
    if service.lacks("urls") && service.lacks("egress") && service.has("component") {
        let help = "add `urls` or `egress`, or leave it out";
        refuse(limits, &["connect"], "has no effect, since the service connects to nothing", help);
    }
}

/// Reports the keys of `[gateway]` whose effect another one has switched off.
pub(super) fn refuse_of_gateway(gateway: &Section<'_>, settings: &listen::Settings) {
    if settings.min_upload_rate == 0 && settings.min_download_rate == 0 {
        let why = "has no effect, since `min_upload_rate` and `min_download_rate` are 0";
        refuse(gateway, &["rate_grace"], why, "leave it out, or give one of them a rate");
    }
    if settings.answer_buffer == 0 {
        let help = "leave it out, or make `answer_buffer` larger";
        refuse(gateway, &["answer_memory"], "has no effect, since `answer_buffer` is 0", help);
    }
    if gateway.lacks("tls") && settings.http2.as_ref().is_some_and(|http2| !http2.prior_knowledge) {
        let why = "has no effect without TLS: a client asks for HTTP/2 in its handshake";
        refuse(gateway, &["http2"], why, "add [gateway.tls], or prior_knowledge = true");
    }
}

/// Reports what concerns answers to GET on a route that `methods` keep from ever getting one.
pub(super) fn refuse_without_get(route: &Section<'_>, methods: Option<&[String]>) {
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "GET" || method == "HEAD")) {
        let help = "add \"GET\" to `method`, or leave it out";
        refuse(route, &["files"], "has no effect on this route: files are answers to GET and HEAD alone", help);
    }
    // A route with `call` says so more precisely.
    if route.lacks("call") && methods.is_some_and(|methods| !methods.iter().any(|method| method == "GET")) {
        let help = "add \"GET\" to `method`, or leave it out";
        refuse(route, &["cache"], "has no effect on this route: answers to GET alone are kept", help);
    }
}

/// Reports each of these keys that is written.
fn refuse(section: &Section<'_>, names: &[&'static str], why: &str, help: &str) {
    for name in names {
        if let Some((name, span)) = section.first_of(&[*name]) {
            section.report.push_if_whole(ValueOrigin::Text(span), format!("`{name}` {why}"), help);
        }
    }
}
