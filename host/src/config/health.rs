//! `health` of a `[service.NAME]`: how the host checks whether its endpoints can serve.

use super::late_finding_key::LateFindingKey;
use super::reader::finding::ValueOrigin;
use super::reader::function::FunctionKind;
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::{CountKind, KindError, TextKind, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use crate::health::Schedule;
use http::uri::PathAndQuery;
use toml::Spanned;
use toml::de::DeValue;

/// How each endpoint of a service is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// What is sent to the endpoint.
    pub probe: ProbeSpec,
    /// How often, and how many checks count.
    pub schedule: Schedule,
}

/// What is sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSpec {
    /// A GET of this path.
    Path(PathAndQuery),
    /// A call of this function of the component, `function` or `interface#function`. Whether the component has it is
    /// not known here; a problem of it is shown at [`LateFindingKey::Health`].
    Call(String),
}

const TIMES: CountKind<u32> = CountKind { min: 1, max: 100 };

static PATH: ManifestKey<HttpPathKind> = ManifestKey::without_default(
    "path",
    HttpPathKind,
    "A check is a `GET` of this path. It passes with a status of 200 to 399.",
);
static CALL: ManifestKey<FunctionKind> = ManifestKey::without_default(
    "call",
    FunctionKind,
    "A check is a call of this function of the component, which has no parameters and returns nothing, a `bool` or a \
     `result`. It fails with `false` or an error. Not for a service that has only `urls`.",
);
static INTERVAL: ManifestKey<DurationKind> = ManifestKey::new(
    "interval",
    DurationKind { min: 100, max: HOUR },
    r#""5s""#,
    "The time from one check to the next.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "timeout",
    DurationKind { min: 1, max: HOUR },
    r#""2s""#,
    "How long a check may take. A check without an answer in that time has failed. It is not longer than `interval`.",
);
static DOWN: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "down",
    TIMES,
    "3",
    "The number of failed checks in a row after which the endpoint gets no more calls.",
);
static UP: ManifestKey<CountKind<u32>> =
    ManifestKey::new("up", TIMES, "2", "The number of passed checks in a row after which it gets calls again.");

/// A path, with or without a query.
struct HttpPathKind;

impl ValueKind for HttpPathKind {
    type Value = PathAndQuery;

    fn accepts(&self) -> String {
        "a path that begins with \"/\"".into()
    }

    fn help(&self) -> String {
        "write a path that the service answers when it can serve, with its query if it has one: \"/healthz\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PathAndQuery, Vec<KindError>> {
        // `PathAndQuery` would drop a fragment silently.
        let text = TextKind { min: 1 }.read(value).ok().filter(|text| text.starts_with('/') && !text.contains('#'));
        text.and_then(|text| PathAndQuery::try_from(text).ok()).ok_or_else(|| refused(self, value))
    }
}

/// Reads the section, and notes the position of `call` in `spans`. `None` if there is no section, or if it is wrong and
/// was reported. `component`: whether the service has one.
pub(super) fn read(
    service: &mut Section<'_>,
    component: bool,
    spans: &mut KeySpans<LateFindingKey>,
) -> Option<HealthConfig> {
    let mut section = service.section("health");
    let report = section.report;
    let (path, call) = (section.find(&PATH), section.find(&CALL));
    spans.note(LateFindingKey::Health, call.as_ref());
    let (interval, timeout) = (section.get_sourced(&INTERVAL), section.get_sourced(&TIMEOUT));
    section.refuse_longer((&TIMEOUT, &timeout), (&INTERVAL, &interval));
    let (down, up) = (section.get(&DOWN), section.get(&UP));
    if section.lacks(PATH.name) && section.lacks(CALL.name) {
        let help = "add path = \"/…\", or call = \"function\"";
        let origin = ValueOrigin::Text(section.span.clone());
        report.push_if_whole(origin, "`health` has neither `path` nor `call`", help);
    }
    if let Some(call) = &call
        && !section.lacks(PATH.name)
    {
        let message = "`path` and `call` exclude each other";
        report.push(call.origin.clone(), message, "leave one of them out");
    } else if let Some(call) = &call
        && !component
    {
        let message = "the service has no component, and so no function to call";
        let help = "write path = \"/…\" in place of `call`, or give the service a `component`";
        report.push_if_whole(call.origin.clone(), message, help);
    }
    section.close();
    let probe = match (path, call) {
        (Some(path), None) => ProbeSpec::Path(path.value),
        (None, Some(call)) => ProbeSpec::Call(call.value),
        _ => return None,
    };
    Some(HealthConfig { probe, schedule: Schedule { interval: interval.value, timeout: timeout.value, down, up } })
}
