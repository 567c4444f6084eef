//! The mapping against random types and values, against a simple model of it, and against broken texts.

mod broken_text;
mod document;
mod numbers;
mod wit_text;

use super::scalar_parser::nearest_f32;
use super::{
    MAX_VALUES, MAX_VIOLATION_BYTES, MAX_VIOLATIONS, Names, ReadError, Value, Violation, is_list_of_textual,
    is_nullable, is_textual, read, read_text, read_texts, unmappable, write, write_text,
};
use crate::contract::testing::{SampleValue, enumeration, record, typed, types};
use crate::contract::wit::Type;
use base64::Engine;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

const STYLES: [Names; 3] = [Names::Snake, Names::Camel, Names::Kebab];

fn written(ty: &Type, names: Names, value: &SampleValue) -> String {
    let mut out = Vec::new();
    write(ty, names, value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn violations(ty: &Type, text: &str) -> Vec<(String, String)> {
    match read::<SampleValue>(ty, Names::Snake, text.as_bytes()) {
        Err(ReadError::Violations(violations)) => {
            violations.into_iter().map(|Violation { pointer, detail }| (pointer, detail)).collect()
        }
        other => panic!("{text} has no violations: {other:?}"),
    }
}

/// The model: the JSON of a value, built as a tree.
fn model(ty: &Type, names: Names, value: &SampleValue) -> Json {
    let part = |ty: &Type, value: &SampleValue| model(ty, names, value);
    match (ty.resolved(), value) {
        (_, SampleValue::Bool(value)) => json!(value),
        (_, SampleValue::Integer(value)) if value.unsigned_abs() < 1 << 53 => json!(i64::try_from(*value).unwrap()),
        (_, SampleValue::Integer(value)) => json!(value.to_string()),
        (_, SampleValue::F32(bits)) => float(f32::from_bits(*bits).into()),
        (_, SampleValue::F64(bits)) => float(f64::from_bits(*bits)),
        (_, SampleValue::Char(value)) => json!(value),
        (_, SampleValue::String(value)) => json!(value),
        (Type::List(item) | Type::FixedList(item, _), SampleValue::List(items) | SampleValue::FixedList(items)) => {
            match item.resolved() {
                Type::U8 => {
                    let bytes: Vec<u8> =
                        items.iter().map(|item| u8::try_from(item.as_integer().unwrap()).unwrap()).collect();
                    json!(base64::engine::general_purpose::STANDARD.encode(bytes))
                }
                item => items.iter().map(|value| part(item, value)).collect(),
            }
        }
        (Type::Map(key, ty), SampleValue::Map(entries)) => {
            let name = |name: &SampleValue| match part(key, name) {
                Json::String(name) => name,
                other => other.to_string(),
            };
            entries.iter().map(|(key, value)| (name(key), part(ty, value))).collect()
        }
        (Type::Record(record), SampleValue::Record(fields)) => {
            let pairs = record.fields.iter().zip(fields);
            pairs.map(|(field, (name, value))| (names.of(name), part(&field.ty, value))).collect()
        }
        (Type::Tuple(types), SampleValue::Tuple(items)) => {
            types.iter().zip(items).map(|(ty, item)| part(ty, item)).collect()
        }
        (Type::Variant(variant), SampleValue::Variant(name, payload)) => {
            let case = variant.cases.iter().find(|case| case.name == *name).unwrap();
            match payload {
                Some(payload) => one(names.of(name), part(case.ty.as_ref().unwrap(), payload)),
                None => json!(names.of(name)),
            }
        }
        (_, SampleValue::Enum(name)) => json!(names.of(name)),
        (Type::Option(inner), SampleValue::Option(value)) => match value {
            Some(value) if matches!(inner.resolved(), Type::Option(_)) && is_nullable(inner) => {
                json!([part(inner, value)])
            }
            Some(value) => part(inner, value),
            None if is_nullable(inner) => json!([]),
            None => Json::Null,
        },
        (Type::Result { ok, err }, SampleValue::Result(result)) => {
            let (name, ty, payload) = match result {
                Ok(payload) => ("ok", ok, payload),
                Err(payload) => ("err", err, payload),
            };
            one(name.into(), payload.as_ref().map_or(Json::Null, |payload| part(ty.as_ref().unwrap(), payload)))
        }
        (_, SampleValue::Flags(flags)) => flags.iter().map(|name| names.of(name)).collect(),
        (ty, value) => panic!("{value:?} is no {ty:?}"),
    }
}

fn one(name: String, value: Json) -> Json {
    Json::Object(Map::from_iter([(name, value)]))
}

fn float(value: f64) -> Json {
    match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    }
}

/// The value of a tree. All numbers of the tree are doubles; an `f32` is read back to what it was before it was
/// written.
fn value_of(ty: &Type, names: Names, tree: &Json) -> SampleValue {
    read(ty, names, tree.to_string().as_bytes()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_written_value_is_read_as_the_same_value((ty, value) in typed()) {
        prop_assert_eq!(unmappable(&ty), None);
        for names in STYLES {
            let text = written(&ty, names, &value);
            let again = read::<SampleValue>(&ty, names, text.as_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&value), "{}", text);
            prop_assert_eq!(text == "null", is_nullable(&ty) && value == SampleValue::Option(None));
        }
    }

    #[test]
    fn the_writer_agrees_with_the_model((ty, value) in typed()) {
        for names in STYLES {
            let tree = model(&ty, names, &value);
            // The tree sorts its members by name, and writes an f32 with the digits of a double.
            prop_assert_eq!(&value_of(&ty, names, &tree), &sorted(&ty, &value));
            let text = written(&ty, names, &value);
            let own: Json = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(alike(&own), alike(&tree), "{}", text);
        }
    }

    #[test]
    fn a_written_short_text_is_read_as_the_same_value((ty, value) in typed()) {
        for names in STYLES {
            match write_text(&ty, names, &value) {
                Some(text) => prop_assert_eq!(read_text::<SampleValue>(&ty, names, &text), Ok(value.clone())),
                None => prop_assert!(!is_textual(&ty) || value == SampleValue::Option(None)),
            }
        }
        if is_list_of_textual(&ty) {
            let Type::List(item) = ty.resolved() else { unreachable!("a list of texts is a list") };
            let items = value.as_list().unwrap();
            let texts: Vec<_> = items.iter().map(|value| write_text(item, Names::Camel, value).unwrap()).collect();
            prop_assert_eq!(read_texts(&ty, Names::Camel, &texts), Ok(value));
        }
    }

    #[test]
    fn a_value_of_another_type_is_not_written(ty in types(), (_, other) in typed()) {
        let mut out = b"before".to_vec();
        match write(&ty, Names::Snake, &other, &mut out) {
            Ok(()) => prop_assert!(read::<SampleValue>(&ty, Names::Snake, &out[6..]).is_ok()),
            Err(_) => prop_assert_eq!(&out[..], b"before"),
        }
    }
}

/// The value with the entries of its maps sorted by name, as a tree has them.
fn sorted(ty: &Type, value: &SampleValue) -> SampleValue {
    value_of(ty, Names::Kebab, &serde_json::from_str::<Json>(&written(ty, Names::Kebab, value)).unwrap())
}

/// The tree with its fractions rounded to f32, so that the shortest text of a number equals its longest.
fn alike(tree: &Json) -> Json {
    match tree {
        Json::Number(number) if number.is_f64() => json!(format!("{:?}", nearest_f32(number.as_f64().unwrap()))),
        Json::Array(items) => items.iter().map(alike).collect(),
        Json::Object(members) => members.iter().map(|(name, value)| (name.clone(), alike(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn an_f32_survives_a_reader_that_keeps_doubles() {
    // The shortest text of this number, read as a double, is nearer to the neighbouring f32.
    let value = SampleValue::F32(0x15AE_43FD);
    assert_eq!(format!("{:e}", f32::from_bits(0x15AE_43FD)), "7.038531e-26");
    let text = written(&Type::F32, Names::Snake, &value);
    assert_eq!(read::<SampleValue>(&Type::F32, Names::Snake, text.as_bytes()), Ok(value));
    assert_eq!(written(&Type::F32, Names::Snake, &SampleValue::f32(0.1)), "0.1");
}

#[test]
fn of_equal_keys_the_last_is_written() {
    let ty = Type::Map(Arc::new(Type::String), Arc::new(Type::U8));
    let entry = |name: &str, value| (SampleValue::String(name.into()), SampleValue::Integer(value));
    let value = SampleValue::Map(vec![entry("a", 1), entry("b", 2), entry("a", 3)]);
    assert_eq!(written(&ty, Names::Snake, &value), r#"{"b":2,"a":3}"#);
}

#[test]
fn all_violations_are_reported_together() {
    let line = record("line", &[("product-id", Type::U32), ("a~b", Type::Bool)]);
    let ty = record(
        "order",
        &[
            ("user", Type::String),
            ("lines", Type::List(Arc::new(line))),
            ("state", enumeration("state", &["open", "sent"])),
            ("note", Type::Option(Arc::new(Type::String))),
        ],
    );
    let text = r#"{
        "lines": [{"product_id": -1, "a~b": 1}, 7, {"a~b": true, "a~b": true}],
        "note": [[]], "x/y": {"deep": [1]}, "state": "lost"
    }"#;
    let violation = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
    assert_eq!(
        violations(&ty, text),
        [
            violation("/lines/0/product_id", "must be a whole number from 0 to 4294967295, not -1"),
            violation("/lines/0/a~0b", "must be true or false, not 1"),
            violation("/lines/1", "must be an object, not 7"),
            violation("/lines/2/a~0b", "must not be there a second time"),
            violation("/lines/2/product_id", "must be there"),
            violation("/note", "must be a string or null, not an array"),
            violation("/x~1y", "must not be there: it is not known"),
            violation("/state", "must be one of \"open\", \"sent\", not \"lost\""),
            violation("/user", "must be there"),
        ]
    );
}

#[test]
fn the_number_of_violations_is_bounded() {
    let text = format!("[{}1]", "1,".repeat(100_000));
    assert_eq!(violations(&Type::List(Arc::new(Type::Bool)), &text).len(), MAX_VIOLATIONS);
}

#[test]
fn the_number_of_values_is_bounded() {
    let absent = |name| (name, Type::Option(Arc::new(Type::Bool)));
    let ty = Type::List(Arc::new(record("sparse", &["a", "b", "c", "d"].map(absent))));
    let sparse = |records: usize| format!("[{}{{}}]", "{},".repeat(records - 1));
    let most = (MAX_VALUES - 1) / 5;
    assert!(read::<SampleValue>(&ty, Names::Snake, sparse(most).as_bytes()).is_ok());
    let detail = format!("must not be there: a text has at most {MAX_VALUES} values, bytes counted");
    assert_eq!(violations(&ty, &sparse(10 * most)), [(format!("/{most}"), detail.clone())]);

    let bytes = |count: usize| format!("\"{}\"", "AAAA".repeat(count / 3));
    let ty = Type::List(Arc::new(Type::U8));
    assert!(read::<SampleValue>(&ty, Names::Snake, bytes(MAX_VALUES - 3).as_bytes()).is_ok());
    assert_eq!(violations(&ty, &bytes(MAX_VALUES + 3)), [(String::new(), detail)]);
}

#[test]
fn violations_below_a_long_name_do_not_repeat_it_without_bound() {
    let ty = Type::Map(Arc::new(Type::String), Arc::new(Type::List(Arc::new(Type::Bool))));
    let name = "~".repeat(MAX_VIOLATION_BYTES);
    let violations = violations(&ty, &format!("{{\"{name}\": [{}0]}}", "0,".repeat(MAX_VIOLATIONS)));
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].0.len(), "/".len() + 2 * name.len() + "/0".len());
}

#[test]
fn a_value_has_exactly_one_short_text() {
    let number = |text: &str| read_text::<SampleValue>(&Type::U32, Names::Snake, text);
    assert_eq!(number("7"), Ok(SampleValue::Integer(7)));
    for other in ["007", "+7", "-0", "7.0", " 7", "7 ", "", "-", "0x7", "4294967296", "٧"] {
        assert_eq!(number(other), Err(format!("must be a whole number from 0 to 4294967295, not {other:?}")));
    }
    for other in ["+1", "01", ".5", "1.", "inf", "nan", " 1", "1e400", "1_0", ""] {
        assert!(read_text::<SampleValue>(&Type::F64, Names::Snake, other).is_err(), "{other}");
    }
    for other in ["True", "1", ""] {
        assert!(read_text::<SampleValue>(&Type::Bool, Names::Snake, other).is_err(), "{other}");
    }
    let list = Type::List(Arc::new(Type::S8));
    assert_eq!(
        read_texts(&list, Names::Snake, &["1", "-2"]),
        Ok(SampleValue::List(vec![SampleValue::Integer(1), SampleValue::Integer(-2)]))
    );
    let refused = read_texts::<SampleValue>(&list, Names::Snake, &["1", "128", "x"]);
    assert_eq!(refused, Err("must be a whole number from -128 to 127, not \"128\"".into()));
}

#[test]
fn the_part_of_a_type_that_has_no_json_is_named() {
    let ty = record("upload", &[("name", Type::String), ("content", Type::Option(Arc::new(Type::Stream(None))))]);
    assert_eq!(unmappable(&ty).as_deref(), Some("a stream"));
    assert_eq!(unmappable(&Type::Resource("cart".into())).as_deref(), Some("the resource `cart`"));
}
