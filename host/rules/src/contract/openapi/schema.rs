//! The JSON Schema (2020-12) of each type: the JSON mapping, described for clients. A schema admits what the gateway
//! reads, or all that it may answer.

use super::schema_names::{DirectedSchemas, NamedType, SchemaNames};
use super::text_pattern;
use crate::contract::json::{Direction, Integer, IntegerRange, MAX_SAFE, Names, is_byte, is_nullable};
use crate::contract::wit::{Case, Field, Type};
use serde_json::{Map, Value, json};

/// The schema of a type at a use of it: a reference if the type has a name.
pub(super) fn of(ty: &Type, names: Names, schemas: DirectedSchemas) -> Value {
    match schemas.of(ty) {
        Some(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
        None => shape(ty, names, schemas),
    }
}

/// All schemas that are referred to, by name.
pub(super) fn all(schemas: &SchemaNames) -> Map<String, Value> {
    let schema = |named: &NamedType| shape(named.ty, named.user.names, schemas.toward(named.direction()));
    schemas.iter().map(|named| (named.schema.clone(), schema(named))).collect()
}

/// The schema itself, whether the type has a name or not, with the docs of the contract's author.
fn shape(ty: &Type, names: Names, schemas: DirectedSchemas) -> Value {
    let of = |ty: &Type| of(ty, names, schemas);
    match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => {
            integer(IntegerRange::of(ty).expect("these are the integer types"))
        }
        Type::F32 => float(json!({"type": "number", "format": "float", "minimum": f32::MIN, "maximum": f32::MAX})),
        Type::F64 => float(json!({"type": "number", "format": "double", "minimum": f64::MIN, "maximum": f64::MAX})),
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
        Type::Record(it) => documented(record(&it.fields, names, schemas), it.docs.as_deref()),
        Type::Variant(it) => documented(variant(&it.cases, names, schemas), it.docs.as_deref()),
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
        // The type behind all aliases, not the next alias: two aliases of one name share a schema, which must not refer
        // to itself.
        Type::Alias(it) => documented(of(it.ty.resolved()), it.docs.as_deref()),
        // A function with one of these cannot be bound to a route.
        Type::Stream(_) | Type::Future(_) | Type::Resource(_) | Type::ErrorContext => json!(false),
    }
}

fn bytes(count: Option<u32>) -> Value {
    json!({"type": "string", "contentEncoding": "base64", "pattern": text_pattern::base64(count)})
}

fn float(number: Value) -> Value {
    json!({"anyOf": [number, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

/// The name of an integer type in the registry of OpenAPI's formats.
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

fn integer(range: IntegerRange) -> Value {
    let exact = |bound: i128| i64::try_from(bound.clamp(-MAX_SAFE, MAX_SAFE)).expect("2^53 fits");
    let (min, max) = (exact(range.min), exact(range.max));
    let number = json!({"type": "integer", "format": format(range.kind), "minimum": min, "maximum": max});
    if !range.may_be_text() {
        return number;
    }
    json!({"anyOf": [number, {"type": "string", "pattern": text_pattern::decimal(range.min, range.max)}]})
}

/// The schema of the names of members that the keys of a map become.
fn key_names(key: &Type) -> Value {
    match (key.resolved(), IntegerRange::of(key)) {
        (_, Some(range)) => json!({"pattern": text_pattern::decimal(range.min, range.max)}),
        (Type::Bool, _) => json!({"enum": ["true", "false"]}),
        (Type::Char, _) => json!({"minLength": 1, "maxLength": 1}),
        _ => json!(true),
    }
}

/// The schema of an object with this one member.
fn member(name: &str, schema: Value) -> Value {
    json!({"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": false})
}

/// The schema of a record. Fields that are options may be absent. An answer may have members that are added later.
fn record(fields: &[Field], names: Names, schemas: DirectedSchemas) -> Value {
    let schema = |field: &Field| documented(of(&field.ty, names, schemas), field.docs.as_deref());
    let properties: Map<_, _> = fields.iter().map(|field| (names.of(&field.name), schema(field))).collect();
    let needed = fields.iter().filter(|field| !matches!(field.ty.resolved(), Type::Option(_)));
    let required: Vec<String> = needed.map(|field| names.of(&field.name)).collect();
    let mut object = json!({"type": "object", "properties": properties});
    if schemas.direction == Direction::Sent {
        object["additionalProperties"] = false.into();
    }
    if required.is_empty() { object } else { with(object, json!({"required": required})) }
}

fn variant(cases: &[Case], names: Names, schemas: DirectedSchemas) -> Value {
    let schema = |case: &Case| {
        let name = names.of(&case.name);
        let schema = match &case.ty {
            Some(ty) => member(&name, of(ty, names, schemas)),
            None => json!({"const": name}),
        };
        documented(schema, case.docs.as_deref())
    };
    json!({"oneOf": cases.iter().map(schema).collect::<Vec<_>>()})
}

/// The docs of an enum followed by the docs of its cases as a list: JSON Schema has no member for those.
fn docs_with_cases(docs: Option<&str>, cases: &[Case], names: Names) -> Option<String> {
    let described =
        cases.iter().filter_map(|case| Some(format!("- `{}`: {}", names.of(&case.name), case.docs.as_ref()?)));
    let list = described.collect::<Vec<_>>().join("\n");
    match (docs, list.is_empty()) {
        (docs, true) => docs.map(str::to_owned),
        (Some(docs), false) => Some(format!("{docs}\n\n{list}")),
        (None, false) => Some(list),
    }
}

/// Adds a description to an object if there is one.
pub(super) fn describe(object: &mut Value, docs: Option<&str>) {
    if let Some(docs) = docs {
        object["description"] = docs.into();
    }
}

/// The schema with these docs as its description. They replace a description that it has already.
fn documented(mut schema: Value, docs: Option<&str>) -> Value {
    describe(&mut schema, docs);
    schema
}

/// An object with the members of both.
fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
