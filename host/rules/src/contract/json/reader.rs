//! Reads JSON as values: the entry, and everything but arrays and objects.

use super::expected::{Actual, Expected};
use super::integer::{Integer, IntegerRange, MAX_SAFE, is_safe};
use super::json_form::{is_byte, is_nullable};
use super::json_pointer::JsonPointer;
use super::names::Names;
use super::number_text::whole_number;
use super::scalar_parser::{enum_case, nearest_f32, parse_finite, single_char, special_float};
use super::value::Value;
use super::violation::{ReadError, ViolationLedger};
use crate::contract::wit::Type;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// What the parser calls a number that is too large for a double.
const OUT_OF_RANGE: &str = "number out of range";

/// Reads a JSON text as a value of a type. The type must be one that [`unmappable`](super::unmappable) finds nothing
/// in.
///
/// No text exhausts the stack: values are read as deep as their type is, and whatever does not belong there is skipped
/// without recursion.
///
/// A text is read once if all its numbers are kept exactly, as nearly all are. If a double may have changed one, the
/// text is read a second time, and its numbers are decided by their own texts.
///
/// # Errors
/// The text is not JSON, or it is not of the type.
pub fn read<V: Value>(ty: &Type, names: Names, text: &[u8]) -> Result<V, ReadError> {
    let ledger = ViolationLedger::default();
    let outcome = read_with(ty, names, text, &ledger);
    let out_of_range = matches!(&outcome, Err(ReadError::Malformed { detail, .. }) if detail == OUT_OF_RANGE);
    let (outcome, ledger) = if out_of_range || (outcome.is_ok() && ledger.has_rounded()) {
        let ledger = ViolationLedger::by_text();
        (read_with(ty, names, text, &ledger), ledger)
    } else {
        (outcome, ledger)
    };
    // Where there is no value, a violation says why. A value may also come with a violation elsewhere in the text, and
    // is useless then.
    let violations = ledger.into_violations();
    outcome?.filter(|_| violations.is_empty()).ok_or(ReadError::Violations(violations))
}

/// One reading of a text.
fn read_with<V: Value>(ty: &Type, names: Names, text: &[u8], ledger: &ViolationLedger) -> Result<Option<V>, ReadError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let reader = JsonReader::new(ty, names, ledger, &JsonPointer::Root);
    let outcome = reader.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    outcome.map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> ReadError {
    ReadError::Malformed { line: error.line(), column: error.column(), detail: detail_of(error) }
}

/// The message of an error, without the position.
fn detail_of(error: &serde_json::Error) -> String {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let mut detail = error.to_string();
    if detail.ends_with(&position) {
        detail.truncate(detail.len() - position.len());
    }
    detail
}

/// Reads one value of a text. It yields `None` where it has recorded a violation.
pub(super) struct JsonReader<'a, V> {
    /// The type behind aliases, and behind an option whose `none` is `null`.
    pub(super) ty: &'a Type,
    pub(super) names: Names,
    pub(super) ledger: &'a ViolationLedger,
    pub(super) pointer: &'a JsonPointer<'a>,
    /// Whether the type is an option of `ty`.
    optional: bool,
    value: PhantomData<fn() -> V>,
}

impl<'a, V: Value> JsonReader<'a, V> {
    fn new(ty: &'a Type, names: Names, ledger: &'a ViolationLedger, pointer: &'a JsonPointer<'a>) -> Self {
        let (ty, optional) = match ty.resolved() {
            Type::Option(inner) if !is_nullable(inner) => (inner.resolved(), true),
            other => (other, false),
        };
        Self { ty, names, ledger, pointer, optional, value: PhantomData }
    }

    /// A reader for a part of the value that this reader reads.
    pub(super) fn part<'b>(&self, ty: &'b Type, pointer: &'b JsonPointer<'b>) -> JsonReader<'b, V>
    where
        'a: 'b,
    {
        JsonReader::new(ty, self.names, self.ledger, pointer)
    }

    /// Records a violation at the reader's own pointer.
    pub(super) fn violation(&self, detail: fmt::Arguments<'_>) -> Option<V> {
        self.ledger.record(self.pointer, detail);
        None
    }

    fn expected(&self) -> Expected<'a> {
        Expected { ty: self.ty, names: self.names, or_null: self.optional }
    }

    /// Records that something else was found where this value should be.
    pub(super) fn unfit(&self, found: Actual<'_>) -> Option<V> {
        let expected = self.expected();
        self.violation(format_args!("must be {expected}, not {found}"))
    }

    /// Wraps the value that was read if the type is an option.
    fn done<E>(&self, value: Option<V>) -> Result<Option<V>, E> {
        Ok(if self.optional { value.map(|value| V::option(Some(value))) } else { value })
    }

    fn whole(&self, value: i128) -> Option<V> {
        match (IntegerRange::of(self.ty), self.ty) {
            (Some(range), _) if range.holds(value) && is_safe(value) => Some(V::integer(range.kind, value)),
            // A program on the way here may have kept the number as a double and so changed it; nobody can tell from
            // which number.
            (Some(range), _) if range.holds(value) => {
                self.violation(format_args!("must be a string of digits when it is beyond ±{MAX_SAFE}, not {value}"))
            }
            // A number that a float cannot hold exactly stands for the nearest float.
            #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
            (None, Type::F32) => Some(V::f32(value as f32)),
            #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
            (None, Type::F64) => Some(V::f64(value as f64)),
            _ => self.unfit(Actual::Whole(value)),
        }
    }

    fn float(&self, value: f64) -> Option<V> {
        match (IntegerRange::of(self.ty), self.ty) {
            // It has a fraction, an exponent, or many digits: the double does not tell which whole number it was.
            (Some(_), _) => self.rounded(),
            (None, Type::F32) if may_be_halfway(value) => self.rounded(),
            (None, Type::F64) => Some(V::f64(value)),
            (None, Type::F32) => match nearest_f32(value) {
                Some(value) => Some(V::f32(value)),
                None => self.violation(format_args!("must be a number that 32 bits can hold, not {value:?}")),
            },
            _ => self.unfit(Actual::Float(value)),
        }
    }

    /// Leaves a number to the second reading.
    fn rounded(&self) -> Option<V> {
        self.ledger.note_rounded();
        None
    }

    /// Reads a number by its text.
    fn number(&self, text: &str) -> Option<V> {
        let found = Actual::Number(text);
        let (value, bits) = match self.ty {
            Type::F32 => (parse_finite(text).map(V::f32), 32),
            Type::F64 => (parse_finite(text).map(V::f64), 64),
            _ => return whole_number(text).map_or_else(|| self.unfit(found), |value| self.whole(value)),
        };
        value.or_else(|| self.violation(format_args!("must be a number that {bits} bits can hold, not {found}")))
    }

    fn text(&self, text: &str) -> Option<V> {
        let value = match self.ty {
            Type::String => Some(V::string(text.to_owned())),
            Type::Char => single_char(text).map(V::char),
            Type::List(item) | Type::FixedList(item, _)
                if is_byte(item) && !self.ledger.admits(text.len() / 4 * 3, self.pointer) =>
            {
                return None;
            }
            Type::List(item) if is_byte(item) => decode(text).map(V::list),
            Type::FixedList(item, length) if is_byte(item) => {
                decode(text).filter(|bytes| bytes.len() as u64 == u64::from(*length)).map(V::fixed_list)
            }
            Type::Enum(cases) => enum_case(cases, self.names, text).map(V::enumeration),
            Type::F32 => special_float(text).map(V::f32),
            Type::F64 => special_float(text).map(V::f64),
            Type::Variant(variant) => return self.bare_case(variant, text),
            other => IntegerRange::of(other)
                .filter(|range| range.may_be_text())
                .and_then(|range| range.parse(text).map(|value| V::integer(range.kind, value))),
        };
        value.or_else(|| self.unfit(Actual::Text(text)))
    }
}

/// Whether a double may lie halfway between two neighbouring `f32`: a number that was rounded to it may be nearer to
/// the one or to the other. Such a double ends in at least 28 zero bits, and is no `f32` itself.
fn may_be_halfway(value: f64) -> bool {
    const LOW: u64 = (1 << 28) - 1;
    value.to_bits() & LOW == 0 && nearest_f32(value).map(f64::from) != Some(value)
}

fn decode<V: Value>(text: &str) -> Option<Vec<V>> {
    let bytes = STANDARD.decode(text).ok()?;
    Some(bytes.into_iter().map(|byte| V::integer(Integer::U8, byte.into())).collect())
}

impl<'de, V: Value> DeserializeSeed<'de> for JsonReader<'_, V> {
    type Value = Option<V>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Option<V>, D::Error> {
        if !self.ledger.admits(1, self.pointer) {
            return IgnoredAny::deserialize(parser).map(|_| None);
        }
        let is_number = matches!(self.ty, Type::F32 | Type::F64) || IntegerRange::of(self.ty).is_some();
        if !self.ledger.decides_by_text() || !is_number {
            return parser.deserialize_any(self);
        }
        let text = <&RawValue>::deserialize(parser)?.get();
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return self.done(self.number(text));
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        parser.deserialize_any(self).map_err(|error| D::Error::custom(detail_of(&error)))
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
