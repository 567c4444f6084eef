//! Which values of a recording nobody outside may see, and a copy without them.

use super::blob::Blob;
use super::exchange::{RecordedCommit, RecordedExchange, RecordedHeader, RecordedQuestion, RecordedReply};
use super::recording::{RecordedCall, RecordedInputs, RecordedOutcome, Recording};
use super::secret_values::{MASK, SecretValues};
use crate::base::mask_secrets;
use serde_json::Value;
use std::borrow::Cow;

/// A header or a member of JSON whose name has one of these in it is a secret, whatever its case; `-` stands for `_`
/// too. Those that the log masks, and two that headers have.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api-key",
    "apikey",
    "access-key",
    "private-key",
    "authorization",
    "x-auth",
    "session",
    "cookie",
    "signature",
    "credential",
];

/// A name with one of these as a whole word is a secret, too: `otp`, `card-pin`, `idTokenJwt`. They are too short to be
/// looked for within words: `spinner` is none.
const WORDS: [&str; 8] = ["jwt", "otp", "totp", "pin", "auth", "ssn", "cvv", "cvc"];

/// The rules by which values are masked: the usual names of secrets, and those of the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskRules {
    /// Names of headers and members of JSON, in lower case.
    names: Vec<String>,
    /// JSON pointers (RFC 6901) into bodies, arguments, results, values and payloads. `*` stands for any step.
    pointers: Vec<Vec<String>>,
    /// The secrets of one recording, which are hidden wherever they stand.
    secrets: SecretValues,
}

impl MaskRules {
    /// The usual names, and these rules: a name, or a JSON pointer, which begins with `/`.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a str>) -> Self {
        let mut made = Self::default();
        for rule in rules {
            match rule.strip_prefix('/') {
                Some(pointer) => made.pointers.push(pointer.split('/').map(unescaped).collect()),
                None => made.names.push(canonical(rule)),
            }
        }
        made
    }

    /// Whether a header or a member of this name is a secret.
    pub fn hides(&self, name: &str) -> bool {
        let canonical = canonical(name);
        NAMES.iter().any(|secret| canonical.contains(secret))
            || words(name).any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
            || self.names.contains(&canonical)
    }

    /// Whether the value at this pointer is a secret, by its steps.
    pub(super) fn hides_at(&self, steps: &[String]) -> bool {
        let named = steps.last().is_some_and(|name| self.hides(name));
        let fits = |rule: &Vec<String>| {
            rule.len() == steps.len() && rule.iter().zip(steps).all(|(rule, step)| rule == "*" || rule == step)
        };
        named || self.pointers.iter().any(fits)
    }

    /// These rules for what a guest with the secrets and the environment of this recording gives back: a guest may send
    /// on what it has, under any name.
    pub fn with_secrets_of(&self, recording: &Recording) -> Self {
        let Recording { env, secrets, config, .. } = recording;
        let secrets = secrets.values().map(|value| (value, true));
        let env = env.iter().map(|(name, value)| (value, self.hides(name)));
        let config = config.iter().filter(|(name, _)| self.hides(name)).map(|(_, value)| (value, true));
        Self { secrets: SecretValues::of(secrets.chain(env).chain(config)), ..self.clone() }
    }

    /// A text without what looks like a secret, and without the secrets of the recording.
    pub fn text_without_secrets(&self, text: &str) -> String {
        self.secrets.hide_in(&mask_secrets(text)).into_owned()
    }

    /// A text without the secrets of the recording; what only looks like one stays.
    pub(super) fn name_without_secrets(&self, text: &str) -> String {
        self.secrets.hide_in(text).into_owned()
    }

    /// The recording without what the rules hide, without the values of its environment and secrets wherever they
    /// stand, and without the random bytes that the guest got: it may have made a key of them. How many values were
    /// masked stands in it.
    pub fn masked(&self, recording: &Recording) -> Recording {
        let mut copy = self.masked_for_replay(recording);
        let RecordedInputs { random, insecure, seed, .. } = &mut copy.inputs;
        let (mut count, drawn) = (0, random.iter_mut().chain(insecure));
        drawn.chain(seed).for_each(|bytes| hide(bytes, &mut count));
        copy.masked += count;
        copy
    }

    /// The same with the random bytes, without which a guest that draws some does something else in a replay.
    pub fn masked_for_replay(&self, recording: &Recording) -> Recording {
        self.with_secrets_of(recording).masked_copy(recording)
    }

    fn masked_copy(&self, recording: &Recording) -> Recording {
        let mut copy = recording.clone();
        let mut count = 0;
        copy.env.values_mut().chain(copy.secrets.values_mut()).for_each(|value| hide(value, &mut count));
        for (name, value) in &mut copy.config {
            if self.hides(name) {
                hide(value, &mut count);
            }
        }
        match &mut copy.call {
            RecordedCall::Http { target, headers, body, .. } => {
                self.text(target, &mut count);
                self.headers(headers, &mut count);
                self.pieces(body, &mut count);
            }
            RecordedCall::Function { arguments, .. } => {
                arguments.iter_mut().for_each(|argument| self.value(argument, &mut count));
            }
        }
        if let Some(caller) = &mut copy.caller {
            self.value(&mut caller.claims, &mut count);
        }
        copy.exchanges.iter_mut().for_each(|exchange| self.exchange(exchange, &mut count));
        match &mut copy.outcome {
            RecordedOutcome::Http { headers, body, .. } => {
                self.headers(headers, &mut count);
                self.value(body, &mut count);
            }
            RecordedOutcome::Function(Some(result)) => self.value(result, &mut count),
            RecordedOutcome::Function(None) => {}
            RecordedOutcome::Failed { cause, .. } => {
                let mut text = std::mem::take(cause).into();
                self.text(&mut text, &mut count);
                *cause = String::from_utf8_lossy(text.bytes()).into_owned();
            }
        }
        copy.masked = count;
        copy
    }

    fn exchange(&self, exchange: &mut RecordedExchange, count: &mut usize) {
        match &mut exchange.question {
            RecordedQuestion::Commit(RecordedCommit { checks, writes, events }) => {
                checks.iter_mut().for_each(|(key, _)| self.key(key, count));
                for (key, value) in writes {
                    self.key(key, count);
                    value.iter_mut().for_each(|value| self.value(value, count));
                }
                for event in events {
                    event.key.iter_mut().for_each(|key| self.name(key, count));
                    self.value(&mut event.payload, count);
                }
            }
            RecordedQuestion::Call { arguments, .. } => {
                arguments.iter_mut().for_each(|argument| self.value(argument, count));
            }
            RecordedQuestion::Http { address, headers, body, .. } => {
                self.text(address, count);
                self.headers(headers, count);
                self.value(body, count);
            }
            RecordedQuestion::Get { keys } => keys.iter_mut().for_each(|key| self.key(key, count)),
            RecordedQuestion::Scan { prefix, after, .. } => {
                self.key(prefix, count);
                after.iter_mut().for_each(|key| self.key(key, count));
            }
            RecordedQuestion::Cursor { .. } => {}
        }
        match &mut exchange.answer {
            Some(RecordedReply::Values(values)) => {
                values.iter_mut().flatten().for_each(|(value, _)| self.value(value, count));
            }
            Some(RecordedReply::Page { entries, next }) => {
                for (key, value, _) in entries {
                    self.key(key, count);
                    self.value(value, count);
                }
                next.iter_mut().for_each(|key| self.key(key, count));
            }
            Some(RecordedReply::Key(Some(key))) => self.key(key, count),
            Some(RecordedReply::Refused { text, .. }) => self.name(text, count),
            Some(RecordedReply::Result(Some(result))) => self.value(result, count),
            Some(RecordedReply::Response { headers, body, .. }) => {
                self.headers(headers, count);
                self.pieces(body, count);
            }
            _ => {}
        }
    }

    fn headers(&self, headers: &mut [RecordedHeader], count: &mut usize) {
        for (name, value) in headers {
            if self.hides(name) { hide(value, count) } else { self.text(value, count) }
        }
    }

    /// A body in pieces. Where something is masked, it is one piece afterwards.
    fn pieces(&self, pieces: &mut Vec<Blob>, count: &mut usize) {
        let mut whole = Blob::from(pieces.iter().flat_map(Blob::bytes).copied().collect::<Vec<u8>>());
        let before = *count;
        self.value(&mut whole, count);
        if *count > before {
            *pieces = vec![whole];
        }
    }

    /// JSON, or a text.
    fn value(&self, value: &mut Blob, count: &mut usize) {
        let Ok(mut json) = serde_json::from_slice::<Value>(value.bytes()) else { return self.text(value, count) };
        let before = *count;
        self.json(&mut json, &mut Vec::new(), count);
        if *count > before {
            *value = json.to_string().into();
        }
    }

    fn text(&self, value: &mut Blob, count: &mut usize) {
        let Some(text) = value.text() else { return self.key(value, count) };
        if let Some(masked) = self.masked_text(text) {
            *value = masked.into();
            *count += 1;
        }
    }

    /// The text without secrets; `None`: it has none.
    fn masked_text(&self, text: &str) -> Option<String> {
        let masked = mask_secrets(text);
        match (self.secrets.hide_in(&masked), &masked) {
            (Cow::Owned(hidden), _) => Some(hidden),
            (_, Cow::Owned(_)) => Some(masked.into_owned()),
            _ => None,
        }
    }

    /// A key, or bytes that are no text: a name in it tells nothing, so the secrets of the recording alone go.
    fn key(&self, key: &mut Blob, count: &mut usize) {
        if let Some(hidden) = self.secrets.hide_in_bytes(key.bytes()) {
            *key = hidden.into();
            *count += 1;
        }
    }

    fn name(&self, text: &mut String, count: &mut usize) {
        let hidden = self.name_without_secrets(text);
        *count += usize::from(hidden != *text);
        *text = hidden;
    }

    fn json(&self, value: &mut Value, steps: &mut Vec<String>, count: &mut usize) {
        if !steps.is_empty() && self.hides_at(steps) {
            *value = MASK.into();
            *count += 1;
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, value) in &mut *members {
                    steps.push(name.clone());
                    self.json(value, steps, count);
                    steps.pop();
                }
                if members.keys().any(|name| self.name_without_secrets(name) != *name) {
                    let all = std::mem::take(members).into_iter();
                    *members = all.map(|(name, value)| (self.name_without_secrets(&name), value)).collect();
                    *count += 1;
                }
            }
            Value::Array(items) => {
                for (at, value) in items.iter_mut().enumerate() {
                    steps.push(at.to_string());
                    self.json(value, steps, count);
                    steps.pop();
                }
            }
            Value::String(text) => {
                if let Some(masked) = self.masked_text(text) {
                    *text = masked;
                    *count += 1;
                }
            }
            Value::Number(number) => {
                if let Some(masked) = self.masked_text(&number.to_string()) {
                    *value = masked.into();
                    *count += 1;
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn hide(value: &mut Blob, count: &mut usize) {
    *value = MASK.to_owned().into();
    *count += 1;
}

/// A name as the rules compare it.
fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// The words of a name: `card-pin`, `card_pin`, `card.pin` and `cardPin` have two.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    parts.flat_map(|part| {
        let bytes = part.as_bytes();
        let begins = |at: &usize| bytes[*at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase();
        let mut from = 0;
        let ends: Vec<_> = (1..part.len()).filter(begins).chain([part.len()]).collect();
        ends.into_iter().map(move |end| &part[std::mem::replace(&mut from, end)..end])
    })
}

/// A step of a JSON pointer (RFC 6901, section 4).
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
