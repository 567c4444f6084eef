//! `[[schedule]]`: what is done by itself at which times.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::function::{Callee, CalleeKind};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{ChoiceKind, CountKind, KindError, TextKind, ValueKind, refused};
use super::reader::measure::{self, DAY, DurationKind, HOUR};
use super::reader::section::Section;
use super::service::Services;
use super::topic::Topics;
use crate::base::ServiceName;
use crate::events::{Backoff, TopicName, longest};
use crate::schedule::{InvalidRecurrence, MissedRule, Recurrence};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A schedule of the manifest.
#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    /// Its name. No two are the same.
    pub name: String,
    /// When it is due.
    pub times: Recurrence,
    /// That as it is written.
    pub text: String,
    /// What becomes of due times that were missed.
    pub missed: MissedRule,
    /// How often a due time is tried.
    pub tries: u32,
    /// The pauses between the tries.
    pub backoff: Backoff,
    /// What it does.
    pub target: ScheduleTarget,
    /// The argument, or the payload of the event: JSON.
    pub payload: Option<String>,
    /// Where its target is written.
    pub(crate) span: Span,
    /// Where the payload is written; without one, where the target is.
    pub(crate) payload_span: Span,
}

/// What a schedule does.
#[derive(Debug, Clone)]
pub enum ScheduleTarget {
    /// It calls a function: `function` or `interface#function`.
    Call(ServiceName, String),
    /// It publishes an event, with a key or none.
    Publish(TopicName, Option<String>),
}

/// A name of a schedule.
struct ScheduleNameKind;

impl ValueKind for ScheduleNameKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a name of 1 to 64 of a-z, 0-9 and '-'".into()
    }

    fn help(&self) -> String {
        "name it for what it does: \"nightly-report\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let text = value.get_ref().as_str().filter(|text| (1..=64).contains(&text.len()) && text.bytes().all(legal));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

static NAME: ManifestKey<ScheduleNameKind> = ManifestKey::without_default(
    "name",
    ScheduleNameKind,
    "Its name, by which the host remembers what has fired. It is required.",
);
static CRON: ManifestKey<TextKind> = ManifestKey::without_default(
    "cron",
    TextKind { min: 1 },
    "When it is due: minute, hour, day of the month, month and day of the week, `\"0 3 * * *\"`; with seconds before \
     them if there are six fields. Sunday is 0 or 7. Either this or `every`.",
);
static EVERY: ManifestKey<DurationKind> = ManifestKey::without_default(
    "every",
    DurationKind { min: 1000, max: 366 * DAY },
    "It is due at each multiple of this time since 1970, UTC: `\"15m\"` is every quarter of an hour.",
);
static TIME_ZONE: ManifestKey<TextKind> = ManifestKey::new(
    "time_zone",
    TextKind { min: 1 },
    r#""UTC""#,
    "The time zone of `cron`, a name of the IANA's database: `\"Europe/Berlin\"`. A time that a change of the clocks \
     leaves out is due at the end of the gap, one that comes twice is due once.",
);
static CALL: ManifestKey<CalleeKind> = ManifestKey::without_default(
    "call",
    CalleeKind,
    "The function that is called. It has no parameter, or one, which gets `payload`. Either this or `topic`.",
);
static TOPIC: ManifestKey<TextKind> = ManifestKey::without_default(
    "topic",
    TextKind { min: 1 },
    "The topic on which an event with `payload` is published, once for each due time.",
);
static PAYLOAD: ManifestKey<TextKind> = ManifestKey::without_default(
    "payload",
    TextKind { min: 1 },
    "JSON of the parameter's or the topic's type. Absent: no argument, or `null`.",
);
static KEY: ManifestKey<TextKind> = ManifestKey::without_default(
    "key",
    TextKind { min: 0 },
    "What orders the event, at most 1,024 bytes. Absent: nothing. Only with `topic`.",
);
static CATCH_UP: ManifestKey<ChoiceKind<MissedRule>> = ManifestKey::new(
    "catch_up",
    ChoiceKind(&[("latest", MissedRule::Latest), ("all", MissedRule::All), ("none", MissedRule::Skip)]),
    r#""latest""#,
    "What becomes of due times that passed while the host did not run, or while the call before took long: the latest \
     of them fires late, or all of them do, one after the other, or none does.",
);
static TRIES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "tries",
    CountKind { min: 1, max: 1000 },
    "3",
    "How often a due time is tried whose call fails. A service that cannot be reached costs no try.",
);
static BACKOFF: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff",
    DurationKind { min: 1, max: HOUR },
    r#""1s""#,
    "The longest wait before the second try. It doubles before each try after that, up to a minute. The wait itself \
     is random, from a half of it up.",
);

/// The longest wait between two tries.
const MOST_BACKOFF: Duration = Duration::from_secs(60);

/// Reads every `[[schedule]]`.
pub(super) fn read_all(root: &mut Section<'_>, services: &Services, topics: &Topics) -> Vec<ScheduleConfig> {
    let report = root.report;
    let mut all: Vec<ScheduleConfig> = Vec::new();
    for mut section in root.list("schedule") {
        let found = read_one(&mut section, services, topics);
        if let Some(schedule) = &found
            && all.iter().any(|before| before.name == schedule.name)
        {
            let message = format!("there are two schedules `{}`", schedule.name);
            report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, "rename one of them");
        }
        section.close();
        all.extend(found);
    }
    all
}

fn read_one(section: &mut Section<'_>, services: &Services, topics: &Topics) -> Option<ScheduleConfig> {
    let report = section.report;
    let at_section = ValueOrigin::Text(section.span.clone());
    let (name, key, payload) = (section.find(&NAME), section.find(&KEY), section.find(&PAYLOAD));
    if section.lacks(NAME.name) {
        report.push_if_whole(at_section.clone(), "a schedule has no `name`", "add name = \"nightly-report\"");
    }
    let times = times(section);
    let backoff = section.get(&BACKOFF);
    let (missed, tries) = (section.get(&CATCH_UP), section.get(&TRIES));
    let backoff = Backoff { first: backoff, most: MOST_BACKOFF.max(backoff) };
    let (call, topic) = (section.find(&CALL), section.find(&TOPIC));
    if section.has(CALL.name) == section.has(TOPIC.name) {
        let message = "a schedule has either `call` or `topic`";
        report.push_if_whole(at_section, message, "say what it does: call = \"reports/nightly\"");
        return None;
    }
    if let Some(key) = key.as_ref().filter(|key| key.value.len() > longest::KEY) {
        let message =
            format!("the key of an event has at most {} bytes, and this has {}", longest::KEY, key.value.len());
        report.push_if_whole(key.origin.clone(), &message, "take a shorter one");
    }
    if let Some(key) = key.as_ref().filter(|_| call.is_some()) {
        report.push_if_whole(key.origin.clone(), "`key` orders events, and this schedule calls", "leave it out");
    }
    let span = call.as_ref().and_then(Sourced::span).or_else(|| topic.as_ref().and_then(Sourced::span))?;
    let target = match (call, topic) {
        (Some(call), _) => {
            let Callee { service, function } = &call.value;
            let found = services.find(service, &call.origin, report)?;
            if found.component.is_none() {
                let message = format!("service `{service}` has no component, and so no function to call");
                report.push_if_whole(call.origin.clone(), message, "name a function of a component");
            }
            ScheduleTarget::Call(found.spec.name.clone(), function.clone())
        }
        (None, Some(topic)) => {
            let found = topics.find(&topic.value, span.clone(), report)?;
            ScheduleTarget::Publish(found, key.map(|key| key.value))
        }
        (None, None) => return None,
    };
    let payload_span = payload.as_ref().and_then(Sourced::span).unwrap_or_else(|| span.clone());
    let payload = payload.map(|payload| payload.value);
    let ((times, text), name) = (times?, name?.value);
    Some(ScheduleConfig { name, times, text, missed, tries, backoff, target, payload, span, payload_span })
}

/// The times, and how they are written.
fn times(section: &mut Section<'_>) -> Option<(Recurrence, String)> {
    let report = section.report;
    let (cron, every, zone) = (section.find(&CRON), section.find(&EVERY), section.get_sourced(&TIME_ZONE));
    if section.has(CRON.name) == section.has(EVERY.name) {
        let message = "a schedule has either `cron` or `every`";
        let help = "say when it is due: cron = \"0 3 * * *\", or every = \"15m\"";
        report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, help);
        return None;
    }
    if let Some(every) = every {
        if zone.span().is_some() {
            report.push_if_whole(zone.origin, "`time_zone` is that of `cron`, and there is none", "leave it out");
        }
        return Some((Recurrence::every(every.value), format!("every {}", measure::as_written(every.value))));
    }
    let cron = cron?;
    match Recurrence::cron(&cron.value, &zone.value) {
        Ok(times) if times.after(0).is_some() => Some((times, format!("{} {}", cron.value, zone.value))),
        Ok(_) => {
            let message = format!("`cron` is never due: \"{}\"", cron.value);
            report.push(cron.origin, message, "name a day that a month has");
            None
        }
        Err(error @ InvalidRecurrence::Pattern { .. }) => {
            let help = "write minute, hour, day of the month, month and day of the week: \"0 3 * * *\"";
            report.push(cron.origin, error.to_string(), help);
            None
        }
        Err(error @ InvalidRecurrence::Zone(_)) => {
            let origin = if zone.span().is_some() { zone.origin } else { cron.origin };
            report.push(origin, error.to_string(), "write a name of the IANA's database: \"Europe/Berlin\"");
            None
        }
    }
}
