//! `atoll:platform/caller`: who the call is made for that the guest answers now.

use crate::base::Identity;
use crate::runtime::context::context::{Context, caller};
use bindings::atoll::platform::caller as contract;
use wasmtime::AsContextMut;
use wasmtime::component::{Access, HasData, Linker};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/platform",
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
        let context = caller(&mut access.as_context_mut());
        Ok(context.identity.as_deref().map(contract::Identity::from))
    }

    fn has_scope(mut access: Access<'_, Context, Self>, scope: String) -> wasmtime::Result<bool> {
        let context = caller(&mut access.as_context_mut());
        Ok(context.identity.is_some_and(|identity| identity.scopes.contains(&scope)))
    }

    fn request_id(mut access: Access<'_, Context, Self>) -> wasmtime::Result<String> {
        Ok(caller(&mut access.as_context_mut()).request_id.as_str().to_owned())
    }
}

impl From<&Identity> for contract::Identity {
    fn from(Identity { subject, policy, proof, scopes, claims }: &Identity) -> Self {
        Self {
            subject: subject.clone(),
            policy: policy.clone(),
            proof: proof.as_str().to_owned(),
            scopes: scopes.iter().cloned().collect(),
            claims: claims.clone(),
        }
    }
}
