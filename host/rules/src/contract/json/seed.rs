//! Readers of the parts of a text that become no value: the name of a member, and an item that must be a name or
//! `null`.

use super::expected::Actual;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Passes the name of a member to a function, without copying it.
pub(super) struct MemberNameSeed<F>(pub(super) F);

impl<'de, R, F: FnOnce(&str) -> R> DeserializeSeed<'de> for MemberNameSeed<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<R, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<R, F: FnOnce(&str) -> R> Visitor<'_> for MemberNameSeed<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<R, E> {
        Ok((self.0)(name))
    }
}

/// Passes what it finds to a function; of an array or an object only that it is one.
pub(super) struct ScalarSeed<F>(pub(super) F);

impl<'de, R, F: FnOnce(Actual<'_>) -> R> DeserializeSeed<'de> for ScalarSeed<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<R, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de, R, F: FnOnce(Actual<'_>) -> R> Visitor<'de> for ScalarSeed<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<R, E> {
        Ok((self.0)(Actual::Bool(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<R, E> {
        Ok((self.0)(Actual::Whole(value.into())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<R, E> {
        Ok((self.0)(Actual::Whole(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<R, E> {
        Ok((self.0)(Actual::Float(value)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<R, E> {
        Ok((self.0)(Actual::Text(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<R, E> {
        Ok((self.0)(Actual::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<R, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok((self.0)(Actual::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<R, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok((self.0)(Actual::Object))
    }
}
