//! `atoll:platform/caller`: who the call is made for that the guest answers now.

use crate::base::{CallContext, Identity, SagaCall};
use crate::runtime::context::call_notes::CallNotes;
use crate::runtime::context::context::{Context, caller};
use bindings::atoll::platform::caller as contract;
use wasmtime::component::{Access, HasData, Linker};
use wasmtime::{AsContextMut, StoreContextMut};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/platform-0.1.1",
        world: "atoll:platform/imports",
        imports: { default: store | trappable },
    });
}

/// Adds `atoll:platform/caller` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, CallerImport>(linker, |context| context)
}

/// The name by which the linker knows this implementation.
struct CallerImport;

impl HasData for CallerImport {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for CallerImport {
    fn current(mut access: Access<'_, Context, Self>) -> wasmtime::Result<Option<contract::Identity>> {
        let (context, notes) = asked(&mut access.as_context_mut());
        notes.iter().for_each(|notes| notes.caller(context.identity.as_deref()));
        Ok(context.identity.as_deref().map(contract::Identity::from))
    }

    fn has_scope(mut access: Access<'_, Context, Self>, scope: String) -> wasmtime::Result<bool> {
        let (context, notes) = asked(&mut access.as_context_mut());
        notes.iter().for_each(|notes| notes.caller(context.identity.as_deref()));
        Ok(context.identity.is_some_and(|identity| identity.scopes.contains(&scope)))
    }

    fn request_id(mut access: Access<'_, Context, Self>) -> wasmtime::Result<String> {
        let (context, notes) = asked(&mut access.as_context_mut());
        notes.iter().for_each(|notes| notes.request_id(&context.request_id));
        Ok(context.request_id.as_str().to_owned())
    }

    fn saga_step(mut access: Access<'_, Context, Self>) -> wasmtime::Result<Option<contract::Step>> {
        // Nobody watches the call of a saga: neither a cache nor a recording begins there.
        let (context, _) = asked(&mut access.as_context_mut());
        Ok(context.saga.as_deref().map(contract::Step::from))
    }
}

impl From<&SagaCall> for contract::Step {
    fn from(call: &SagaCall) -> Self {
        Self { saga: call.saga.clone(), step: call.step.to_string(), key: call.key(), undo: call.undo }
    }
}

/// The call that the guest asks about, and what is noted of it.
fn asked(store: &mut StoreContextMut<'_, Context>) -> (CallContext, Option<CallNotes>) {
    let context = caller(store);
    let notes = CallNotes::of(&context, &store.data().identity.grants);
    (context, notes)
}

impl From<&Identity> for contract::Identity {
    fn from(Identity { subject, policy, proof, scopes, claims, .. }: &Identity) -> Self {
        Self {
            subject: subject.clone(),
            policy: policy.clone(),
            proof: proof.as_str().to_owned(),
            scopes: scopes.iter().cloned().collect(),
            claims: claims.clone(),
        }
    }
}
