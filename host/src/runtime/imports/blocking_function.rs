//! One function of the host as a `func`: a call holds its whole instance until the answer is there.

use super::outbox::CommitScope;
use crate::runtime::context::context::Context;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, LinkerInstance, Lower};

/// Defines the function `name` as a `func`, answered by `answer`.
pub(super) fn define<P, R, E, F>(
    instance: &mut LinkerInstance<'_, Context>,
    name: &'static str,
    answer: impl Fn(CommitScope, P) -> F + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    Result<R, E>: ComponentType + Lower + 'static,
    F: Future<Output = Result<R, E>> + Send,
{
    instance.func_wrap_async(name, move |mut store: StoreContextMut<'_, Context>, parameters: P| {
        let scope = CommitScope::of(&mut store, name);
        Box::new(async move { Ok((answer(scope, parameters).await,)) })
    })
}
