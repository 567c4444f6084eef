//! Which event a step waits for, and how an event is known as the one.

use super::binding::{Binding, quoted};
use super::binding_type::{MisboundValue, field_of};
use crate::base::Digest;
use crate::contract::Type;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A wait for an event of a topic. The first event that fits, of those since the saga began, ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventWait {
    /// The topic.
    pub topic: Arc<str>,
    /// What the event's key must be; `None`: anything.
    pub key: Option<Binding>,
    /// What fields of its payload must be, each by its path from outside to inside, with the names of the contract.
    pub fields: Vec<(Vec<String>, Binding)>,
    /// How long it waits at most; `None`: as long as the saga may turn.
    pub timeout: Option<Duration>,
}

/// Which parts of an event decide whether it is the one. Waits of one form look at the same parts, so that one look-up
/// answers all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaitForm {
    /// Whether its key decides.
    pub key: bool,
    /// The fields of its payload that decide.
    pub fields: Vec<Vec<String>>,
}

/// What decides, as a number: the first 128 bits of a SHA-256, so no two texts have one.
pub type EventMark = u128;

impl EventWait {
    /// Its form.
    pub fn form(&self) -> WaitForm {
        WaitForm { key: self.key.is_some(), fields: self.fields.iter().map(|(path, _)| path.clone()).collect() }
    }

    /// All that is bound in it.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.key.iter().chain(self.fields.iter().map(|(_, binding)| binding))
    }
}

impl WaitForm {
    /// The mark of an event with this key and this payload, JSON with the names of the contract. `None`: it has no key,
    /// or a field has no value, so that no wait of this form takes it.
    pub fn mark(&self, key: Option<&str>, payload: &str) -> Option<EventMark> {
        let mut parts = Vec::with_capacity(1 + self.fields.len());
        if self.key {
            parts.push(quoted(key?));
        }
        for path in &self.fields {
            parts.push(part(payload, path).filter(|part| part != "null")?);
        }
        Some(mark_of(&parts))
    }
}

/// The mark of a wait whose parts have these values, in the order of [`EventWait::bindings`]. Each is JSON as the
/// contract's writer writes it. `None`: one of them is no value, so that no event is the one.
pub fn mark_of_values(values: &[String]) -> Option<EventMark> {
    values.iter().all(|value| value != "null").then(|| mark_of(values))
}

fn mark_of(parts: &[String]) -> EventMark {
    // The length of each part stands before it, so that no two lists of parts are one text.
    let text: String = parts.iter().map(|part| plain(part)).map(|part| format!("{}:{part}", part.len())).collect();
    let digest = Digest::of(text.as_bytes()).0;
    digest[..16].iter().fold(0, |mark, byte| mark << 8 | u128::from(*byte))
}

/// A scalar in the one way in which it can be written.
fn plain(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

/// The JSON at a path; `None` if there is nothing.
fn part(json: &str, path: &[String]) -> Option<String> {
    let mut json = json.to_owned();
    for field in path {
        let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&json).ok()?;
        json = object.remove(field)?.get().to_owned();
    }
    Some(json)
}

/// The type of a field of a payload of the type `payload`.
///
/// # Errors
/// There is no such field, or its values cannot be compared: lists, records and numbers with a fraction.
pub fn field_type(payload: &Type, path: &[String]) -> Result<Type, MisboundValue> {
    let found = field_of(payload.clone(), path, &format!("$event.{}", path.join(".")))?;
    let inner = match found.resolved() {
        Type::Option(inner) => inner.resolved().clone(),
        other => other.clone(),
    };
    if is_comparable(&inner) {
        return Ok(inner);
    }
    let text =
        format!("`{}` cannot be compared: take a field that is a text, a whole number or an enum", path.join("."));
    Err(MisboundValue(text))
}

fn is_comparable(ty: &Type) -> bool {
    let is_number =
        matches!(ty, Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64);
    is_number || matches!(ty, Type::Bool | Type::Char | Type::String | Type::Enum(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing::record;

    fn form(key: bool, fields: &[&[&str]]) -> WaitForm {
        let path = |path: &&[&str]| path.iter().map(|field| (*field).to_owned()).collect();
        WaitForm { key, fields: fields.iter().map(path).collect() }
    }

    fn values(values: &[&str]) -> Option<EventMark> {
        mark_of_values(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_event_has_the_mark_of_the_wait_that_it_ends_and_of_no_other() {
        let payload = r#"{"order": {"id": "7", "note": null}, "paid": true, "cents": 12}"#;
        let deep = form(true, &[&["order", "id"], &["paid"], &["cents"]]);
        let mark = deep.mark(Some("k\u{e9}\"y"), payload);
        assert_eq!(mark, values(&[r#""k\u00e9\"y""#, r#""7""#, "true", " 12"]));
        assert!(mark.is_some());
        for other in [
            [r#""k""#, r#""7""#, "true", "12"],
            [r#""k\u00e9\"y""#, "7", "true", "12"],
            [r#""k\u00e9\"y""#, r#""7""#, "false", "12"],
            [r#""k\u00e9\"y""#, r#""7""#, "true", "13"],
        ] {
            assert_ne!(mark, values(&other), "{other:?}");
        }
        assert_ne!(values(&["\"ab\"", "\"c\""]), values(&["\"a\"", "\"bc\""]));
    }

    #[test]
    fn what_has_no_value_ends_no_wait() {
        let payload = r#"{"order": {"id": "7", "note": null}}"#;
        for (form, key) in [
            (form(true, &[]), None),
            (form(false, &[&["order", "note"]]), Some("k")),
            (form(false, &[&["order", "note", "deeper"]]), Some("k")),
            (form(false, &[&["absent"]]), Some("k")),
        ] {
            assert_eq!(form.mark(key, payload), None, "{form:?}");
        }
        assert_eq!(values(&["null"]), None);
    }

    #[test]
    fn a_field_is_compared_if_its_values_have_one_form() {
        let price = record("price", &[("amount", Type::U32), ("rate", Type::F64)]);
        let note = Type::Option(Arc::new(Type::String));
        let payload = record("settled", &[("price", price), ("note", note)]);
        let ty = |path: &[&str]| field_type(&payload, &path.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert!(matches!((ty(&["price", "amount"]), ty(&["note"])), (Ok(Type::U32), Ok(Type::String))));
        for (path, expected) in [
            (&["price"][..], "cannot be compared"),
            (&["price", "rate"], "cannot be compared"),
            (&["prize"], "`$event.prize`: there is no field `prize` among `price`, `note`"),
        ] {
            let told = ty(path).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }
}
