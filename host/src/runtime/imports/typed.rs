//! Typed imports: the functions by which a guest calls other services.

use crate::base::{CallContext, ErrorKind, ServiceName};
use crate::contract::{FORBIDDEN, Function, FunctionName, Interface, InterfaceName, Type, UNAVAILABLE};
use crate::recording::{Blob, RecordedQuestion, RecordedReply};
use crate::runtime::context::call_notes::CallNotes;
use crate::runtime::context::context::{Context, caller};
use crate::runtime::grants::Grants;
use crate::runtime::outcall::{OutcallError, OutcallHandle};
use crate::runtime::tape::call_tape::CallTape;
use crate::runtime::tape::taped_values::{played_value, recorded_arguments, recorded_result};
use crate::runtime::values::detached::DetachedValues;
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

/// Defines every function of `interface` as a call of the link's service, made through `outcall`.
pub(crate) fn define(
    linker: &mut Linker<Context>,
    link: &Link,
    interface: &Interface,
    outcall: &OutcallHandle,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&link.import.to_string())?;
    for function in interface.functions.values() {
        let name = FunctionName { interface: link.import.clone(), function: function.name.clone() };
        let import = Import {
            service: link.service.clone(),
            name,
            unavailable: FailureCase::of(function, UNAVAILABLE),
            forbidden: FailureCase::of(function, FORBIDDEN),
            function: function.clone(),
            outcall: outcall.clone(),
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

/// A call that has left its caller's store.
struct PackedCall {
    arguments: DetachedValues,
    context: CallContext,
    /// Those of the caller, with its name.
    grants: Arc<Grants>,
    notes: Option<CallNotes>,
    tape: CallTape,
    /// The arguments as the tape has them; `None`: they cannot be recorded, or there is no tape.
    recorded: Option<Vec<Blob>>,
}

/// One imported function.
struct Import {
    service: ServiceName,
    name: FunctionName,
    function: Function,
    unavailable: FailureCase,
    forbidden: FailureCase,
    outcall: OutcallHandle,
}

impl Import {
    /// Answers a call of an `async func`: the guest goes on with other work while it waits.
    async fn concurrent(
        &self,
        accessor: &Accessor<Context>,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let packed = accessor.with(|mut access| self.pack_arguments(&mut access.as_context_mut(), arguments))?;
        let answer = self.call(packed).await;
        accessor.with(|mut access| self.unpack_answer(&mut access.as_context_mut(), answer, results))
    }

    /// Answers a call of a `func`: the guest's whole instance waits for the answer.
    async fn blocking(
        &self,
        mut store: StoreContextMut<'_, Context>,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let packed = self.pack_arguments(&mut store, arguments)?;
        let answer = self.call(packed).await;
        self.unpack_answer(&mut store, answer, results)
    }

    /// Takes the arguments out of the caller's store, with the context of the new call and the caller's grants.
    fn pack_arguments(
        &self,
        store: &mut StoreContextMut<'_, Context>,
        arguments: &[Val],
    ) -> wasmtime::Result<PackedCall> {
        let context = caller(store).deeper(Instant::now());
        let types = self.function.params.iter().map(|param| &param.ty);
        let tape = store.data().identity.tape.clone();
        let recorded = if tape.is_off() { None } else { recorded_arguments(&self.function, arguments) };
        let arguments = DetachedValues::pack(store, types, arguments.to_vec())?;
        let grants = Arc::clone(&store.data().identity.grants);
        let notes = CallNotes::of(&context, &grants);
        Ok(PackedCall { arguments, context, grants, notes, tape, recorded })
    }

    /// The answer of the service, or of the recording.
    async fn call(&self, mut packed: PackedCall) -> Result<DetachedValues, OutcallError> {
        let (tape, recorded) = (std::mem::take(&mut packed.tape), packed.recorded.take());
        if tape.is_off() {
            return self.call_now(packed).await;
        }
        if recorded.is_none() {
            tape.abandon();
        }
        let question = || RecordedQuestion::Call {
            service: self.service.to_string(),
            function: self.name.to_string(),
            arguments: recorded.unwrap_or_default(),
        };
        let reply = |answer: &Result<DetachedValues, OutcallError>| match answer {
            Ok(values) => recorded_result(&self.function, values.values()).map(RecordedReply::Result),
            Err(error) => Some(RecordedReply::Failed { kind: error.kind.to_string() }),
        };
        // Boxed: the future of a call without a tape would be larger for it.
        Box::pin(tape.ask(question, self.call_now(packed), reply, |reply| self.played(reply))).await
    }

    /// The answer that a recording has; `None` if it is not of the function's type.
    fn played(&self, reply: RecordedReply) -> Option<Result<DetachedValues, OutcallError>> {
        match reply {
            RecordedReply::Result(text) => {
                let values = match (&self.function.result, text) {
                    (None, None) => Vec::new(),
                    (Some(ty), Some(text)) => vec![played_value(ty, &text)?],
                    _ => return None,
                };
                Some(Ok(DetachedValues::new(values)))
            }
            RecordedReply::Failed { kind } => {
                let kind = ErrorKind::named(&kind)?;
                Some(Err(OutcallError { kind, detail: "the recorded call got no answer".into() }))
            }
            _ => None,
        }
    }

    async fn call_now(&self, packed: PackedCall) -> Result<DetachedValues, OutcallError> {
        let PackedCall { arguments, context, grants, notes, .. } = packed;
        let parties = (&grants.service, &self.service);
        if let Some(notes) = &notes {
            notes.service_call(&self.service);
        }
        let outcome = match self.outcall.open() {
            Ok(outcall) => outcall.invoke(parties, &self.name, arguments, context).await,
            Err(error) => Err(error),
        };
        if let (Some(notes), Err(error)) = (&notes, &outcome) {
            notes.failed_call(error.kind);
        }
        outcome
    }

    /// Brings the answer into the caller's store.
    fn unpack_answer(
        &self,
        store: &mut StoreContextMut<'_, Context>,
        answer: Result<DetachedValues, OutcallError>,
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        match answer {
            Ok(values) => {
                let values = values.unpack(store, self.function.result.iter())?;
                for (slot, value) in results.iter_mut().zip(values) {
                    *slot = value;
                }
                Ok(())
            }
            Err(error) => self.report_failure(store.data(), &error, results),
        }
    }

    /// Reports to the guest that the call failed, by the error case `unavailable` of the function; or by the case
    /// `forbidden`, if the service demands more of who calls. The guest traps if its function has none.
    fn report_failure(&self, caller: &Context, error: &OutcallError, results: &mut [Val]) -> wasmtime::Result<()> {
        let Self { service, name, .. } = self;
        let kind = error.kind;
        caller.identity.log_failed_call(service, &name.to_string(), error);
        let text = format!("service `{service}` did not answer: {kind}");
        let forbidden = (kind == ErrorKind::Forbidden).then(|| self.forbidden.value(FORBIDDEN, &text)).flatten();
        match (forbidden.or_else(|| self.unavailable.value(UNAVAILABLE, &text)), results) {
            (Some(value), [slot]) => {
                *slot = value;
                Ok(())
            }
            _ => Err(format_err!(
                "the call of {name} failed ({kind}), and its type has no error case `unavailable(string)` to tell the \
                 caller: the caller traps"
            )),
        }
    }
}

/// How a function's type can report that its service did not answer: by convention with a case of its error, such as
/// `unavailable`.
#[derive(Clone, Copy)]
enum FailureCase {
    /// A case of a variant, with a text.
    WithText,
    /// A case of a variant, without a value.
    Variant,
    /// A case of an enum.
    Enum,
    /// The type has no such case.
    Absent,
}

impl FailureCase {
    /// The case `name` of the error of `function`.
    fn of(function: &Function, name: &str) -> Self {
        let Some(Type::Result { err: Some(error), .. }) = function.result.as_ref().map(Type::resolved) else {
            return Self::Absent;
        };
        let has = |cases: &[crate::contract::Case]| cases.iter().position(|case| case.name == name);
        match error.resolved() {
            Type::Variant(variant) => {
                match has(&variant.cases).map(|at| variant.cases[at].ty.as_ref().map(Type::resolved)) {
                    Some(Some(Type::String)) => Self::WithText,
                    Some(None) => Self::Variant,
                    _ => Self::Absent,
                }
            }
            Type::Enum(cases) if has(&cases.cases).is_some() => Self::Enum,
            _ => Self::Absent,
        }
    }

    /// The error with the case `name` and, if it has one, this text.
    fn value(self, name: &str, text: &str) -> Option<Val> {
        let case = name.to_owned();
        let error = match self {
            Self::WithText => Val::Variant(case, Some(Box::new(Val::String(text.to_owned())))),
            Self::Variant => Val::Variant(case, None),
            Self::Enum => Val::Enum(case),
            Self::Absent => return None,
        };
        Some(Val::Result(Err(Some(Box::new(error)))))
    }
}
