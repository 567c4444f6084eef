//! Values on their way from one instance to another, or between an instance and the gateway.

use super::conduit::{self, StreamBridge};
use super::context::Context;
use crate::contract::Type;
use wasmtime::StoreContextMut;
use wasmtime::component::Val;

/// The arguments of a call, or its results. Plain values belong to no store; a stream or a future among them does, and travels as a
/// conduit that is opened in the store at the other end.
pub struct DetachedValues {
    values: Vec<Val>,
    /// One for each stream and future in `values`, in the order in which a walk through them meets them.
    conduits: Vec<StreamBridge>,
}

impl DetachedValues {
    /// Values without a stream or a future.
    pub fn new(values: Vec<Val>) -> Self {
        Self { values, conduits: Vec::new() }
    }

    /// The values. What was a stream is of no use in them.
    pub fn into_values(self) -> Vec<Val> {
        self.values
    }

    /// The values, to look at.
    pub fn values(&self) -> &[Val] {
        &self.values
    }

    /// The same values once more, for another try; `None` when a stream or a future is among them, for those are used up by one.
    pub fn copy(&self) -> Option<Self> {
        self.conduits.is_empty().then(|| Self::new(self.values.clone()))
    }

    /// Takes values out of `store`. `types` are those of the values.
    pub(super) fn pack<'t>(
        store: &mut StoreContextMut<'_, Context>,
        types: impl Iterator<Item = &'t Type>,
        mut values: Vec<Val>,
    ) -> wasmtime::Result<Self> {
        let mut conduits = Vec::new();
        for (ty, value) in types.zip(&mut values) {
            walk(ty, value, &mut |ty, value| {
                conduits.push(conduit::pack(store, ty, value)?);
                Ok(())
            })?;
        }
        Ok(Self { values, conduits })
    }

    /// Brings the values into `store`. `types` are those of the values.
    pub(super) fn unpack<'t>(
        self,
        store: &mut StoreContextMut<'_, Context>,
        types: impl Iterator<Item = &'t Type>,
    ) -> wasmtime::Result<Vec<Val>> {
        let Self { mut values, conduits } = self;
        let mut conduits = conduits.into_iter();
        if conduits.len() == 0 {
            return Ok(values);
        }
        for (ty, value) in types.zip(&mut values) {
            walk(ty, value, &mut |_, value| {
                let conduit = conduits.next().expect("every stream was packed, and in the same order");
                *value = conduit.open(store)?;
                Ok(())
            })?;
        }
        Ok(values)
    }
}

/// Shows every stream and future in `value` to `meet`, with its type. Branches whose type can hold none are not entered.
fn walk(
    ty: &Type,
    value: &mut Val,
    meet: &mut dyn FnMut(&Type, &mut Val) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    if !ty.has_streams() {
        return Ok(());
    }
    match (ty.resolved(), value) {
        (ty @ (Type::Stream(_) | Type::Future(_)), value) => meet(ty, value),
        (Type::List(ty) | Type::FixedList(ty, _), Val::List(items) | Val::FixedLengthList(items)) => {
            items.iter_mut().try_for_each(|item| walk(ty, item, meet))
        }
        (Type::Map(_, ty), Val::Map(entries)) => entries.iter_mut().try_for_each(|(_, value)| walk(ty, value, meet)),
        (Type::Record(record), Val::Record(fields)) => {
            let fields = record.fields.iter().zip(fields);
            fields.map(|(field, (_, value))| (&field.ty, value)).try_for_each(|(ty, value)| walk(ty, value, meet))
        }
        (Type::Tuple(types), Val::Tuple(items)) => {
            types.iter().zip(items).try_for_each(|(ty, item)| walk(ty, item, meet))
        }
        (Type::Variant(variant), Val::Variant(name, Some(payload))) => {
            let case = variant.cases.iter().find(|case| case.name == *name);
            case.and_then(|case| case.ty.as_ref()).map_or(Ok(()), |ty| walk(ty, payload, meet))
        }
        (Type::Option(ty), Val::Option(Some(value))) => walk(ty, value, meet),
        (Type::Result { ok: Some(ty), .. }, Val::Result(Ok(Some(value))))
        | (Type::Result { err: Some(ty), .. }, Val::Result(Err(Some(value)))) => walk(ty, value, meet),
        _ => Ok(()),
    }
}
