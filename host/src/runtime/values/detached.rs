//! Values on their way from one instance to another, or between an instance and the gateway.

use super::bridge::StreamBridge;
use super::lifeline::HasLifeline;
use crate::contract::Type;
use wasmtime::StoreContextMut;
use wasmtime::component::Val;

/// The arguments of a call, or its results, outside of any store. A plain value belongs to no store and travels as it
/// is. A stream or a future belongs to the store of its instance, so it travels as a `StreamBridge`, which is opened
/// in the reader's store.
pub struct DetachedValues {
    values: Vec<Val>,
    /// One for each stream and future in `values`, in the order in which [`for_each_stream`] visits them.
    bridges: Vec<StreamBridge>,
}

impl DetachedValues {
    /// Values without a stream or a future.
    pub fn new(values: Vec<Val>) -> Self {
        Self { values, bridges: Vec::new() }
    }

    /// The values. A stream or a future among them cannot be used any more.
    pub fn into_values(self) -> Vec<Val> {
        self.values
    }

    /// The values, to be read.
    pub fn values(&self) -> &[Val] {
        &self.values
    }

    /// A copy for another try. `None` if a stream or a future is among the values: one try uses it up.
    pub fn copy(&self) -> Option<Self> {
        self.bridges.is_empty().then(|| Self::new(self.values.clone()))
    }

    /// Takes `values`, which are of `types`, out of `store`.
    pub(crate) fn pack<'t, D: HasLifeline>(
        store: &mut StoreContextMut<'_, D>,
        types: impl Iterator<Item = &'t Type>,
        mut values: Vec<Val>,
    ) -> wasmtime::Result<Self> {
        let mut bridges = Vec::new();
        for (ty, value) in types.zip(&mut values) {
            for_each_stream(ty, value, &mut |ty, value| {
                bridges.push(StreamBridge::pack(store, ty, value)?);
                Ok(())
            })?;
        }
        Ok(Self { values, bridges })
    }

    /// Brings the values, which are of `types`, into `store`.
    pub(crate) fn unpack<'t, D: 'static>(
        self,
        store: &mut StoreContextMut<'_, D>,
        types: impl Iterator<Item = &'t Type>,
    ) -> wasmtime::Result<Vec<Val>> {
        let Self { mut values, bridges } = self;
        let mut bridges = bridges.into_iter();
        if bridges.len() == 0 {
            return Ok(values);
        }
        for (ty, value) in types.zip(&mut values) {
            for_each_stream(ty, value, &mut |_, value| {
                let bridge = bridges.next().expect("every stream was packed, and in the same order");
                *value = bridge.open(store)?;
                Ok(())
            })?;
        }
        Ok(values)
    }
}

/// Calls `visit` with the type and the value of every stream and future in `value`. Types that can hold none are not
/// searched.
fn for_each_stream(
    ty: &Type,
    value: &mut Val,
    visit: &mut dyn FnMut(&Type, &mut Val) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    if !ty.has_streams() {
        return Ok(());
    }
    match (ty.resolved(), value) {
        (ty @ (Type::Stream(_) | Type::Future(_)), value) => visit(ty, value),
        (Type::List(ty) | Type::FixedList(ty, _), Val::List(items) | Val::FixedLengthList(items)) => {
            items.iter_mut().try_for_each(|item| for_each_stream(ty, item, visit))
        }
        (Type::Map(_, ty), Val::Map(entries)) => {
            entries.iter_mut().try_for_each(|(_, value)| for_each_stream(ty, value, visit))
        }
        (Type::Record(record), Val::Record(fields)) => {
            let mut fields = record.fields.iter().zip(fields);
            fields.try_for_each(|(field, (_, value))| for_each_stream(&field.ty, value, visit))
        }
        (Type::Tuple(types), Val::Tuple(items)) => {
            types.iter().zip(items).try_for_each(|(ty, item)| for_each_stream(ty, item, visit))
        }
        (Type::Variant(variant), Val::Variant(name, Some(payload))) => {
            let case = variant.cases.iter().find(|case| case.name == *name);
            case.and_then(|case| case.ty.as_ref()).map_or(Ok(()), |ty| for_each_stream(ty, payload, visit))
        }
        (Type::Option(ty), Val::Option(Some(value))) => for_each_stream(ty, value, visit),
        (Type::Result { ok: Some(ty), .. }, Val::Result(Ok(Some(value))))
        | (Type::Result { err: Some(ty), .. }, Val::Result(Err(Some(value)))) => for_each_stream(ty, value, visit),
        _ => Ok(()),
    }
}
