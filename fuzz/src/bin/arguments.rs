//! JSON, and the compact form of other nodes, as a value of a WIT type: any bytes are read or refused, and what was
//! read is written and read again the same.
//!
//! The first byte chooses the spelling of names; all kinds of types that have JSON are in the one record.
#![no_main]

use host::contract::json::{read, write};
use host::contract::{Alias, Case, Enum, Field, Flags, Names, Record, Type, Variant, read_compact, write_compact};
use host::mesh::Value;
use libfuzzer_sys::fuzz_target;
use std::iter;
use std::sync::{Arc, LazyLock};

static TYPE: LazyLock<Type> = LazyLock::new(record);

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    compact(text);
    let names = [Names::Snake, Names::Camel, Names::Kebab][usize::from(choice) % 3];
    let Ok(value) = read::<Value>(&TYPE, names, text) else { return };
    let written = json(&value, names);
    let again: Value = read(&TYPE, names, &written).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&written)));
    assert_eq!(json(&again, names), written, "a value changed on its way through JSON");
});

/// The same bytes as another node might send them: a value that is read has these very bytes.
fn compact(bytes: &[u8]) {
    let Ok(values) = read_compact::<Value>(iter::once(&*TYPE), bytes) else { return };
    let mut written = Vec::new();
    write_compact(&TYPE, &values[0], &mut written).expect("what was read as this type can be written as this type");
    assert_eq!(written, bytes, "a value has two forms");
}

fn json(value: &Value, names: Names) -> Vec<u8> {
    let mut text = Vec::new();
    write(&TYPE, names, value, &mut text).expect("what was read as this type can be written as this type");
    text
}

/// A record with a field of each kind. All but two are options, so that a short text can be whole.
fn record() -> Type {
    let scalars = [
        ("b", Type::Bool),
        ("s8", Type::S8),
        ("u8", Type::U8),
        ("s16", Type::S16),
        ("u16", Type::U16),
        ("s32", Type::S32),
        ("u32", Type::U32),
        ("s64", Type::S64),
        ("u64", Type::U64),
        ("f32", Type::F32),
        ("f64", Type::F64),
        ("c", Type::Char),
    ];
    let list = |ty| Type::List(Arc::new(ty));
    let compounds = [
        ("bytes", list(Type::U8)),
        ("texts", list(Type::String)),
        ("pair", Type::Tuple([Type::U8, list(Type::F32)].into())),
        ("three-words", Type::FixedList(Arc::new(Type::String), 3)),
        ("by-name", Type::Map(Arc::new(Type::String), Arc::new(Type::S64))),
        ("by-number", Type::Map(Arc::new(Type::U16), Arc::new(Type::Bool))),
        ("outcome", Type::Result { ok: Some(Arc::new(Type::String)), err: None }),
        ("perhaps", option(option(Type::U8))),
        ("colour", Type::Enum(Arc::new(Enum { name: "colour".into(), docs: None, cases: cases() }))),
        ("shape", Type::Variant(Arc::new(Variant { name: "shape".into(), docs: None, cases: shapes() }))),
        ("rights", Type::Flags(Arc::new(flags()))),
        ("size", Type::Alias(Arc::new(Alias { name: "size".into(), docs: None, ty: Type::U32 }))),
    ];
    let optional = scalars.into_iter().chain(compounds).map(|(name, ty)| field(name, option(ty)));
    let required = [field("user-id", Type::String), field("amount", Type::S64)];
    let fields = required.into_iter().chain(optional).collect();
    Type::Record(Arc::new(Record { name: "everything".into(), docs: None, fields }))
}

fn option(ty: Type) -> Type {
    Type::Option(Arc::new(ty))
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), docs: None, ty }
}

fn flags() -> Flags {
    Flags { name: "rights".into(), docs: None, flags: ["may-read", "may-write"].map(str::to_owned).to_vec() }
}

fn cases() -> Vec<Case> {
    ["red", "dark-blue"].into_iter().map(|name| Case { name: name.into(), docs: None, ty: None }).collect()
}

fn shapes() -> Vec<Case> {
    vec![
        Case { name: "none".into(), docs: None, ty: None },
        Case { name: "circle".into(), docs: None, ty: Some(Type::F64) },
        Case { name: "named".into(), docs: None, ty: Some(option(Type::String)) },
    ]
}
