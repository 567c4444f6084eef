//! `wait` of a step of a `[saga.NAME]`: the event that the step waits for.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::TextKind;
use super::reader::measure::{DAY, DurationKind};
use super::reader::section::Section;
use super::saga_binding::{BindingKind, BindingsKind, BoundArgument};
use super::topic::Topics;
use crate::saga::{Binding, EventWait};
use std::collections::BTreeMap;

/// The key that makes a step one that waits for an event.
pub(super) const NAME: &str = "wait";

static TOPIC: ManifestKey<TextKind> =
    ManifestKey::without_default("topic", TextKind { min: 1 }, "The topic of the event. It is required.");
static KEY: ManifestKey<BindingKind> = ManifestKey::without_default(
    "key",
    BindingKind,
    "What the key of the event must be. This or `where` is required, for otherwise any event would be the one.",
);
static WHERE: ManifestKey<BindingsKind> = ManifestKey::without_default(
    "where",
    BindingsKind,
    "What fields of its payload must be, by their names in the contract: each a text, a whole number, true or false, \
     or an enum. All of them must fit.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::without_default(
    "timeout",
    DurationKind { min: 1, max: 365 * DAY },
    "How long it waits. Then the saga is undone; where it cannot be, it waits for a person. Absent: until `deadline` \
     of the saga. Behind the pivot it is required.",
);

/// Reads the table; `None` if it is wrong, which was reported. The spans are those of `key`, and of each field of
/// `where` by its path.
pub(super) fn read(section: &mut Section<'_>, topics: &Topics) -> Option<(Sourced<EventWait>, BTreeMap<String, Span>)> {
    let report = section.report;
    let (topic, key, fields) = (section.find(&TOPIC), section.find(&KEY), section.find(&WHERE));
    let timeout = section.find(&TIMEOUT).map(|found| found.value);
    let here = || ValueOrigin::Text(section.span.clone());
    if section.lacks(TOPIC.name) {
        report.push_if_whole(here(), "a wait has no `topic`", "add topic = \"payments.settled\"");
    }
    if section.lacks(KEY.name) && section.lacks(WHERE.name) {
        let help = "add key = \"$input.order\", or where = { order = \"$input.order\" }";
        report.push_if_whole(here(), "any event would end this wait", help);
        return None;
    }
    if (section.has(KEY.name) && key.is_none()) || (section.has(WHERE.name) && fields.is_none()) {
        return None;
    }
    let topic = topic?;
    let name = topics.find(&topic.value, topic.span()?, report)?;
    let mut spans: BTreeMap<String, Span> =
        key.as_ref().and_then(Sourced::span).map(|span| (KEY.name.into(), span)).into_iter().collect();
    let mut flat = Vec::new();
    for BoundArgument { param, binding, span } in fields.map(|found| found.value).unwrap_or_default() {
        spans.insert(param.clone(), span);
        flatten(param.split('.').map(str::to_owned).collect(), binding, &mut flat);
    }
    let key = key.map(|found| found.value);
    if key.is_none() && flat.is_empty() {
        report.push_if_whole(here(), "any event would end this wait", "name a field in `where`");
        return None;
    }
    let wait = EventWait { topic: name.as_str().into(), key, fields: flat, timeout };
    Some((Sourced { value: wait, origin: here() }, spans))
}

/// `{ order = { id = "$input.id" } }` is the field `order.id`.
fn flatten(path: Vec<String>, binding: Binding, flat: &mut Vec<(Vec<String>, Binding)>) {
    match binding {
        Binding::Record(fields) => {
            for (name, binding) in fields {
                flatten([path.clone(), vec![name]].concat(), binding, flat);
            }
        }
        binding => flat.push((path, binding)),
    }
}
