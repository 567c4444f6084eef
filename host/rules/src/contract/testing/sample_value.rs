//! A value of a WIT type for the tests of this crate, and strategies for random types and values.

use crate::contract::json::{Integer, Value};
use crate::contract::wit::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::sync::Arc;

/// A value of any WIT type that has JSON. Floats are kept as bits, so that a value equals itself; all NaN have the same
/// bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleValue {
    /// `bool`.
    Bool(bool),
    /// An integer of any width.
    Integer(i128),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
    /// `char`.
    Char(char),
    /// `string`.
    String(String),
    /// `list`.
    List(Vec<Self>),
    /// `list` of a fixed length.
    FixedList(Vec<Self>),
    /// `map`, in the order of its entries.
    Map(Vec<(Self, Self)>),
    /// `record`: names and values of its fields.
    Record(Vec<(String, Self)>),
    /// `tuple`.
    Tuple(Vec<Self>),
    /// `variant`: the case and what it carries.
    Variant(String, Option<Box<Self>>),
    /// `enum`: the case.
    Enum(String),
    /// `option`.
    Option(Option<Box<Self>>),
    /// `result`.
    Result(Result<Option<Box<Self>>, Option<Box<Self>>>),
    /// `flags`: those that are set.
    Flags(Vec<String>),
}

impl Value for SampleValue {
    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }
    fn integer(_: Integer, value: i128) -> Self {
        Self::Integer(value)
    }
    fn f32(value: f32) -> Self {
        Self::F32(if value.is_nan() { f32::NAN } else { value }.to_bits())
    }
    fn f64(value: f64) -> Self {
        Self::F64(if value.is_nan() { f64::NAN } else { value }.to_bits())
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
        Self::FixedList(items)
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
        Self::Variant(case, payload.map(Box::new))
    }
    fn enumeration(case: String) -> Self {
        Self::Enum(case)
    }
    fn option(value: Option<Self>) -> Self {
        Self::Option(value.map(Box::new))
    }
    fn result(value: Result<Option<Self>, Option<Self>>) -> Self {
        Self::Result(value.map(|ok| ok.map(Box::new)).map_err(|err| err.map(Box::new)))
    }
    fn flags(names: Vec<String>) -> Self {
        Self::Flags(names)
    }

    fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }
    fn as_integer(&self) -> Option<i128> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }
    fn as_f32(&self) -> Option<f32> {
        if let Self::F32(bits) = self { Some(f32::from_bits(*bits)) } else { None }
    }
    fn as_f64(&self) -> Option<f64> {
        if let Self::F64(bits) = self { Some(f64::from_bits(*bits)) } else { None }
    }
    fn as_char(&self) -> Option<char> {
        if let Self::Char(value) = self { Some(*value) } else { None }
    }
    fn as_string(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value) } else { None }
    }
    fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) | Self::FixedList(items) = self { Some(items) } else { None }
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

/// A record type without docs.
pub fn record(name: &str, fields: &[(&str, Type)]) -> Type {
    let field = |(name, ty): &(&str, Type)| Field { name: (*name).into(), docs: None, ty: ty.clone() };
    Type::Record(Arc::new(Record { name: name.into(), docs: None, fields: fields.iter().map(field).collect() }))
}

/// A variant type without docs.
pub fn variant(name: &str, cases: &[(&str, Option<Type>)]) -> Type {
    let cases = cases.iter().map(|(name, ty)| case(name, ty.clone())).collect();
    Type::Variant(Arc::new(Variant { name: name.into(), docs: None, cases }))
}

/// An enum type without docs.
pub fn enumeration(name: &str, cases: &[&str]) -> Type {
    let cases = cases.iter().map(|name| case(name, None)).collect();
    Type::Enum(Arc::new(Enum { name: name.into(), docs: None, cases }))
}

/// Flags without docs.
pub fn flags(name: &str, flags: &[&str]) -> Type {
    let flags = flags.iter().map(|&name| name.into()).collect();
    Type::Flags(Arc::new(Flags { name: name.into(), docs: None, flags }))
}

fn case(name: &str, ty: Option<Type>) -> Case {
    Case { name: name.into(), docs: None, ty }
}

/// Names that exercise every rule of the styles.
const NAMES: [&str; 7] = ["id", "user-id", "get-URL", "line-1", "line1", "a-b-c", "x"];

/// Some names, each once.
fn names() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(NAMES.to_vec(), 1..=4).prop_shuffle()
}

/// Types without parts.
fn plain_types() -> impl Strategy<Value = Type> {
    use Type as T;
    let plain =
        [T::Bool, T::S8, T::U8, T::S16, T::U16, T::S32, T::U32, T::S64, T::U64, T::F32, T::F64, T::Char, T::String];
    prop_oneof![
        4 => proptest::sample::select(plain.to_vec()),
        1 => names().prop_map(|names| enumeration("kind", &names)),
        1 => names().prop_map(|names| flags("rights", &names)),
    ]
}

/// Types for the keys of maps.
fn key_types() -> impl Strategy<Value = Type> {
    proptest::sample::select(vec![Type::Bool, Type::S8, Type::U32, Type::S64, Type::U64, Type::Char, Type::String])
}

/// Random types that have JSON, of all kinds, four deep at most.
pub fn types() -> impl Strategy<Value = Type> {
    plain_types().prop_recursive(4, 24, 4, |inner| {
        let some = || inner.clone().prop_map(Arc::new);
        let maybe = || proptest::option::of(inner.clone());
        let several = proptest::collection::vec(maybe(), 4);
        let pairs =
            |names: Vec<&'static str>, types: Vec<Option<Type>>| names.into_iter().zip(types).collect::<Vec<_>>();
        prop_oneof![
            some().prop_map(Type::List),
            (some(), 1u32..4).prop_map(|(ty, length)| Type::FixedList(ty, length)),
            (key_types().prop_map(Arc::new), some()).prop_map(|(key, value)| Type::Map(key, value)),
            some().prop_map(Type::Option),
            (maybe(), maybe()).prop_map(|(ok, err)| Type::Result { ok: ok.map(Arc::new), err: err.map(Arc::new) }),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|types| Type::Tuple(types.into())),
            (names(), proptest::collection::vec(inner.clone(), 4))
                .prop_map(|(names, types)| { record("thing", &names.into_iter().zip(types).collect::<Vec<_>>()) }),
            (names(), several).prop_map(move |(names, types)| variant("choice", &pairs(names, types))),
            inner.clone().prop_map(|ty| Type::Alias(Arc::new(Alias { name: "other".into(), docs: None, ty }))),
        ]
    })
}

/// Random values of a type.
pub fn values(ty: &Type) -> BoxedStrategy<SampleValue> {
    use Type as T;
    let maybe = |ty: &Option<Arc<Type>>| match ty {
        Some(ty) => values(ty).prop_map(Some).boxed(),
        None => Just(None).boxed(),
    };
    let few = |ty: &Type| proptest::collection::vec(values(ty), 0..4);
    match ty.resolved() {
        T::Bool => any::<bool>().prop_map(SampleValue::Bool).boxed(),
        T::S8 => whole(i8::MIN.into(), i8::MAX.into()),
        T::U8 => whole(0, u8::MAX.into()),
        T::S16 => whole(i16::MIN.into(), i16::MAX.into()),
        T::U16 => whole(0, u16::MAX.into()),
        T::S32 => whole(i32::MIN.into(), i32::MAX.into()),
        T::U32 => whole(0, u32::MAX.into()),
        T::S64 => whole(i64::MIN.into(), i64::MAX.into()),
        T::U64 => whole(0, u64::MAX.into()),
        T::F32 => any::<u32>().prop_map(|bits| SampleValue::f32(f32::from_bits(bits))).boxed(),
        T::F64 => any::<u64>().prop_map(|bits| SampleValue::f64(f64::from_bits(bits))).boxed(),
        T::Char => any::<char>().prop_map(SampleValue::Char).boxed(),
        T::String => any::<String>().prop_map(SampleValue::String).boxed(),
        T::List(item) => few(item).prop_map(SampleValue::List).boxed(),
        T::FixedList(item, length) => {
            proptest::collection::vec(values(item), *length as usize).prop_map(SampleValue::FixedList).boxed()
        }
        T::Map(key, value) => {
            let entries = proptest::collection::vec((values(key), values(value)), 0..4);
            let unique = |mut entries: Vec<(SampleValue, SampleValue)>| {
                let mut seen = Vec::new();
                entries.retain(|(key, _)| !seen.contains(key) && (seen.push(key.clone()), true).1);
                SampleValue::Map(entries)
            };
            entries.prop_map(unique).boxed()
        }
        T::Option(inner) => proptest::option::of(values(inner)).prop_map(SampleValue::option).boxed(),
        T::Result { ok, err } => {
            let (ok, err) = (maybe(ok).prop_map(Ok), maybe(err).prop_map(Err));
            prop_oneof![ok, err].prop_map(SampleValue::result).boxed()
        }
        T::Tuple(types) => types.iter().map(values).collect::<Vec<_>>().prop_map(SampleValue::Tuple).boxed(),
        T::Record(record) => {
            let fields: Vec<_> =
                record.fields.iter().map(|field| (Just(field.name.clone()), values(&field.ty))).collect();
            fields.prop_map(SampleValue::Record).boxed()
        }
        T::Variant(variant) => {
            let cases: Vec<_> = variant.cases.iter().map(|case| (case.name.clone(), case.ty.clone())).collect();
            let one = proptest::sample::select(cases);
            one.prop_flat_map(move |(name, ty)| {
                maybe(&ty.map(Arc::new)).prop_map(move |payload| SampleValue::variant(name.clone(), payload))
            })
            .boxed()
        }
        T::Enum(cases) => {
            let names: Vec<_> = cases.cases.iter().map(|case| case.name.clone()).collect();
            proptest::sample::select(names).prop_map(SampleValue::Enum).boxed()
        }
        T::Flags(flags) => {
            let all = flags.flags.clone();
            let count = all.len();
            subsequence(all, 0..=count).prop_map(SampleValue::Flags).boxed()
        }
        other => panic!("{other:?} has no JSON"),
    }
}

/// Whole numbers of all sizes within the bounds, and often the bounds themselves.
fn whole(min: i128, max: i128) -> BoxedStrategy<SampleValue> {
    prop_oneof![4 => min..=max, 2 => (-100i128).max(min)..=100, 1 => Just(min), 1 => Just(max)]
        .prop_map(SampleValue::Integer)
        .boxed()
}

/// A random type and a value of it.
pub fn typed() -> impl Strategy<Value = (Type, SampleValue)> {
    types().prop_flat_map(|ty| values(&ty).prop_map(move |value| (ty.clone(), value)))
}
