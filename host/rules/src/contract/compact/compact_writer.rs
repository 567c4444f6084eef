//! Writes values in the compact form.

use super::var_int;
use crate::contract::json::{Integer, IntegerRange, Value};
use crate::contract::wit::Type;

/// A value that is not of the type that it was written as: the service that made it broke its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not {0}, as its type says")]
pub struct Unwritable(&'static str);

/// Appends the compact form of a value. The type must be one that [`uncrossable`](super::uncrossable) finds nothing in.
///
/// # Errors
/// The value is not of the type. `out` then holds a part of it.
pub fn write_compact<V: Value>(ty: &Type, value: &V, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    match ty.resolved() {
        Type::Bool => out.push(value.as_bool().ok_or(Unwritable("a bool"))?.into()),
        Type::F32 => out.extend(value.as_f32().ok_or(Unwritable("an f32"))?.to_bits().to_le_bytes()),
        Type::F64 => out.extend(value.as_f64().ok_or(Unwritable("an f64"))?.to_bits().to_le_bytes()),
        Type::Char => var_int::write(u32::from(value.as_char().ok_or(Unwritable("a char"))?).into(), out),
        Type::String => {
            let text = value.as_string().ok_or(Unwritable("a string"))?;
            count(text.len(), out);
            out.extend(text.as_bytes());
        }
        Type::List(item) => {
            let items = value.as_list().ok_or(Unwritable("a list"))?;
            count(items.len(), out);
            each(item, items, out)?;
        }
        Type::FixedList(item, length) => {
            let items = value.as_list().filter(|items| items.len() as u64 == u64::from(*length));
            each(item, items.ok_or(Unwritable("a list of its length"))?, out)?;
        }
        Type::Map(key, item) => {
            let entries = value.as_map().ok_or(Unwritable("a map"))?;
            count(entries.len(), out);
            for (name, value) in entries {
                write_compact(key, name, out)?;
                write_compact(item, value, out)?;
            }
        }
        Type::Option(inner) => {
            let value = value.as_option().ok_or(Unwritable("an option"))?;
            out.push(value.is_some().into());
            payload(value.map(|_| &**inner), value, out)?;
        }
        Type::Result { ok, err } => match value.as_result().ok_or(Unwritable("a result"))? {
            Ok(value) => {
                out.push(0);
                payload(ok.as_deref(), value, out)?;
            }
            Err(value) => {
                out.push(1);
                payload(err.as_deref(), value, out)?;
            }
        },
        other => return write_named(other, value, out),
    }
    Ok(())
}

/// Writes a value of a type with names, or a whole number.
fn write_named<V: Value>(ty: &Type, value: &V, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    match ty {
        Type::Tuple(types) => {
            let items = value.as_tuple().filter(|items| items.len() == types.len()).ok_or(Unwritable("a tuple"))?;
            types.iter().zip(items).try_for_each(|(ty, item)| write_compact(ty, item, out))
        }
        Type::Record(record) => {
            let fields = value.as_record().filter(|fields| fields.len() == record.fields.len());
            let mut pairs = record.fields.iter().zip(fields.ok_or(Unwritable("a record"))?);
            pairs.try_for_each(|(field, (name, value))| match field.name == *name {
                true => write_compact(&field.ty, value, out),
                false => Err(Unwritable("a record with its fields")),
            })
        }
        Type::Variant(variant) => {
            let (name, value) = value.as_variant().ok_or(Unwritable("a variant"))?;
            let at = variant.cases.iter().position(|case| case.name == name).ok_or(Unwritable("a case of it"))?;
            count(at, out);
            payload(variant.cases[at].ty.as_ref(), value, out)
        }
        Type::Enum(kinds) => {
            let name = value.as_enumeration().ok_or(Unwritable("an enum"))?;
            let at = kinds.cases.iter().position(|case| case.name == name).ok_or(Unwritable("a case of it"))?;
            count(at, out);
            Ok(())
        }
        Type::Flags(flags) => {
            let set = value.as_flags().filter(|set| set.iter().all(|name| flags.flags.contains(name)));
            let set = set.ok_or(Unwritable("flags"))?;
            for eight in flags.flags.chunks(8) {
                let bits = eight.iter().enumerate().filter(|(_, name)| set.contains(name));
                out.push(bits.fold(0, |byte, (at, _)| byte | 1 << at));
            }
            Ok(())
        }
        other => write_integer(other, value, out),
    }
}

fn write_integer<V: Value>(ty: &Type, value: &V, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    const WRONG: Unwritable = Unwritable("a whole number of its kind");
    let range = IntegerRange::of(ty).ok_or(Unwritable("of a type that crosses"))?;
    let number = value.as_integer().filter(|number| (range.min..=range.max).contains(number)).ok_or(WRONG)?;
    let wide = match range.kind {
        Integer::U8 | Integer::S8 => {
            out.push(number.to_le_bytes()[0]);
            return Ok(());
        }
        Integer::U16 | Integer::U32 | Integer::U64 => u64::try_from(number).map_err(|_| WRONG)?,
        Integer::S16 | Integer::S32 | Integer::S64 => var_int::zigzag(i64::try_from(number).map_err(|_| WRONG)?),
    };
    var_int::write(wide, out);
    Ok(())
}

fn count(length: usize, out: &mut Vec<u8>) {
    var_int::write(length as u64, out);
}

fn each<V: Value>(ty: &Type, items: &[V], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    items.iter().try_for_each(|item| write_compact(ty, item, out))
}

fn payload<V: Value>(ty: Option<&Type>, value: Option<&V>, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    match (ty, value) {
        (Some(ty), Some(value)) => write_compact(ty, value, out),
        (None, None) => Ok(()),
        (Some(_), None) | (None, Some(_)) => Err(Unwritable("a case with such a payload")),
    }
}
