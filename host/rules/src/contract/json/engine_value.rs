//! The engine's values, as the mapping writes and reads them.
//!
//! By Rust's rule of orphans the impl stands with the trait or with the type, so it is here and not in `runtime`.

use super::{Integer, Value};
use wasmtime::component::Val;

fn boxed(value: Option<Val>) -> Option<Box<Val>> {
    value.map(Box::new)
}

impl Value for Val {
    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the mapping has checked the bounds")]
    fn integer(kind: Integer, value: i128) -> Self {
        match kind {
            Integer::S8 => Self::S8(value as i8),
            Integer::U8 => Self::U8(value as u8),
            Integer::S16 => Self::S16(value as i16),
            Integer::U16 => Self::U16(value as u16),
            Integer::S32 => Self::S32(value as i32),
            Integer::U32 => Self::U32(value as u32),
            Integer::S64 => Self::S64(value as i64),
            Integer::U64 => Self::U64(value as u64),
        }
    }

    fn f32(value: f32) -> Self {
        Self::Float32(value)
    }

    fn f64(value: f64) -> Self {
        Self::Float64(value)
    }

    fn char(value: char) -> Self {
        Self::Char(value)
    }

    fn string(value: String) -> Self {
        Self::String(value)
    }

    fn list(items: Vec<Self>) -> Self {
        Self::List(items)
    }

    fn fixed_list(items: Vec<Self>) -> Self {
        Self::FixedLengthList(items)
    }

    fn map(entries: Vec<(Self, Self)>) -> Self {
        Self::Map(entries)
    }

    fn record(fields: Vec<(String, Self)>) -> Self {
        Self::Record(fields)
    }

    fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(items)
    }

    fn variant(case: String, payload: Option<Self>) -> Self {
        Self::Variant(case, boxed(payload))
    }

    fn enumeration(case: String) -> Self {
        Self::Enum(case)
    }

    fn option(value: Option<Self>) -> Self {
        Self::Option(boxed(value))
    }

    fn result(value: Result<Option<Self>, Option<Self>>) -> Self {
        Self::Result(value.map(boxed).map_err(boxed))
    }

    fn flags(names: Vec<String>) -> Self {
        Self::Flags(names)
    }

    fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    fn as_integer(&self) -> Option<i128> {
        Some(match self {
            Self::S8(value) => (*value).into(),
            Self::U8(value) => (*value).into(),
            Self::S16(value) => (*value).into(),
            Self::U16(value) => (*value).into(),
            Self::S32(value) => (*value).into(),
            Self::U32(value) => (*value).into(),
            Self::S64(value) => (*value).into(),
            Self::U64(value) => (*value).into(),
            _ => return None,
        })
    }

    fn as_f32(&self) -> Option<f32> {
        if let Self::Float32(value) = self { Some(*value) } else { None }
    }

    fn as_f64(&self) -> Option<f64> {
        if let Self::Float64(value) = self { Some(*value) } else { None }
    }

    fn as_char(&self) -> Option<char> {
        if let Self::Char(value) = self { Some(*value) } else { None }
    }

    fn as_string(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value) } else { None }
    }

    fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) | Self::FixedLengthList(items) = self { Some(items) } else { None }
    }

    fn as_map(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    fn as_record(&self) -> Option<&[(String, Self)]> {
        if let Self::Record(fields) = self { Some(fields) } else { None }
    }

    fn as_tuple(&self) -> Option<&[Self]> {
        if let Self::Tuple(items) = self { Some(items) } else { None }
    }

    fn as_variant(&self) -> Option<(&str, Option<&Self>)> {
        if let Self::Variant(case, payload) = self { Some((case, payload.as_deref())) } else { None }
    }

    fn as_enumeration(&self) -> Option<&str> {
        if let Self::Enum(case) = self { Some(case) } else { None }
    }

    fn as_option(&self) -> Option<Option<&Self>> {
        if let Self::Option(value) = self { Some(value.as_deref()) } else { None }
    }

    fn as_result(&self) -> Option<Result<Option<&Self>, Option<&Self>>> {
        if let Self::Result(value) = self {
            Some(value.as_ref().map(Option::as_deref).map_err(Option::as_deref))
        } else {
            None
        }
    }

    fn as_flags(&self) -> Option<&[String]> {
        if let Self::Flags(names) = self { Some(names) } else { None }
    }
}
