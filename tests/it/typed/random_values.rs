//! Random JSON values for any type of a contract, in the one form in which a typed route answers them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use host::contract::{Names, Type};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Makes random values from a seed.
pub struct Random {
    random: SmallRng,
    names: Names,
}

/// The greatest whole number that every JSON reader keeps exactly.
const SAFE: i128 = (1 << 53) - 1;

impl Random {
    pub fn new(seed: u64, names: Names) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), names }
    }

    /// A value of `ty`.
    pub fn value(&mut self, ty: &Type) -> Value {
        self.within(ty, 4)
    }

    /// A value whose lists have at most `most` items, and nested lists fewer.
    fn within(&mut self, ty: &Type, most: usize) -> Value {
        match ty.resolved() {
            Type::Bool => json!(self.random.random::<bool>()),
            Type::S8 => self.whole(i8::MIN.into(), i8::MAX.into()),
            Type::U8 => self.whole(u8::MIN.into(), u8::MAX.into()),
            Type::S16 => self.whole(i16::MIN.into(), i16::MAX.into()),
            Type::U16 => self.whole(u16::MIN.into(), u16::MAX.into()),
            Type::S32 => self.whole(i32::MIN.into(), i32::MAX.into()),
            Type::U32 => self.whole(u32::MIN.into(), u32::MAX.into()),
            Type::S64 => self.whole(i64::MIN.into(), i64::MAX.into()),
            Type::U64 => self.whole(u64::MIN.into(), u64::MAX.into()),
            Type::F32 => self.single(),
            Type::F64 => self.double(),
            Type::Char => json!(self.letter().to_string()),
            Type::String => json!(self.text()),
            Type::List(item) => {
                let count = self.random.random_range(0..=most);
                self.list(item, count, most)
            }
            Type::FixedList(item, count) => self.list(item, *count as usize, most),
            Type::Map(key, value) => self.map(key, value, most),
            Type::Option(inner) => self.option(inner, most),
            Type::Result { ok, err } => {
                let (side, ty) = if self.random.random() { ("ok", ok) } else { ("err", err) };
                let payload = ty.as_ref().map_or(Value::Null, |ty| self.within(ty, most));
                json!({ side: payload })
            }
            Type::Tuple(types) => types.iter().map(|ty| self.within(ty, most)).collect(),
            Type::Record(record) => {
                let fields = record.fields.iter();
                fields.map(|field| (self.names.of(&field.name), self.within(&field.ty, most))).collect()
            }
            Type::Variant(variant) => {
                let case = &variant.cases[self.random.random_range(0..variant.cases.len())];
                let name = self.names.of(&case.name);
                match &case.ty {
                    Some(ty) => json!({ name: self.within(ty, most) }),
                    None => json!(name),
                }
            }
            Type::Enum(cases) => {
                json!(self.names.of(&cases.cases[self.random.random_range(0..cases.cases.len())].name))
            }
            Type::Flags(flags) => {
                let chosen = flags.flags.iter().filter(|_| self.random.random());
                chosen.map(|name| json!(self.names.of(name))).collect()
            }
            other => panic!("{other} has no JSON"),
        }
    }

    /// A whole number. The ends of the range and the numbers beside zero come as often as all others.
    fn whole(&mut self, min: i128, max: i128) -> Value {
        let edges = [min, max, min + 1, max - 1, 0, 1, -1, SAFE, SAFE + 1, -SAFE, -SAFE - 1];
        let number = match self.random.random_range(0..edges.len() * 2) {
            at if at < edges.len() && (min..=max).contains(&edges[at]) => edges[at],
            _ => self.random.random_range(min..=max),
        };
        if number.abs() > SAFE { json!(number.to_string()) } else { json!(i64::try_from(number).unwrap()) }
    }

    fn double(&mut self) -> Value {
        let edges = [0.0, -0.0, 0.1, -1.5, f64::MAX, f64::MIN_POSITIVE, 5e-324, 9_007_199_254_740_992.0];
        match self.random.random_range(0..edges.len() * 2 + 3) {
            0 => json!("NaN"),
            1 => json!("Infinity"),
            2 => json!("-Infinity"),
            at if at - 3 < edges.len() => json!(edges[at - 3]),
            _ => loop {
                let number = f64::from_bits(self.random.random());
                if number.is_finite() {
                    return json!(number);
                }
            },
        }
    }

    /// A 32-bit float as its shortest text. A reader that keeps doubles gets the same 32 bits back from it.
    fn single(&mut self) -> Value {
        loop {
            let number = match self.random.random_range(0..8) {
                0 => return json!("NaN"),
                1 => return json!("-Infinity"),
                2 => 0.1,
                3 => f32::MAX,
                _ => f32::from_bits(self.random.random()),
            };
            // If two texts are equally short, serde_json decides which one is used.
            let Ok(shortest) = serde_json::to_string(&number).unwrap().parse::<f64>() else { continue };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::float_cmp,
                reason = "that is the condition that is tested"
            )]
            if number.is_finite() && shortest as f32 == number {
                return json!(shortest);
            }
        }
    }

    fn letter(&mut self) -> char {
        let odd =
            ['"', '\\', '/', '\n', '\0', '\u{7f}', 'é', '中', '🏝', '\u{2028}', '\u{ffff}', '\u{10ffff}', '&', '%', ' '];
        match self.random.random_range(0..4) {
            0 => odd[self.random.random_range(0..odd.len())],
            1 => loop {
                if let Some(letter) = char::from_u32(self.random.random_range(0..=0x0010_ffff)) {
                    return letter;
                }
            },
            _ => char::from(self.random.random_range(b'a'..=b'z')),
        }
    }

    fn text(&mut self) -> String {
        let length = self.random.random_range(0..12);
        (0..length).map(|_| self.letter()).collect()
    }

    fn list(&mut self, item: &Type, count: usize, most: usize) -> Value {
        if matches!(item.resolved(), Type::U8) {
            let bytes: Vec<u8> = (0..count).map(|_| self.random.random()).collect();
            return json!(BASE64_STANDARD.encode(bytes));
        }
        (0..count).map(|_| self.within(item, most.saturating_sub(1))).collect()
    }

    fn map(&mut self, key: &Type, value: &Arc<Type>, most: usize) -> Value {
        let count = self.random.random_range(0..=most);
        let entries = (0..count).map(|_| {
            let key = text(&self.value(key));
            (key, self.within(value, most.saturating_sub(1)))
        });
        Value::Object(entries.collect::<Map<_, _>>())
    }

    fn option(&mut self, inner: &Type, most: usize) -> Value {
        let value = self.random.random::<bool>().then(|| self.within(inner, most));
        if may_be_null(inner) { json!(value.into_iter().collect::<Vec<_>>()) } else { json!(value) }
    }
}

fn may_be_null(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::Option(inner) if !may_be_null(inner))
}

/// A textual value as it is written in a path, a query or a map's key.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether two values are equal: numbers by their value and the sign of zero, members in any order.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let bits = |number: &serde_json::Number| number.as_f64().map(f64::to_bits);
            a == b || !(a.is_i64() && b.is_i64()) && bits(a) == bits(b)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}
