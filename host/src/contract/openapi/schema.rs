//! The JSON Schema (2020-12) of each type: the JSON mapping, said to others. It admits what the gateway reads.

use super::named::Named;
use super::{describe, pattern};
use crate::contract::json::{MAX_SAFE, Whole, is_byte, is_nullable};
use crate::contract::{Case, Field, Integer, Names, Type};
use serde_json::{Map, Value, json};

/// The schema of a type where it is used: a reference where it has a name.
pub(super) fn of(ty: &Type, names: Names, named: &Named) -> Value {
    match named.name(ty) {
        Some(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
        None => shape(ty, names, named),
    }
}

/// The schema of what a type is, whether it has a name or not; with the docs of its author.
pub(super) fn shape(ty: &Type, names: Names, named: &Named) -> Value {
    let of = |ty: &Type| of(ty, names, named);
    match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => {
            integer(Whole::of(ty).expect("these are the whole numbers"))
        }
        Type::F32 => float(json!({"type": "number", "format": "float", "minimum": f32::MIN, "maximum": f32::MAX})),
        Type::F64 => float(json!({"type": "number", "format": "double"})),
        Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Type::String => json!({"type": "string"}),
        Type::List(item) if is_byte(item) => bytes(None),
        Type::List(item) => json!({"type": "array", "items": of(item)}),
        Type::FixedList(item, count) if is_byte(item) => bytes(Some(*count)),
        Type::FixedList(item, count) => {
            json!({"type": "array", "items": of(item), "minItems": count, "maxItems": count})
        }
        Type::Map(key, value) => {
            json!({"type": "object", "propertyNames": key_names(key), "additionalProperties": of(value)})
        }
        Type::Option(inner) if is_nullable(inner) => json!({"type": "array", "items": of(inner), "maxItems": 1}),
        Type::Option(inner) => json!({"anyOf": [of(inner), {"type": "null"}]}),
        Type::Result { ok, err } => {
            let side = |name: &str, ty: Option<&Type>| member(name, ty.map_or_else(|| json!({"type": "null"}), of));
            json!({"oneOf": [side("ok", ok.as_deref()), side("err", err.as_deref())]})
        }
        Type::Tuple(types) => {
            let items: Vec<Value> = types.iter().map(of).collect();
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": items.len()})
        }
        Type::Record(it) => documented(record(&it.fields, names, named), it.docs.as_deref()),
        Type::Variant(it) => documented(variant(&it.cases, names, named), it.docs.as_deref()),
        Type::Enum(it) => {
            let all: Vec<String> = it.cases.iter().map(|case| names.of(&case.name)).collect();
            let docs = docs_with_cases(it.docs.as_deref(), &it.cases, names);
            documented(json!({"type": "string", "enum": all}), docs.as_deref())
        }
        Type::Flags(it) => {
            let all: Vec<String> = it.flags.iter().map(|flag| names.of(flag)).collect();
            let items = json!({"type": "string", "enum": all});
            documented(json!({"type": "array", "uniqueItems": true, "items": items}), it.docs.as_deref())
        }
        // Not of the alias that it may stand for: two aliases of one name share a schema, which must not refer to itself.
        Type::Alias(it) => documented(of(it.ty.resolved()), it.docs.as_deref()),
        // A function with one of these has no face.
        Type::Stream(_) | Type::Future(_) | Type::Resource(_) | Type::ErrorContext => json!(false),
    }
}

fn bytes(count: Option<u32>) -> Value {
    json!({"type": "string", "contentEncoding": "base64", "pattern": pattern::base64(count)})
}

fn float(number: Value) -> Value {
    json!({"anyOf": [number, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

/// The name of a kind of whole numbers in the registry of OpenAPI's formats.
fn format(kind: Integer) -> &'static str {
    match kind {
        Integer::S8 => "int8",
        Integer::U8 => "uint8",
        Integer::S16 => "int16",
        Integer::U16 => "uint16",
        Integer::S32 => "int32",
        Integer::U32 => "uint32",
        Integer::S64 => "int64",
        Integer::U64 => "uint64",
    }
}

fn integer(whole: Whole) -> Value {
    let exact = |bound: i128| i64::try_from(bound.clamp(-MAX_SAFE, MAX_SAFE)).expect("2^53 fits");
    let (min, max) = (exact(whole.min), exact(whole.max));
    let number = json!({"type": "integer", "format": format(whole.kind), "minimum": min, "maximum": max});
    if !whole.may_be_text() {
        return number;
    }
    json!({"anyOf": [number, {"type": "string", "pattern": pattern::decimal(whole.min, whole.max)}]})
}

/// The schema of the names of members that keys of a map become.
fn key_names(key: &Type) -> Value {
    match (key.resolved(), Whole::of(key)) {
        (_, Some(whole)) => json!({"pattern": pattern::decimal(whole.min, whole.max)}),
        (Type::Bool, _) => json!({"enum": ["true", "false"]}),
        (Type::Char, _) => json!({"minLength": 1, "maxLength": 1}),
        _ => json!(true),
    }
}

/// An object of this one member.
fn member(name: &str, schema: Value) -> Value {
    json!({"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": false})
}

/// Fields that are options may be left out.
fn record(fields: &[Field], names: Names, named: &Named) -> Value {
    let schema = |field: &Field| documented(of(&field.ty, names, named), field.docs.as_deref());
    let properties: Map<_, _> = fields.iter().map(|field| (names.of(&field.name), schema(field))).collect();
    let needed = fields.iter().filter(|field| !matches!(field.ty.resolved(), Type::Option(_)));
    let required: Vec<String> = needed.map(|field| names.of(&field.name)).collect();
    let object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if required.is_empty() { object } else { with(object, json!({"required": required})) }
}

fn variant(cases: &[Case], names: Names, named: &Named) -> Value {
    let schema = |case: &Case| {
        let name = names.of(&case.name);
        let schema = match &case.ty {
            Some(ty) => member(&name, of(ty, names, named)),
            None => json!({"const": name}),
        };
        documented(schema, case.docs.as_deref())
    };
    json!({"oneOf": cases.iter().map(schema).collect::<Vec<_>>()})
}

/// The docs with a list of what is said of the cases, for which JSON Schema has no place.
fn docs_with_cases(docs: Option<&str>, cases: &[Case], names: Names) -> Option<String> {
    let said = cases.iter().filter_map(|case| Some(format!("- `{}`: {}", names.of(&case.name), case.docs.as_ref()?)));
    let list = said.collect::<Vec<_>>().join("\n");
    match (docs, list.is_empty()) {
        (docs, true) => docs.map(str::to_owned),
        (Some(docs), false) => Some(format!("{docs}\n\n{list}")),
        (None, false) => Some(list),
    }
}

/// The schema with a description, which goes before one that it may have.
fn documented(mut schema: Value, docs: Option<&str>) -> Value {
    describe(&mut schema, docs);
    schema
}

/// Two objects as one.
fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
