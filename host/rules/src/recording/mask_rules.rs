//! Which values of a recording nobody outside may see, and a copy without them.

use super::blob::Blob;
use super::exchange::{RecordedExchange, RecordedHeader, RecordedQuestion, RecordedReply};
use super::recording::{RecordedCall, RecordedOutcome, Recording};
use crate::base::mask_secrets;
use serde_json::Value;

/// What stands in place of a value.
pub(super) const MASK: &str = "***";

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

/// The rules by which values are masked: the usual names of secrets, and those of the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskRules {
    /// Names of headers and members of JSON, in lower case.
    names: Vec<String>,
    /// JSON pointers (RFC 6901) into bodies, arguments, results, values and payloads. `*` stands for any step.
    pointers: Vec<Vec<String>>,
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
        let name = canonical(name);
        NAMES.iter().any(|secret| name.contains(secret)) || self.names.contains(&name)
    }

    /// Whether the value at this pointer is a secret, by its steps.
    pub(super) fn hides_at(&self, steps: &[String]) -> bool {
        let named = steps.last().is_some_and(|name| self.hides(name));
        let fits = |rule: &Vec<String>| {
            rule.len() == steps.len() && rule.iter().zip(steps).all(|(rule, step)| rule == "*" || rule == step)
        };
        named || self.pointers.iter().any(fits)
    }

    /// The recording without what the rules hide, and without the values of its environment and secrets. How many
    /// values were masked stands in it.
    pub fn masked(&self, recording: &Recording) -> Recording {
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
            RecordedOutcome::Function(None) | RecordedOutcome::Failed { .. } => {}
        }
        copy.masked = count;
        copy
    }

    fn exchange(&self, exchange: &mut RecordedExchange, count: &mut usize) {
        match &mut exchange.question {
            RecordedQuestion::Commit(commit) => {
                commit
                    .writes
                    .iter_mut()
                    .filter_map(|(_, value)| value.as_mut())
                    .for_each(|value| self.value(value, count));
                commit.events.iter_mut().for_each(|event| self.value(&mut event.payload, count));
            }
            RecordedQuestion::Call { arguments, .. } => {
                arguments.iter_mut().for_each(|argument| self.value(argument, count));
            }
            RecordedQuestion::Http { address, headers, body, .. } => {
                self.text(address, count);
                self.headers(headers, count);
                self.value(body, count);
            }
            RecordedQuestion::Get { .. } | RecordedQuestion::Scan { .. } | RecordedQuestion::Cursor { .. } => {}
        }
        match &mut exchange.answer {
            Some(RecordedReply::Values(values)) => {
                values.iter_mut().flatten().for_each(|(value, _)| self.value(value, count));
            }
            Some(RecordedReply::Page { entries, .. }) => {
                entries.iter_mut().for_each(|(_, value, _)| self.value(value, count));
            }
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
        if let Some(text) = value.text()
            && let std::borrow::Cow::Owned(masked) = mask_secrets(text)
        {
            *value = masked.into();
            *count += 1;
        }
    }

    fn json(&self, value: &mut Value, steps: &mut Vec<String>, count: &mut usize) {
        if !steps.is_empty() && self.hides_at(steps) {
            *value = MASK.into();
            *count += 1;
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    steps.push(name.clone());
                    self.json(value, steps, count);
                    steps.pop();
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
                if let std::borrow::Cow::Owned(masked) = mask_secrets(text) {
                    *text = masked;
                    *count += 1;
                }
            }
            _ => {}
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

/// A step of a JSON pointer (RFC 6901, section 4).
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
