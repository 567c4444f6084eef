//! From JSON to values: the entry, and all that is not an array or an object.

use super::fault::{JsonPointer, Ledger, ReadError};
use super::shape::{MAX_SAFE, Whole, is_byte, is_nullable, is_safe};
use super::text::{enumerated, special_float};
use super::words::{Actual, Expected};
use crate::contract::{Integer, Names, Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Reads a JSON text as a value of a type, which must have no part that [`unmappable`](super::unmappable) names.
///
/// The depth of what is read is that of the type, and what does not belong there is skipped without recursion: no text exhausts the stack.
///
/// # Errors
/// The text is no JSON, or it has faults.
pub fn read<V: Value>(ty: &Type, names: Names, text: &[u8]) -> Result<V, ReadError> {
    let ledger = Ledger::default();
    let mut parser = serde_json::Deserializer::from_slice(text);
    let reader = JsonReader::new(ty, names, &ledger, &JsonPointer::Root);
    let outcome = reader.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    let value: Option<V> = outcome.map_err(|error| malformed(&error))?;
    // Whatever yields no value has noted why; a fault elsewhere leaves values that are of no use.
    let faults = ledger.into_faults();
    value.filter(|_| faults.is_empty()).ok_or(ReadError::Faults(faults))
}

fn malformed(error: &serde_json::Error) -> ReadError {
    let (line, column) = (error.line(), error.column());
    let place = format!(" at line {line} column {column}");
    let mut detail = error.to_string();
    if detail.ends_with(&place) {
        detail.truncate(detail.len() - place.len());
    }
    ReadError::Malformed { line, column, detail }
}

/// Reads one value. It yields `None` where it has noted a fault.
pub(super) struct JsonReader<'a, V> {
    /// Behind aliases, and behind an option that `null` stands for.
    pub(super) ty: &'a Type,
    pub(super) names: Names,
    pub(super) ledger: &'a Ledger,
    pub(super) place: &'a JsonPointer<'a>,
    /// Whether the type is an option of `ty`.
    optional: bool,
    value: PhantomData<fn() -> V>,
}

impl<'a, V: Value> JsonReader<'a, V> {
    fn new(ty: &'a Type, names: Names, ledger: &'a Ledger, place: &'a JsonPointer<'a>) -> Self {
        let (ty, optional) = match ty.resolved() {
            Type::Option(inner) if !is_nullable(inner) => (inner.resolved(), true),
            other => (other, false),
        };
        Self { ty, names, ledger, place, optional, value: PhantomData }
    }

    /// A reader for a part of what this one reads.
    pub(super) fn part<'b>(&self, ty: &'b Type, place: &'b JsonPointer<'b>) -> JsonReader<'b, V>
    where
        'a: 'b,
    {
        JsonReader::new(ty, self.names, self.ledger, place)
    }

    /// Notes a fault of this very place.
    pub(super) fn fault(&self, detail: fmt::Arguments<'_>) -> Option<V> {
        self.ledger.note(self.place, detail);
        None
    }

    fn expected(&self) -> Expected<'a> {
        Expected { ty: self.ty, names: self.names, or_null: self.optional }
    }

    /// Notes that something else stands where this value should.
    pub(super) fn unfit(&self, found: Actual<'_>) -> Option<V> {
        let expected = self.expected();
        self.fault(format_args!("must be {expected}, not {found}"))
    }

    /// Wraps what was read if an option is wanted.
    fn done<E>(&self, value: Option<V>) -> Result<Option<V>, E> {
        Ok(if self.optional { value.map(|value| V::option(Some(value))) } else { value })
    }

    fn whole(&self, value: i128) -> Option<V> {
        match (Whole::of(self.ty), self.ty) {
            (Some(whole), _) if whole.holds(value) && is_safe(value) => Some(V::integer(whole.kind, value)),
            // Whatever kept it as a double on its way here may have changed it, and nobody can tell from what.
            (Some(whole), _) if whole.holds(value) => {
                self.fault(format_args!("must be a string of digits when it is beyond ±{MAX_SAFE}, not {value}"))
            }
            // The nearest double is what JSON means by a number.
            #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
            (None, Type::F32 | Type::F64) => self.float(value as f64),
            _ => self.unfit(Actual::Whole(value)),
        }
    }

    fn float(&self, value: f64) -> Option<V> {
        match (Whole::of(self.ty), self.ty) {
            // JSON Schema calls 1.0 an integer.
            (Some(whole), _) => match exact(value).filter(|&value| whole.holds(value)) {
                Some(value) => self.whole(value),
                None => self.unfit(Actual::Float(value)),
            },
            (None, Type::F64) => Some(V::f64(value)),
            (None, Type::F32) => match single(value) {
                Some(value) => Some(V::f32(value)),
                None => self.fault(format_args!("must be a number that 32 bits can hold, not {value:?}")),
            },
            _ => self.unfit(Actual::Float(value)),
        }
    }

    fn text(&self, text: &str) -> Option<V> {
        let value = match self.ty {
            Type::String => Some(V::string(text.to_owned())),
            Type::Char => single_char(text).map(V::char),
            Type::List(item) | Type::FixedList(item, _)
                if is_byte(item) && !self.ledger.admits(text.len() / 4 * 3, self.place) =>
            {
                return None;
            }
            Type::List(item) if is_byte(item) => decode(text).map(V::list),
            Type::FixedList(item, length) if is_byte(item) => {
                decode(text).filter(|bytes| bytes.len() as u64 == u64::from(*length)).map(V::fixed_list)
            }
            Type::Enum(cases) => enumerated(cases, self.names, text).map(V::enumeration),
            Type::F32 => special_float(text).map(V::f32),
            Type::F64 => special_float(text).map(V::f64),
            Type::Variant(variant) => return self.bare_case(variant, text),
            other => Whole::of(other)
                .filter(|whole| whole.may_be_text())
                .and_then(|whole| whole.parse(text).map(|value| V::integer(whole.kind, value))),
        };
        value.or_else(|| self.unfit(Actual::Text(text)))
    }
}

/// The whole number that a double is, if it has no fraction.
fn exact(value: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "the value is compared after it")]
    let whole = value as i128;
    #[expect(clippy::cast_precision_loss, reason = "the value is compared after it")]
    let same = whole as f64 == value;
    same.then_some(whole)
}

/// The nearest `f32`, unless it would be an infinity.
pub(super) fn single(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
    let single = value as f32;
    single.is_finite().then_some(single)
}

/// The character that is the whole text.
pub(super) fn single_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn decode<V: Value>(text: &str) -> Option<Vec<V>> {
    let bytes = STANDARD.decode(text).ok()?;
    Some(bytes.into_iter().map(|byte| V::integer(Integer::U8, byte.into())).collect())
}

impl<'de, V: Value> DeserializeSeed<'de> for JsonReader<'_, V> {
    type Value = Option<V>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Option<V>, D::Error> {
        if !self.ledger.admits(1, self.place) {
            return IgnoredAny::deserialize(parser).map(|_| None);
        }
        parser.deserialize_any(self)
    }
}

impl<'de, V: Value> Visitor<'de> for JsonReader<'_, V> {
    type Value = Option<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<V>, E> {
        self.done(match self.ty {
            Type::Bool => Some(V::bool(value)),
            _ => self.unfit(Actual::Bool(value)),
        })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<V>, E> {
        self.done(self.whole(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<V>, E> {
        self.done(self.whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<V>, E> {
        self.done(self.float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<V>, E> {
        self.done(self.text(text))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<V>, E> {
        Ok(if self.optional { Some(V::option(None)) } else { self.unfit(Actual::Null) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<V>, A::Error> {
        let value = match self.ty {
            Type::List(item) if !is_byte(item) => self.list(item, items)?,
            Type::FixedList(item, length) if !is_byte(item) => self.fixed_list(item, *length, items)?,
            Type::Tuple(types) => self.tuple(types, items)?,
            Type::Option(inner) => self.bracketed(inner, items)?,
            Type::Flags(flags) => self.flags(flags, items)?,
            _ => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                self.unfit(Actual::Array)
            }
        };
        self.done(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<V>, A::Error> {
        let value = match self.ty {
            Type::Record(record) => self.record(record, members)?,
            Type::Map(key, value) => self.map(key, value, members)?,
            Type::Variant(variant) => self.variant(variant, members)?,
            Type::Result { ok, err } => self.result(ok.as_deref(), err.as_deref(), members)?,
            _ => {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.unfit(Actual::Object)
            }
        };
        self.done(value)
    }
}
