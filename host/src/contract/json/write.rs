//! From values to JSON.

use super::shape::{Whole, is_byte, is_nullable, is_safe};
use super::text::to_text;
use crate::contract::{Case, Names, Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::HashMap;

/// A value that is not of the type that it was written as: whoever made it broke its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is no {0}, as its type says")]
pub struct Misfit(&'static str);

/// Writes a value as the JSON of its type, which must have no part that [`unmappable`](super::unmappable) names.
///
/// # Errors
/// The value is not of the type. `out` is then as it was.
pub fn write<V: Value>(ty: &Type, names: Names, value: &V, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let start = out.len();
    let outcome = Writer { names, out }.value(ty, value);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

struct Writer<'o> {
    names: Names,
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn value<V: Value>(&mut self, ty: &Type, value: &V) -> Result<(), Misfit> {
        match ty.resolved() {
            Type::Bool => self.plain(value.as_bool().ok_or(Misfit("bool"))?),
            Type::F32 => self.single(value.as_f32().ok_or(Misfit("f32"))?),
            Type::F64 => self.double(value.as_f64().ok_or(Misfit("f64"))?),
            Type::Char => self.plain(value.as_char().ok_or(Misfit("char"))?),
            Type::String => self.plain(value.as_string().ok_or(Misfit("string"))?),
            Type::List(item) => self.list(item, value.as_list().ok_or(Misfit("list"))?),
            Type::FixedList(item, length) => {
                let items = value.as_list().filter(|items| items.len() as u64 == u64::from(*length));
                self.list(item, items.ok_or(Misfit("list of its length"))?)
            }
            Type::Map(key, item) => self.map(key, item, value.as_map().ok_or(Misfit("map"))?),
            Type::Option(inner) => self.option(inner, value.as_option().ok_or(Misfit("option"))?),
            Type::Result { ok, err } => match value.as_result().ok_or(Misfit("result"))? {
                Ok(payload) => self.case("ok", ok.as_deref(), payload),
                Err(payload) => self.case("err", err.as_deref(), payload),
            },
            Type::Tuple(types) => {
                let items = value.as_tuple().filter(|items| items.len() == types.len()).ok_or(Misfit("tuple"))?;
                self.array(types.iter().zip(items), |writer, (ty, item)| writer.value(ty, item))
            }
            Type::Record(record) => {
                let fields = value.as_record().filter(|fields| fields.len() == record.fields.len());
                let pairs = record.fields.iter().zip(fields.ok_or(Misfit("record"))?);
                self.object(pairs, |writer, (field, (name, value))| {
                    if field.name != *name {
                        return Err(Misfit("record"));
                    }
                    writer.name(name);
                    writer.out.push(b':');
                    writer.value(&field.ty, value)
                })
            }
            Type::Variant(variant) => {
                let (name, payload) = value.as_variant().ok_or(Misfit("variant"))?;
                match (known(&variant.cases, name).ok_or(Misfit("variant"))?, payload) {
                    (Case { ty: None, .. }, None) => self.bare(name),
                    (case, payload) => self.case(name, case.ty.as_ref(), payload),
                }
            }
            Type::Enum(cases) => {
                let name = value.as_enumeration().filter(|name| known(&cases.cases, name).is_some());
                self.bare(name.ok_or(Misfit("enum"))?)
            }
            Type::Flags(flags) => {
                let set = value.as_flags().filter(|set| set.iter().all(|name| flags.flags.contains(name)));
                let set = set.ok_or(Misfit("flags"))?;
                self.array(flags.flags.iter().filter(|name| set.contains(name)), |writer, name| writer.bare(name))
            }
            other => match Whole::of(other) {
                Some(whole) => {
                    let number = value.as_integer().filter(|&number| whole.holds(number));
                    self.whole(number.ok_or(Misfit("whole number of its kind"))?)
                }
                None => Err(Misfit("type that has JSON")),
            },
        }
    }

    /// Whatever serde_json writes as it is wanted here.
    fn plain(&mut self, value: impl Serialize) -> Result<(), Misfit> {
        serde_json::to_writer(&mut *self.out, &value).expect("a vector takes all, and these values have JSON");
        Ok(())
    }

    fn whole(&mut self, value: i128) -> Result<(), Misfit> {
        if is_safe(value) { self.plain(value) } else { self.plain(value.to_string()) }
    }

    fn double(&mut self, value: f64) -> Result<(), Misfit> {
        if value.is_nan() {
            self.plain("NaN")
        } else if value.is_infinite() {
            self.plain(if value > 0.0 { "Infinity" } else { "-Infinity" })
        } else {
            self.plain(value)
        }
    }

    /// Writes the shortest number, unless it leads a reader by way of a double to a neighbour (7.038531e-26 does).
    fn single(&mut self, value: f32) -> Result<(), Misfit> {
        if !value.is_finite() {
            return self.double(value.into());
        }
        let start = self.out.len();
        self.plain(value)?;
        let read: Option<f64> = serde_json::from_slice(&self.out[start..]).ok();
        if read.and_then(super::read::single) == Some(value) {
            return Ok(());
        }
        self.out.truncate(start);
        self.double(value.into())
    }

    fn list<V: Value>(&mut self, item: &Type, items: &[V]) -> Result<(), Misfit> {
        if !is_byte(item) {
            return self.array(items.iter(), |writer, value| writer.value(item, value));
        }
        let byte = |item: &V| item.as_integer().and_then(|byte| u8::try_from(byte).ok());
        let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
        self.plain(STANDARD.encode(bytes.ok_or(Misfit("list of bytes"))?))
    }

    fn map<V: Value>(&mut self, key: &Type, item: &Type, entries: &[(V, V)]) -> Result<(), Misfit> {
        let texts = entries.iter().map(|(name, _)| to_text(key, self.names, name).ok_or(Misfit("map with such keys")));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        // The Component Model lets a key come twice, and the last one counts.
        let last: HashMap<&str, usize> = texts.iter().enumerate().map(|(at, text)| (text.as_str(), at)).collect();
        let kept = texts.iter().zip(entries).enumerate().filter(|(at, (text, _))| last.get(text.as_str()) == Some(at));
        self.object(kept, |writer, (_, (text, (_, value)))| {
            writer.plain(text)?;
            writer.out.push(b':');
            writer.value(item, value)
        })
    }

    fn option<V: Value>(&mut self, inner: &Type, value: Option<&V>) -> Result<(), Misfit> {
        match value {
            _ if is_nullable(inner) => self.array(value.into_iter(), |writer, value| writer.value(inner, value)),
            Some(value) => self.value(inner, value),
            None => self.plain(()),
        }
    }

    /// One member whose name says what it carries.
    fn case<V: Value>(&mut self, name: &str, ty: Option<&Type>, payload: Option<&V>) -> Result<(), Misfit> {
        self.out.push(b'{');
        self.name(name);
        self.out.push(b':');
        match (ty, payload) {
            (Some(ty), Some(payload)) => self.value(ty, payload)?,
            (None, None) => self.plain(())?,
            _ => return Err(Misfit("case with such a payload")),
        }
        self.out.push(b'}');
        Ok(())
    }

    /// A name as a string.
    fn bare(&mut self, name: &str) -> Result<(), Misfit> {
        self.name(name);
        Ok(())
    }

    /// A name of the contract needs no escapes.
    fn name(&mut self, name: &str) {
        self.out.push(b'"');
        for letter in self.names.letters(name) {
            self.out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.out.push(b'"');
    }

    fn array<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        each: impl FnMut(&mut Self, T) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        self.joined([b'[', b']'], items, each)
    }

    fn object<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        each: impl FnMut(&mut Self, T) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        self.joined([b'{', b'}'], items, each)
    }

    fn joined<T>(
        &mut self,
        [open, close]: [u8; 2],
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        self.out.push(open);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            each(self, item)?;
        }
        self.out.push(close);
        Ok(())
    }
}

/// The case with this name.
fn known<'c>(cases: &'c [Case], name: &str) -> Option<&'c Case> {
    cases.iter().find(|case| case.name == name)
}
