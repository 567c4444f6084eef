//! What differs between a recorded call and its replay.

use super::blob::Blob;
use super::exchange::{RecordedHeader, RecordedQuestion};
use super::mask_rules::MaskRules;
use super::recording::RecordedOutcome;
use super::secret_values::MASK;
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of a sample that are shown.
const SAMPLE: usize = 80;
/// The most differences of one call that are told apart.
pub(super) const MOST_DIFFERENCES: usize = 32;

/// Headers that differ from call to call, or that the host writes (RFC 9110, sections 6.6.1 and 8.6).
const UNCOUNTED: [&str; 8] = [
    "date",
    "content-length",
    "x-request-id",
    "traceparent",
    "tracestate",
    "server",
    "x-atoll-timeout-ms",
    "x-atoll-depth",
];

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where it is, the same for all calls that differ there: `status`, `header etag`, `body /total`,
    /// `write user/* /name`.
    pub place: String,
    /// What was recorded; short, and masked by rule.
    pub was: String,
    /// What came instead.
    pub is: String,
}

impl Difference {
    /// A difference at `place`, without secrets.
    pub(super) fn new(rules: &MaskRules, place: &str, was: impl Into<String>, is: impl Into<String>) -> Self {
        // Before the cut: a part of a secret could not be told.
        let shown = |text: String| short(&rules.text_without_secrets(&text));
        Self { place: rules.name_without_secrets(place), was: shown(was.into()), is: shown(is.into()) }
    }

    /// In one line: `body /total: 1200 is 1250`.
    pub fn in_words(&self) -> String {
        format!("{}: {} is {}", self.place, self.was, self.is)
    }
}

/// What is there in place of nothing.
pub(super) const NOTHING: &str = "nothing";

/// The differences of two outcomes; equal ones have none.
pub fn outcome_differences(was: &RecordedOutcome, is: &RecordedOutcome, rules: &MaskRules) -> Vec<Difference> {
    let mut found = Vec::new();
    match (was, is) {
        (
            RecordedOutcome::Http { status: was, headers: old, body: before },
            RecordedOutcome::Http { status: is, headers: new, body: after },
        ) => {
            if was != is {
                found.push(Difference::new(rules, "status", was.to_string(), is.to_string()));
            }
            header_differences("", old, new, rules, &mut found);
            value_differences("body", before, after, rules, &mut found);
        }
        (RecordedOutcome::Function(Some(was)), RecordedOutcome::Function(Some(is))) => {
            value_differences("result", was, is, rules, &mut found);
        }
        (RecordedOutcome::Failed { .. }, RecordedOutcome::Failed { .. }) => {
            failure_differences(was, is, rules, &mut found)
        }
        (was, is) if was == is => {}
        (was, is) => found.push(Difference::new(rules, "outcome", was.in_words(), is.in_words())),
    }
    found.truncate(MOST_DIFFERENCES);
    found
}

/// The frames count by their functions: another build of the same code has other offsets.
fn failure_differences(was: &RecordedOutcome, is: &RecordedOutcome, rules: &MaskRules, found: &mut Vec<Difference>) {
    let (
        RecordedOutcome::Failed { kind: one, cause: why, frames: old, .. },
        RecordedOutcome::Failed { kind, cause, frames, .. },
    ) = (was, is)
    else {
        return;
    };
    if (one, why) != (kind, cause) {
        found.push(Difference::new(rules, "failure", was.in_words(), is.in_words()));
    }
    if old != frames {
        let at = old.iter().zip(frames).position(|(old, new)| old != new).unwrap_or(old.len().min(frames.len()));
        let frame = |frames: &[String]| frames.get(at).cloned().unwrap_or_else(|| NOTHING.into());
        found.push(Difference::new(rules, &format!("frame {at}"), frame(old), frame(frames)));
    }
}

/// The differences of headers that count. `of`: whose they are, with a space, or nothing.
pub(super) fn header_differences(
    of: &str,
    was: &[RecordedHeader],
    is: &[RecordedHeader],
    rules: &MaskRules,
    found: &mut Vec<Difference>,
) {
    let gathered = |headers: &[RecordedHeader]| {
        let mut gathered: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers.iter().filter(|(name, _)| !UNCOUNTED.contains(&name.as_str())) {
            gathered.entry(name.clone()).or_default().push(String::from_utf8_lossy(value.bytes()).into_owned());
        }
        gathered
    };
    let (was, is) = (gathered(was), gathered(is));
    for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
        let (old, new) = (was.get(name), is.get(name));
        if old != new {
            let shown = |values: Option<&Vec<String>>| match values {
                None => NOTHING.to_owned(),
                Some(_) if rules.hides(name) => MASK.to_owned(),
                Some(values) => format!("{:?}", values.join(", ")),
            };
            found.push(Difference::new(rules, &format!("{of}header {name}"), shown(old), shown(new)));
        }
    }
}

/// The differences of two values: by their structure if both are JSON, and otherwise as a whole.
pub(super) fn value_differences(of: &str, was: &Blob, is: &Blob, rules: &MaskRules, found: &mut Vec<Difference>) {
    if was == is {
        return;
    }
    let parsed = |value: &Blob| serde_json::from_slice::<Value>(value.bytes()).ok();
    match parsed(was).zip(parsed(is)) {
        Some((was, is)) => JsonDifferences { of, rules, found }.compare(&was, &is, &mut Vec::new()),
        None => found.push(Difference::new(rules, of, shown_bytes(was, rules), shown_bytes(is, rules))),
    }
}

fn shown_bytes(value: &Blob, rules: &MaskRules) -> String {
    match value.text() {
        Some(text) => format!("{:?}", rules.text_without_secrets(text)),
        None => format!("{} bytes", value.len()),
    }
}

/// Collects the differences of two JSON values.
struct JsonDifferences<'a> {
    of: &'a str,
    rules: &'a MaskRules,
    found: &'a mut Vec<Difference>,
}

impl JsonDifferences<'_> {
    /// The order of members does not count, that of items does (RFC 8259, sections 4 and 5).
    fn compare(&mut self, was: &Value, is: &Value, steps: &mut Vec<String>) {
        if was == is || self.found.len() >= MOST_DIFFERENCES {
            return;
        }
        match (was, is) {
            (Value::Object(old), Value::Object(new)) => {
                for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                    steps.push(name.clone());
                    self.pair(old.get(name), new.get(name), steps);
                    steps.pop();
                }
            }
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                for (at, (old, new)) in old.iter().zip(new).enumerate() {
                    steps.push(at.to_string());
                    self.compare(old, new, steps);
                    steps.pop();
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                let count = |items: usize| format!("{items} items");
                self.add(count(old.len()), count(new.len()), steps);
            }
            (was, is) => self.add(was.to_string(), is.to_string(), steps),
        }
    }

    fn pair(&mut self, was: Option<&Value>, is: Option<&Value>, steps: &mut Vec<String>) {
        match (was, is) {
            (Some(was), Some(is)) => self.compare(was, is, steps),
            (was, is) => {
                let shown = |value: Option<&Value>| value.map_or_else(|| NOTHING.into(), Value::to_string);
                self.add(shown(was), shown(is), steps);
            }
        }
    }

    fn add(&mut self, was: String, is: String, steps: &[String]) {
        let hidden = (0..steps.len()).any(|at| self.rules.hides_at(&steps[..=at]));
        let shown = |text: String| match text {
            text if hidden && text != NOTHING => MASK.into(),
            text => text,
        };
        // An index says which one of many: the place is that of them all.
        let step = |step: &String| {
            let index = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
            if index { "/*".into() } else { format!("/{}", step.replace('~', "~0").replace('/', "~1")) }
        };
        let pointer: String = steps.iter().map(step).collect();
        let place = if pointer.is_empty() { self.of.to_owned() } else { format!("{} {pointer}", self.of) };
        self.found.push(Difference::new(self.rules, &place, shown(was), shown(is)));
    }
}

/// The differences of what a guest asked for, where it asked for something of the same kind.
pub(super) fn question_differences(
    was: &RecordedQuestion,
    is: &RecordedQuestion,
    rules: &MaskRules,
) -> Vec<Difference> {
    let mut found = Vec::new();
    match (was, is) {
        (RecordedQuestion::Commit(was), RecordedQuestion::Commit(is)) => {
            commit_differences(was, is, rules, &mut found);
        }
        (
            RecordedQuestion::Call { function: one, arguments: old, .. },
            RecordedQuestion::Call { function, arguments: new, .. },
        ) if one == function && old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                value_differences(&format!("call {function} argument {}", at + 1), old, new, rules, &mut found);
            }
        }
        (
            RecordedQuestion::Http { method: one, address: from, headers: old, body: before },
            RecordedQuestion::Http { method, address, headers: new, body: after },
        ) if one == method && from == address => {
            let of = format!("{} ", is.in_words());
            header_differences(&of, old, new, rules, &mut found);
            value_differences(&format!("{of}body"), before, after, rules, &mut found);
        }
        (was, is) if was == is => {}
        (was, is) => found.push(Difference::new(rules, &general(&is.in_words()), was.in_words(), is.in_words())),
    }
    found
}

fn commit_differences(
    was: &super::exchange::RecordedCommit,
    is: &super::exchange::RecordedCommit,
    rules: &MaskRules,
    found: &mut Vec<Difference>,
) {
    let key = |key: &Blob| String::from_utf8_lossy(key.bytes()).into_owned();
    let writes = |commit: &super::exchange::RecordedCommit| -> BTreeMap<String, Option<Blob>> {
        commit.writes.iter().map(|(name, value)| (key(name), value.clone())).collect()
    };
    let (old, new) = (writes(was), writes(is));
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let place = format!("write {}", general(name));
        match (old.get(name), new.get(name)) {
            (Some(Some(was)), Some(Some(is))) => value_differences(&place, was, is, rules, found),
            (was, is) if was == is => {}
            (was, is) => {
                let shown = |write: Option<&Option<Blob>>| match write {
                    None => NOTHING,
                    Some(None) => "a removal",
                    Some(Some(_)) => "a value",
                };
                found.push(Difference::new(rules, &place, shown(was), shown(is)));
            }
        }
    }
    if was.checks != is.checks {
        let shown = |checks: &[(Blob, u64)]| {
            let each: Vec<_> = checks.iter().map(|(name, version)| format!("{}@{version}", key(name))).collect();
            if each.is_empty() { NOTHING.to_owned() } else { each.join(", ") }
        };
        found.push(Difference::new(rules, "checks of a commit", shown(&was.checks), shown(&is.checks)));
    }
    let topics = |commit: &super::exchange::RecordedCommit| {
        commit.events.iter().map(|event| event.topic.clone()).collect::<Vec<_>>().join(", ")
    };
    if topics(was) != topics(is) {
        let shown = |topics: String| if topics.is_empty() { NOTHING.to_owned() } else { topics };
        found.push(Difference::new(rules, "events", shown(topics(was)), shown(topics(is))));
        return;
    }
    for (was, is) in was.events.iter().zip(&is.events) {
        let place = format!("event {}", is.topic);
        value_differences(&place, &was.payload, &is.payload, rules, found);
        if was.key != is.key {
            let shown = |key: &Option<String>| key.clone().unwrap_or_else(|| NOTHING.into());
            found.push(Difference::new(rules, &format!("{place} key"), shown(&was.key), shown(&is.key)));
        }
    }
}

/// A text in which each part with a digit is `*`: what is the same for all keys of one kind.
pub(super) fn general(text: &str) -> String {
    let mut general = String::with_capacity(text.len());
    for part in text.split_inclusive(['/', ':', ' ', '`', '.', '-']) {
        let end = part.len() - part.trim_end_matches(['/', ':', ' ', '`', '.', '-']).len();
        let (word, separator) = part.split_at(part.len() - end);
        general.push_str(if word.bytes().any(|byte| byte.is_ascii_digit()) { "*" } else { word });
        general.push_str(separator);
    }
    general
}

/// A sample, cut.
fn short(text: &str) -> String {
    match text.char_indices().nth(SAMPLE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
