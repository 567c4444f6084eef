//! What a guest says of its spans, points and lines: names with values in JSON, each within its bound.

use super::bindings::wasi::otel::types::KeyValue;
use crate::base::{SpanAttribute, SpanText, SpanValue, log_safe, mask_secrets};
use serde_json::{Map, Value};

/// The most attributes of one span with its events and links, or of one line.
pub(super) const MOST: usize = 32;
/// The most bytes of one attribute, its name and its value.
const LONGEST: usize = 1024;
/// The most bytes of a name.
pub(super) const LONGEST_NAME: usize = 128;
/// What bytes begin with.
const BYTES: &str = "data:";

/// How many attributes there still is room for, and how many had none.
pub(super) struct AttributeRoom {
    left: usize,
    pub(super) dropped: u32,
}

impl AttributeRoom {
    pub(super) fn new() -> Self {
        Self { left: MOST, dropped: 0 }
    }

    /// Those of `list` that there is room for.
    pub(super) fn take(&mut self, list: Vec<KeyValue>) -> Vec<SpanAttribute> {
        let mut taken = Vec::with_capacity(list.len().min(self.left));
        for pair in list {
            // What has no room costs nothing.
            let attribute = if self.left > 0 { attribute(pair) } else { None };
            match attribute {
                Some(attribute) => {
                    self.left -= 1;
                    taken.push(attribute);
                }
                None => self.dropped = self.dropped.saturating_add(1),
            }
        }
        taken
    }
}

/// `None`: it has no name or no value, or is no text and too long.
fn attribute(KeyValue { key, value }: KeyValue) -> Option<SpanAttribute> {
    let name = safe(&key, LONGEST_NAME);
    if name.is_empty() {
        return None;
    }
    let room = LONGEST - name.len();
    // A long list would take many times its bytes as a value, so its length comes first.
    let is_long = value.len() > room;
    let value = match json_text(&value, 2 * LONGEST) {
        Some(text) if !text.starts_with(BYTES) => SpanValue::Text(masked(&name, &text, room).into()),
        Some(_) if is_long => return None,
        None if is_long && value.trim_start().starts_with(['[', '{']) => return None,
        // No JSON, as the interface wants it: then it is a text.
        None if is_long => SpanValue::Text(masked(&name, &value, room).into()),
        _ => match serde_json::from_str(&value) {
            Ok(Value::Null) => return None,
            Ok(Value::Bool(flag)) => SpanValue::Flag(flag),
            Ok(Value::Number(number)) => match number.as_i64() {
                Some(whole) => SpanValue::Whole(whole),
                None => SpanValue::Decimal(number.as_f64()?),
            },
            Ok(_) => SpanValue::Json(masked(&name, &value, room).into()),
            Err(_) => SpanValue::Text(masked(&name, &value, room).into()),
        },
    };
    Some((SpanText::from(name), value))
}

/// The text that `json` is, of which `most` bytes are enough. `None`: it is another value, or no JSON. No more than the
/// beginning of what a guest says is read.
pub(super) fn json_text(json: &str, most: usize) -> Option<String> {
    /// The longest way to write a byte.
    const WRITTEN: usize = 6;
    /// The longest escape, of a pair.
    const ESCAPE: usize = 12;
    let json = json.trim_start_matches([' ', '\t', '\n', '\r']);
    let begun = &json[..json.floor_char_boundary(WRITTEN * most)];
    if begun.len() == json.len() || !json.starts_with('"') {
        return serde_json::from_str(begun).ok();
    }
    // The cut may be within an escape.
    let cuts = (0..ESCAPE).filter_map(|back| begun.get(..begun.len().checked_sub(back)?));
    cuts.filter_map(|cut| serde_json::from_str(&format!("{cut}\"")).ok()).next()
}

/// `value` without what looks like a secret, which its name may tell, and at most so long.
fn masked(name: &str, value: &str, most: usize) -> String {
    // Its beginning is enough: what is cut off is masked by that.
    let value = &value[..value.floor_char_boundary(2 * most)];
    let pair = format!("{name}={value}");
    let masked = mask_secrets(&pair);
    let value = masked.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    safe(value.unwrap_or("***"), most)
}

/// `text` as one line that shows what it is, at most so long.
pub(super) fn safe(text: &str, most: usize) -> String {
    let text = log_safe(&text[..text.floor_char_boundary(most)]);
    text[..text.floor_char_boundary(most)].to_owned()
}

/// The attributes as texts, in the order of their names, each name once: the labels of a series.
pub(super) fn labels(list: Vec<KeyValue>, most: usize, longest: usize) -> Vec<(String, String)> {
    let mut room = AttributeRoom::new();
    let mut labels: Vec<_> =
        room.take(list).into_iter().map(|(name, value)| (name.to_string(), text(&value))).collect();
    labels.sort();
    labels.dedup_by(|one, other| one.0 == other.0);
    labels.truncate(most);
    for (_, value) in &mut labels {
        value.truncate(value.floor_char_boundary(longest));
    }
    labels
}

/// The attributes as an object of JSON; empty without one.
pub(super) fn object(list: Vec<KeyValue>) -> String {
    let taken = AttributeRoom::new().take(list);
    let members: Map<String, Value> = taken.into_iter().map(|(name, value)| (name.to_string(), json(&value))).collect();
    if members.is_empty() { String::new() } else { Value::Object(members).to_string() }
}

fn json(value: &SpanValue) -> Value {
    match value {
        SpanValue::Text(text) => Value::from(&**text),
        SpanValue::Whole(number) => Value::from(*number),
        SpanValue::Decimal(number) => Value::from(*number),
        SpanValue::Flag(flag) => Value::from(*flag),
        SpanValue::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| Value::from(&**json)),
    }
}

fn text(value: &SpanValue) -> String {
    match value {
        SpanValue::Text(text) | SpanValue::Json(text) => text.to_string(),
        SpanValue::Whole(number) => number.to_string(),
        SpanValue::Decimal(number) => number.to_string(),
        SpanValue::Flag(flag) => flag.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: value.into() }
    }

    fn shown(key: &str, value: &str) -> Option<String> {
        attribute(pair(key, value)).map(|(_, value)| format!("{value:?}"))
    }

    #[test]
    fn values_are_read_as_json_masked_and_bounded() {
        for (key, value, expected) in [
            ("a", r#""text""#, Some(r#"Text("text")"#)),
            ("a", "7", Some("Whole(7)")),
            ("a", "7.5", Some("Decimal(7.5)")),
            ("a", "true", Some("Flag(true)")),
            ("a", "[1, 2]", Some(r#"Json("[1, 2]")"#)),
            ("a", "no JSON", Some(r#"Text("no JSON")"#)),
            (
                "a",
                r#""data:application/octet-stream;base64,AAE=""#,
                Some(r#"Json("\"data:application/octet-stream;base64,AAE=\"")"#),
            ),
            ("a", "null", None),
            ("", "1", None),
            ("password", r#""hunter2""#, Some(r#"Text("***")"#)),
            ("a", r#""x\ny""#, Some(r#"Text("x\\ny")"#)),
        ] {
            assert_eq!(shown(key, value).as_deref(), expected, "{key}: {value}");
        }
        let long = format!("\"{}\"", "é".repeat(5_000));
        let Some((name, SpanValue::Text(text))) = attribute(pair(&"k".repeat(500), &long)) else { panic!() };
        assert!(name.len() == LONGEST_NAME && name.len() + text.len() <= LONGEST);
        assert!(attribute(pair("a", &format!("[{}1]", "1,".repeat(1_000)))).is_none(), "half a list is none");
        let spoken = "word ".repeat(1_000);
        let Some((_, SpanValue::Text(text))) = attribute(pair("a", &spoken)) else { panic!() };
        assert!(spoken.starts_with(&*text) && text.len() == LONGEST - 1);
    }

    #[test]
    fn of_a_long_text_the_beginning_is_read_wherever_it_is_cut() {
        let mixed = r#"aé\u00e9\ud83d\ude00\n\\"#.repeat(200);
        let whole: String = serde_json::from_str(&format!("\"{mixed}\"")).unwrap();
        for most in 20..60 {
            let text = json_text(&format!(" \"{mixed}\""), most).unwrap();
            assert!(text.len() >= most && text.len() < whole.len() && whole.starts_with(&text), "{most}: {text}");
        }
        assert_eq!(json_text(&format!("\"{mixed}\""), 10_000), Some(whole));
        for other in ["[\"a\"]", "7", "no JSON", "\"open", "\"a\" and more"] {
            assert_eq!(json_text(other, 100), None, "{other}");
        }
        assert_eq!(json_text(&format!("\"a\" and {mixed}"), 100), None);
    }

    #[test]
    fn so_many_have_room_and_the_others_are_counted() {
        let mut room = AttributeRoom::new();
        let many = |count: usize| (0..count).map(|n| pair(&format!("k{n}"), "1")).collect();
        assert_eq!((room.take(many(30)).len(), room.take(many(30)).len(), room.dropped), (30, 2, 28));
    }
}
