//! `health` of a `[service.NAME]`: how its endpoints are asked whether they can serve.

use crate::config::finding::ValueOrigin;
use crate::config::function::Function;
use crate::config::kind::{Count, KindError, Text, ValueKind, refused};
use crate::config::measure::{Duration, HOUR};
use crate::config::place::{Places, ServiceKey};
use crate::config::section::{ManifestKey, Section};
use http::uri::PathAndQuery;
use std::time;
use toml::Spanned;
use toml::de::DeValue;

/// How each endpoint of a service is asked whether it can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What it is asked.
    pub probe: ProbeSpec,
    /// From one question to the next: 100 ms to 1 h, default 5 s.
    pub interval: time::Duration,
    /// How long an answer may take: at most `interval`, default 2 s.
    pub timeout: time::Duration,
    /// Bad answers in a row after which it gets no calls: 1 to 100, default 3.
    pub down: u32,
    /// Good answers in a row after which it gets calls again: 1 to 100, default 2.
    pub up: u32,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSpec {
    /// A GET of this path.
    Path(PathAndQuery),
    /// This function of the component, `function` or `interface#function`. Whether the component has it is not known here; a fault of
    /// it is shown at [`ServiceKey::Health`].
    Call(String),
}

const TIMES: Count<u32> = Count { min: 1, max: 100 };

static PATH: ManifestKey<HttpPath> = ManifestKey { name: "path", kind: HttpPath, default: None };
static CALL: ManifestKey<Function> = ManifestKey { name: "call", kind: Function, default: None };
static INTERVAL: ManifestKey<Duration> =
    ManifestKey { name: "interval", kind: Duration { min: 100, max: HOUR }, default: Some(r#""5s""#) };
static TIMEOUT: ManifestKey<Duration> =
    ManifestKey { name: "timeout", kind: Duration { min: 1, max: HOUR }, default: Some(r#""2s""#) };
static DOWN: ManifestKey<Count<u32>> = ManifestKey { name: "down", kind: TIMES, default: Some("3") };
static UP: ManifestKey<Count<u32>> = ManifestKey { name: "up", kind: TIMES, default: Some("2") };

/// A path, with its query where it has one.
struct HttpPath;

impl ValueKind for HttpPath {
    type Value = PathAndQuery;

    fn accepts(&self) -> String {
        "a path that begins with \"/\"".into()
    }

    fn help(&self) -> String {
        "write what the service answers when it can serve, with its query where it has one: \"/healthz\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PathAndQuery, Vec<KindError>> {
        // A fragment would be dropped without a word.
        let text = Text { min: 1 }.read(value).ok().filter(|text| text.starts_with('/') && !text.contains('#'));
        text.and_then(|text| PathAndQuery::try_from(text).ok()).ok_or_else(|| refused(self, value))
    }
}

/// Reads it, and notes in `places` where `call` stands; `None` where there is none, or it is wrong, and then that was noted. `component`:
/// whether the service has one.
pub(super) fn read(service: &mut Section<'_>, component: bool, places: &mut Places<ServiceKey>) -> Option<Health> {
    let mut section = service.section("health");
    let report = section.report;
    let (path, call) = (section.find(&PATH), section.find(&CALL));
    places.note(ServiceKey::Health, call.as_ref());
    let (interval, timeout) = (section.get_found(&INTERVAL), section.get_found(&TIMEOUT));
    section.refuse_longer((&TIMEOUT, &timeout), (&INTERVAL, &interval));
    let (down, up) = (section.get(&DOWN), section.get(&UP));
    if section.lacks(PATH.name) && section.lacks(CALL.name) {
        let help = "add path = \"/…\", or call = \"function\"";
        let place = ValueOrigin::Text(section.span.clone());
        report.push_if_whole(place, "`health` has neither `path` nor `call`", help);
    }
    if let Some(call) = &call
        && !section.lacks(PATH.name)
    {
        let message = "`path` and `call` exclude each other";
        report.push(call.place.clone(), message, "leave one of them out");
    } else if let Some(call) = &call
        && !component
    {
        let message = "the service has no component, and so no function to call";
        let help = "write path = \"/…\" in place of `call`, or give the service a `component`";
        report.push_if_whole(call.place.clone(), message, help);
    }
    section.close();
    let probe = match (path, call) {
        (Some(path), None) => ProbeSpec::Path(path.value),
        (None, Some(call)) => ProbeSpec::Call(call.value),
        _ => return None,
    };
    Some(Health { probe, interval: interval.value, timeout: timeout.value, down, up })
}
