//! JSON objects that outsiders wrote: the header and the claims of a token, the answer of an issuer.

use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A JSON object without two members of one name. Readers that took the first and readers that took the last of them
/// would see two different tokens (RFC 7519, section 4).
#[derive(Debug)]
pub(super) struct Claims(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ClaimsVisitor;
        impl<'de> Visitor<'de> for ClaimsVisitor {
            type Value = Claims;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, DistinctValue(value))) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(Error::custom(TWICE));
                    }
                }
                Ok(Claims(members))
            }
        }
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

const TWICE: &str = "a member stands twice";

/// A value without two members of one name, however deep they stand: whoever gets the claims reads them anew.
struct DistinctValue(Value);

impl<'de> Deserialize<'de> for DistinctValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut all = Vec::new();
                while let Some(DistinctValue(item)) = items.next_element()? {
                    all.push(item);
                }
                Ok(all.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members = Map::new();
                while let Some((name, DistinctValue(value))) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(Error::custom(TWICE));
                    }
                }
                Ok(members.into())
            }
        }
        // It is bounded in depth by serde_json: 128.
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

impl Claims {
    /// The object that `text` is.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A time of RFC 7519, section 2, which may have a fraction: in whole seconds since 1970. `None` if it is no
    /// number, or none that is a time.
    pub(super) fn time(&self, name: &str) -> Option<u64> {
        let seconds = self.get(name)?.as_f64()?;
        // Below 2^53 a whole number of seconds is exact; that is 285 million years.
        #[expect(clippy::cast_possible_truncation, reason = "the bounds were checked")]
        (0.0..9e15).contains(&seconds).then_some(seconds as u64)
    }

    /// Whether `aud`, which is a text or a list of texts (RFC 7519, section 4.1.3), names one of these audiences.
    pub(super) fn is_for(&self, audiences: &[String]) -> bool {
        let is_ours = |value: &Value| value.as_str().is_some_and(|text| audiences.iter().any(|own| own == text));
        match self.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        }
    }

    /// The scopes: of `scope`, a text with blanks between them (RFC 8693, section 4.2), and of `scp`, a list or such a
    /// text.
    pub(super) fn scopes(&self) -> BTreeSet<String> {
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let of = |name| match self.get(name) {
            Some(Value::String(text)) => words(text),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        of("scope").into_iter().chain(of("scp")).collect()
    }

    /// Who it is: `sub`; for a client that acts for nobody, `client_id` (RFC 9068, section 2.2) or `azp`.
    pub(super) fn subject(&self) -> Option<String> {
        let found = ["sub", "client_id", "azp"].into_iter().find_map(|name| self.text(name));
        found.filter(|subject| !subject.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stands_once_however_deep() {
        for (text, is_good) in [
            (r#"{"a":1,"b":{"a":1,"c":[{"a":null},{"a":-1.5}]},"d":[]}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":{"b":1,"b":2}}"#, false),
            (r#"{"a":[[{"b":1,"c":{},"b":1}]]}"#, false),
            // The same name, once as it is and once escaped.
            (r#"{"a":{"b":1,"\u0062":2}}"#, false),
            (r#"[]"#, false),
        ] {
            let parsed = Claims::parse(text.as_bytes());
            assert_eq!(parsed.is_some(), is_good, "{text}");
            if let Some(claims) = parsed {
                let plain: BTreeMap<String, Value> = serde_json::from_str(text).expect("it is JSON");
                assert_eq!(claims.0, plain, "nothing is read otherwise");
            }
        }
    }
}
