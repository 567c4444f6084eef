//! Reads values in the compact form, from bytes that somebody else made.

use super::var_int;
use crate::contract::json::{Integer, IntegerRange, Value};
use crate::contract::wit::{Case, Type};
use std::sync::Arc;

/// The most parts that the values of one message may have: each item, field and payload is one. The engine keeps 40 to
/// 120 bytes for each, and a byte may stand for one, so a bound on the bytes alone does not bound the memory.
pub const MAX_PARTS: usize = 4 << 20;

/// A list begins with room for so many items, whatever length it announces; it grows as they come.
const ROOM: usize = 1024;

/// Why bytes are not the compact form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// They end before the value does.
    #[error("the bytes end within a value")]
    Short,
    /// They go on after the last value.
    #[error("the bytes go on after the last value")]
    Long,
    /// A value is not in the form of its type.
    #[error("the bytes are not in the form of {0}")]
    Form(&'static str),
    /// The values have more than [`MAX_PARTS`] parts.
    #[error("the values have more than {MAX_PARTS} parts")]
    Parts,
}

/// Reads one value of each of `types`, which is all that `bytes` hold.
///
/// # Errors
/// [`CompactError`]
pub fn read_compact<'t, V: Value>(types: impl Iterator<Item = &'t Type>, bytes: &[u8]) -> Result<Vec<V>, CompactError> {
    read_within(types, bytes, MAX_PARTS)
}

/// The same, with another bound on the parts.
pub(super) fn read_within<'t, V: Value>(
    types: impl Iterator<Item = &'t Type>,
    bytes: &[u8],
    parts: usize,
) -> Result<Vec<V>, CompactError> {
    let mut reader = CompactReader { bytes, parts };
    let values = types.map(|ty| reader.value(ty)).collect::<Result<_, _>>()?;
    if reader.bytes.is_empty() { Ok(values) } else { Err(CompactError::Long) }
}

struct CompactReader<'b> {
    bytes: &'b [u8],
    /// How many more parts there may be.
    parts: usize,
}

impl CompactReader<'_> {
    /// A type is a tree without circles, and so is what is read of it: its depth bounds that of the calls.
    fn value<V: Value>(&mut self, ty: &Type) -> Result<V, CompactError> {
        self.parts = self.parts.checked_sub(1).ok_or(CompactError::Parts)?;
        Ok(match ty.resolved() {
            Type::Bool => V::bool(self.flag("a bool")?),
            Type::F32 => V::f32(f32::from_bits(u32::from_le_bytes(self.array()?))),
            Type::F64 => V::f64(f64::from_bits(u64::from_le_bytes(self.array()?))),
            Type::Char => {
                let scalar = u32::try_from(self.number("a char")?).ok().and_then(char::from_u32);
                V::char(scalar.ok_or(CompactError::Form("a char"))?)
            }
            Type::String => {
                let length = self.length("a string")?;
                let text = str::from_utf8(self.take(length)?).map_err(|_| CompactError::Form("a string"))?;
                V::string(text.to_owned())
            }
            Type::List(item) => {
                let length = self.items(&[item], "a list")?;
                V::list(self.list(item, length)?)
            }
            Type::FixedList(item, length) => V::fixed_list(self.list(item, *length as usize)?),
            Type::Map(key, item) => {
                let length = self.items(&[key, item], "a map")?;
                let mut entries = Vec::with_capacity(length.min(ROOM));
                for _ in 0..length {
                    entries.push((self.value(key)?, self.value(item)?));
                }
                V::map(entries)
            }
            Type::Option(inner) => V::option(match self.flag("an option")? {
                true => Some(self.value(inner)?),
                false => None,
            }),
            Type::Result { ok, err } => V::result(match self.flag("a result")? {
                false => Ok(self.payload(ok.as_deref())?),
                true => Err(self.payload(err.as_deref())?),
            }),
            other => return self.named(other),
        })
    }

    /// Reads a value of a type with names, or a whole number.
    fn named<V: Value>(&mut self, ty: &Type) -> Result<V, CompactError> {
        Ok(match ty {
            Type::Tuple(types) => V::tuple(types.iter().map(|ty| self.value(ty)).collect::<Result<_, _>>()?),
            Type::Record(record) => {
                let fields = record.fields.iter().map(|field| Ok((field.name.clone(), self.value(&field.ty)?)));
                V::record(fields.collect::<Result<_, _>>()?)
            }
            Type::Variant(variant) => {
                let case = self.case(&variant.cases, "a variant")?;
                V::variant(case.name.clone(), self.payload(case.ty.as_ref())?)
            }
            Type::Enum(kinds) => V::enumeration(self.case(&kinds.cases, "an enum")?.name.clone()),
            Type::Flags(flags) => {
                let mut set = Vec::new();
                for eight in flags.flags.chunks(8) {
                    let [byte] = self.array()?;
                    if eight.len() < 8 && byte >> eight.len() != 0 {
                        return Err(CompactError::Form("flags"));
                    }
                    let names = eight.iter().enumerate().filter(|(at, _)| byte & (1 << at) != 0);
                    set.extend(names.map(|(_, name)| name.clone()));
                }
                V::flags(set)
            }
            other => return self.integer(other),
        })
    }

    fn integer<V: Value>(&mut self, ty: &Type) -> Result<V, CompactError> {
        const FORM: CompactError = CompactError::Form("a whole number");
        let range = IntegerRange::of(ty).ok_or(CompactError::Form("a type that crosses"))?;
        let number = match range.kind {
            Integer::U8 => i128::from(u8::from_le_bytes(self.array()?)),
            Integer::S8 => i128::from(i8::from_le_bytes(self.array()?)),
            Integer::U16 | Integer::U32 | Integer::U64 => self.number("a whole number")?.into(),
            Integer::S16 | Integer::S32 | Integer::S64 => var_int::unzigzag(self.number("a whole number")?).into(),
        };
        if (range.min..=range.max).contains(&number) { Ok(V::integer(range.kind, number)) } else { Err(FORM) }
    }

    fn list<V: Value>(&mut self, item: &Type, length: usize) -> Result<Vec<V>, CompactError> {
        let mut items = Vec::with_capacity(length.min(ROOM));
        for _ in 0..length {
            items.push(self.value(item)?);
        }
        Ok(items)
    }

    fn payload<V: Value>(&mut self, ty: Option<&Type>) -> Result<Option<V>, CompactError> {
        ty.map(|ty| self.value(ty)).transpose()
    }

    fn case<'t>(&mut self, cases: &'t [Case], form: &'static str) -> Result<&'t Case, CompactError> {
        let at = usize::try_from(self.number(form)?).ok();
        at.and_then(|at| cases.get(at)).ok_or(CompactError::Form(form))
    }

    fn flag(&mut self, form: &'static str) -> Result<bool, CompactError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(CompactError::Form(form)),
        }
    }

    /// A length of items of `types`. Items that take bytes are no more than the bytes that are left.
    fn items(&mut self, types: &[&Arc<Type>], form: &'static str) -> Result<usize, CompactError> {
        let length = self.number(form)?;
        let most = if types.iter().any(|ty| takes_bytes(ty)) { self.bytes.len() } else { self.parts };
        usize::try_from(length).ok().filter(|length| *length <= most).ok_or(CompactError::Short)
    }

    fn length(&mut self, form: &'static str) -> Result<usize, CompactError> {
        usize::try_from(self.number(form)?).map_err(|_| CompactError::Short)
    }

    fn number(&mut self, form: &'static str) -> Result<u64, CompactError> {
        var_int::read(&mut self.bytes).ok_or(CompactError::Form(form))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CompactError> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(CompactError::Short)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], CompactError> {
        let (first, rest) = self.bytes.split_at_checked(length).ok_or(CompactError::Short)?;
        self.bytes = rest;
        Ok(first)
    }
}

/// Whether each value of the type takes a byte at least. The first part of nearly every type says so.
fn takes_bytes(ty: &Type) -> bool {
    match ty.resolved() {
        Type::Tuple(types) => types.iter().any(takes_bytes),
        Type::Record(record) => record.fields.iter().any(|field| takes_bytes(&field.ty)),
        Type::FixedList(item, length) => *length > 0 && takes_bytes(item),
        Type::Flags(flags) => !flags.flags.is_empty(),
        _ => true,
    }
}
