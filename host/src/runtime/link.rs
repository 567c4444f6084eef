//! The imports by which a guest calls other services.

use super::calls::caller;
use super::context::Context;
use super::outcall::{OutcallError, OutcallHandle};
use super::parcel::DetachedValues;
use crate::base::{CallContext, ServiceName};
use crate::contract::{Function, FunctionName, Interface, InterfaceName, Type, UNAVAILABLE};
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::{Accessor, Linker, Val};
use wasmtime::{AsContextMut, StoreContextMut, format_err};

/// An interface that a component imports, and the service that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The interface, by the name under which it is imported.
    pub import: InterfaceName,
    /// The service.
    pub service: ServiceName,
}

/// Defines every function of `interface` as a call of the link's service.
pub(super) fn define(
    linker: &mut Linker<Context>,
    link: &Link,
    interface: &Interface,
    exit: &OutcallHandle,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&link.import.to_string())?;
    for function in interface.functions.values() {
        let name = FunctionName { interface: link.import.clone(), function: function.name.clone() };
        let import = Import {
            service: link.service.clone(),
            name,
            unavailable: Unavailable::of(function),
            function: function.clone(),
            exit: exit.clone(),
        };
        let import = Arc::new(import);
        if function.asynchronous {
            instance.func_new_concurrent(&function.name, move |accessor, _, arguments, results| {
                let import = Arc::clone(&import);
                Box::pin(async move { import.concurrent(accessor, arguments, results).await })
            })?;
        } else {
            instance.func_new_async(&function.name, move |store, _, arguments, results| {
                let import = Arc::clone(&import);
                Box::new(async move { import.blocking(store, arguments, results).await })
            })?;
        }
    }
    Ok(())
}

/// One imported function.
struct Import {
    service: ServiceName,
    name: FunctionName,
    function: Function,
    unavailable: Unavailable,
    exit: OutcallHandle,
}

impl Import {
    /// An `async func`: the guest goes on with other work meanwhile.
    async fn concurrent(
        &self,
        accessor: &Accessor<Context>,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let (arguments, context) = accessor.with(|mut access| self.leave(&mut access.as_context_mut(), arguments))?;
        let answer = self.call(arguments, context).await;
        accessor.with(|mut access| self.come_back(&mut access.as_context_mut(), answer, results))
    }

    /// A `func`: the guest holds its whole instance up until the answer.
    async fn blocking(
        &self,
        mut store: StoreContextMut<'_, Context>,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let (arguments, context) = self.leave(&mut store, arguments)?;
        let answer = self.call(arguments, context).await;
        self.come_back(&mut store, answer, results)
    }

    fn leave(
        &self,
        store: &mut StoreContextMut<'_, Context>,
        arguments: &[Val],
    ) -> wasmtime::Result<(DetachedValues, CallContext)> {
        let context = caller(store).deeper(Instant::now());
        let types = self.function.params.iter().map(|param| &param.ty);
        Ok((DetachedValues::pack(store, types, arguments.to_vec())?, context))
    }

    async fn call(&self, arguments: DetachedValues, context: CallContext) -> Result<DetachedValues, OutcallError> {
        self.exit.open()?.invoke(&self.service, &self.name, arguments, context).await
    }

    fn come_back(
        &self,
        store: &mut StoreContextMut<'_, Context>,
        answer: Result<DetachedValues, OutcallError>,
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        match answer {
            Ok(parcel) => {
                let values = parcel.unpack(store, self.function.result.iter())?;
                for (slot, value) in results.iter_mut().zip(values) {
                    *slot = value;
                }
                Ok(())
            }
            Err(error) => self.fail(store.data(), &error, results),
        }
    }

    /// Tells the guest in its own words that the call failed; a function that has no words for it traps.
    fn fail(&self, caller: &Context, error: &OutcallError, results: &mut [Val]) -> wasmtime::Result<()> {
        let Self { service, name, .. } = self;
        let kind = error.kind;
        caller.identity.failed_to_call(service, &name.to_string(), error);
        let told = format!("service `{service}` did not answer: {kind}");
        match (self.unavailable.value(told), results) {
            (Some(value), [slot]) => {
                *slot = value;
                Ok(())
            }
            _ => Err(format_err!(
                "the call of {name} failed ({kind}), and its type has no error case `unavailable(string)` to tell the caller: the caller traps"
            )),
        }
    }
}

/// How a function's type says that its service did not answer: by convention the case `unavailable` of its error, with a text or without.
#[derive(Clone, Copy)]
enum Unavailable {
    WithText,
    Variant,
    Enum,
    Unspeakable,
}

impl Unavailable {
    fn of(function: &Function) -> Self {
        let Some(Type::Result { err: Some(error), .. }) = function.result.as_ref().map(Type::resolved) else {
            return Self::Unspeakable;
        };
        let has = |cases: &[crate::contract::Case]| cases.iter().position(|case| case.name == UNAVAILABLE);
        match error.resolved() {
            Type::Variant(variant) => {
                match has(&variant.cases).map(|at| variant.cases[at].ty.as_ref().map(Type::resolved)) {
                    Some(Some(Type::String)) => Self::WithText,
                    Some(None) => Self::Variant,
                    _ => Self::Unspeakable,
                }
            }
            Type::Enum(cases) if has(&cases.cases).is_some() => Self::Enum,
            _ => Self::Unspeakable,
        }
    }

    fn value(self, text: String) -> Option<Val> {
        let case = UNAVAILABLE.to_owned();
        let error = match self {
            Self::WithText => Val::Variant(case, Some(Box::new(Val::String(text)))),
            Self::Variant => Val::Variant(case, None),
            Self::Enum => Val::Enum(case),
            Self::Unspeakable => return None,
        };
        Some(Val::Result(Err(Some(Box::new(error)))))
    }
}
