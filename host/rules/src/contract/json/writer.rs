//! Writes values as JSON.

use super::json_form::{is_byte, is_nullable};
use super::names::Names;
use super::scalar_writer::{Misfit, case_named, plain, write_name, write_scalar};
use super::short_text::plain_text;
use super::value::Value;
use crate::contract::wit::{Case, Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;

/// Appends the JSON of a value to `out`. The type must be one that [`unmappable`](super::unmappable) finds nothing in.
///
/// # Errors
/// The value is not of the type. `out` is then as it was before.
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
            scalar @ (Type::Bool
            | Type::S8
            | Type::U8
            | Type::S16
            | Type::U16
            | Type::S32
            | Type::U32
            | Type::S64
            | Type::U64
            | Type::F32
            | Type::F64
            | Type::Char
            | Type::String
            | Type::Enum(_)) => write_scalar(scalar, self.names, value, self.out),
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
                match (case_named(&variant.cases, name).ok_or(Misfit("variant"))?, payload) {
                    (Case { ty: None, .. }, None) => {
                        self.name(name);
                        Ok(())
                    }
                    (case, payload) => self.case(name, case.ty.as_ref(), payload),
                }
            }
            Type::Flags(flags) => {
                let set = value.as_flags().filter(|set| set.iter().all(|name| flags.flags.contains(name)));
                let set = set.ok_or(Misfit("flags"))?;
                self.array(flags.flags.iter().filter(|name| set.contains(name)), |writer, name| {
                    writer.name(name);
                    Ok(())
                })
            }
            Type::Alias(_) => unreachable!("aliases are resolved"),
            Type::Stream(_) | Type::Future(_) | Type::Resource(_) | Type::ErrorContext => {
                Err(Misfit("value of a type that has JSON"))
            }
        }
    }

    fn list<V: Value>(&mut self, item: &Type, items: &[V]) -> Result<(), Misfit> {
        if !is_byte(item) {
            return self.array(items.iter(), |writer, value| writer.value(item, value));
        }
        let byte = |item: &V| item.as_integer().and_then(|byte| u8::try_from(byte).ok());
        let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
        plain(STANDARD.encode(bytes.ok_or(Misfit("list of bytes"))?), self.out);
        Ok(())
    }

    fn map<V: Value>(&mut self, key: &Type, item: &Type, entries: &[(V, V)]) -> Result<(), Misfit> {
        let texts =
            entries.iter().map(|(name, _)| plain_text(key, self.names, name).ok_or(Misfit("map with such keys")));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        // The Component Model allows a key to be repeated; the last entry counts.
        let last: HashMap<&str, usize> = texts.iter().enumerate().map(|(at, text)| (text.as_str(), at)).collect();
        let kept = texts.iter().zip(entries).enumerate().filter(|(at, (text, _))| last.get(text.as_str()) == Some(at));
        self.object(kept, |writer, (_, (text, (_, value)))| {
            plain(text, writer.out);
            writer.out.push(b':');
            writer.value(item, value)
        })
    }

    fn option<V: Value>(&mut self, inner: &Type, value: Option<&V>) -> Result<(), Misfit> {
        match value {
            _ if is_nullable(inner) => self.array(value.into_iter(), |writer, value| writer.value(inner, value)),
            Some(value) => self.value(inner, value),
            None => {
                plain((), self.out);
                Ok(())
            }
        }
    }

    /// An object with one member: the name of the case, and its payload.
    fn case<V: Value>(&mut self, name: &str, ty: Option<&Type>, payload: Option<&V>) -> Result<(), Misfit> {
        self.out.push(b'{');
        self.name(name);
        self.out.push(b':');
        match (ty, payload) {
            (Some(ty), Some(payload)) => self.value(ty, payload)?,
            (None, None) => plain((), self.out),
            (Some(_), None) | (None, Some(_)) => return Err(Misfit("case with such a payload")),
        }
        self.out.push(b'}');
        Ok(())
    }

    fn name(&mut self, name: &str) {
        write_name(self.names, name, self.out);
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
