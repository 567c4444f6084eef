//! Reads types and writes values of WIT as text: as much of WIT as the examples of the document need.

use crate::contract::testing::{SampleValue, enumeration, flags, record, variant};
use crate::contract::wit::{Alias, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The types that a text declares, by name.
#[derive(Default)]
pub(super) struct Declared(BTreeMap<String, Type>);

impl Declared {
    /// Reads declarations, each of types declared before it.
    pub(super) fn new(wit: &str) -> Self {
        let mut declared = Self::default();
        let mut tokens = Tokens::new(wit);
        while let Some(keyword) = tokens.next() {
            let name = tokens.name();
            let ty = declared.declaration(&keyword, &name, &mut tokens);
            declared.0.insert(name, ty);
        }
        declared
    }

    /// The type that an expression means: `option<u8>`.
    pub(super) fn ty(&self, text: &str) -> Type {
        self.expression(&mut Tokens::new(text))
    }

    fn declaration(&self, keyword: &str, name: &str, tokens: &mut Tokens) -> Type {
        if keyword == "type" {
            tokens.expect("=");
            let ty = self.expression(tokens);
            tokens.expect(";");
            return Type::Alias(Arc::new(Alias { name: name.into(), docs: None, ty }));
        }
        tokens.expect("{");
        let mut parts = Vec::new();
        while !tokens.take("}") {
            let part = tokens.name();
            let ty = match keyword {
                "record" => tokens.take(":").then(|| self.expression(tokens)),
                _ => tokens.take("(").then(|| {
                    let ty = self.expression(tokens);
                    tokens.expect(")");
                    ty
                }),
            };
            parts.push((part, ty));
            tokens.take(",");
        }
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        let typed = || names.iter().copied().zip(parts.iter().map(|(_, ty)| ty.clone()));
        match keyword {
            "record" => record(name, &typed().map(|(name, ty)| (name, ty.unwrap())).collect::<Vec<_>>()),
            "variant" => variant(name, &typed().collect::<Vec<_>>()),
            "enum" => enumeration(name, &names),
            "flags" => flags(name, &names),
            other => panic!("`{other}` declares nothing"),
        }
    }

    fn expression(&self, tokens: &mut Tokens) -> Type {
        use Type as T;
        let name = tokens.name();
        let plain =
            [T::Bool, T::S8, T::U8, T::S16, T::U16, T::S32, T::U32, T::S64, T::U64, T::F32, T::F64, T::Char, T::String];
        let names = ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];
        if let Some(at) = names.iter().position(|plain| *plain == name) {
            return plain[at].clone();
        }
        let mut parts = Vec::new();
        if tokens.take("<") {
            while !tokens.take(">") {
                let length = tokens.0.last().and_then(|token| token.parse::<u32>().ok());
                let absent = tokens.0.last().is_some_and(|token| token == "_");
                if length.is_some() || absent {
                    tokens.next();
                }
                parts.push((length, (length.is_none() && !absent).then(|| Arc::new(self.expression(tokens)))));
                tokens.take(",");
            }
        }
        let part = |at: usize| parts.get(at).and_then(|(_, ty)| ty.clone());
        match name.as_str() {
            "list" => match parts.get(1) {
                Some((length, _)) => T::FixedList(part(0).unwrap(), length.unwrap()),
                None => T::List(part(0).unwrap()),
            },
            "map" => T::Map(part(0).unwrap(), part(1).unwrap()),
            "option" => T::Option(part(0).unwrap()),
            "result" => T::Result { ok: part(0), err: part(1) },
            "tuple" => T::Tuple(parts.iter().map(|(_, ty)| ty.as_deref().unwrap().clone()).collect()),
            other => self.0.get(other).unwrap_or_else(|| panic!("`{other}` is not declared")).clone(),
        }
    }
}

/// Words and signs, in reverse order.
struct Tokens(Vec<String>);

impl Tokens {
    fn new(text: &str) -> Self {
        let mut tokens: Vec<String> = Vec::new();
        for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
            let mut in_word = false;
            for letter in line.chars() {
                let word = letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
                match tokens.last_mut() {
                    Some(last) if in_word && word => last.push(letter),
                    _ if letter.is_whitespace() => {}
                    _ => tokens.push(letter.into()),
                }
                in_word = word;
            }
        }
        tokens.reverse();
        Self(tokens)
    }

    fn next(&mut self) -> Option<String> {
        self.0.pop()
    }

    fn name(&mut self) -> String {
        self.next().expect("a name")
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.0.last().is_some_and(|token| token == sign);
        if there {
            self.0.pop();
        }
        there
    }

    fn expect(&mut self, sign: &str) {
        assert!(self.take(sign), "`{sign}` is missing before {:?}", self.0.last());
    }
}

/// A value as people write it: `some({id: 1, name: "x"})`.
pub(super) fn spelt(value: &SampleValue) -> String {
    let all = |values: &[SampleValue]| values.iter().map(spelt).collect::<Vec<_>>().join(", ");
    let with = |name: &str, payload: Option<&SampleValue>| match payload {
        Some(payload) => format!("{name}({})", spelt(payload)),
        None => name.to_owned(),
    };
    match value {
        SampleValue::Bool(value) => value.to_string(),
        SampleValue::Integer(value) => value.to_string(),
        SampleValue::F32(bits) => format!("{:?}", f32::from_bits(*bits)),
        SampleValue::F64(bits) => format!("{:?}", f64::from_bits(*bits)),
        SampleValue::Char(value) => format!("{value:?}"),
        SampleValue::String(value) => format!("{value:?}"),
        SampleValue::List(items) | SampleValue::FixedList(items) => format!("[{}]", all(items)),
        SampleValue::Tuple(items) => format!("({})", all(items)),
        SampleValue::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", spelt(key), spelt(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        SampleValue::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", spelt(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        SampleValue::Variant(name, payload) => with(name, payload.as_deref()),
        SampleValue::Enum(name) => name.clone(),
        SampleValue::Option(None) => "none".into(),
        SampleValue::Option(payload) => with("some", payload.as_deref()),
        SampleValue::Result(Ok(payload)) => with("ok", payload.as_deref()),
        SampleValue::Result(Err(payload)) => with("err", payload.as_deref()),
        SampleValue::Flags(names) => format!("{{{}}}", names.join(", ")),
    }
}
