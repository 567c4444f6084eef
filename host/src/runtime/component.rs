//! A component: compiled, checked, and linked for one service.

use super::context::Context;
use super::engine::{MEMORIES_PER_SLOT, Runtime, TABLES_PER_SLOT};
use super::error::LoadError;
use super::grants::{self, Grants};
use crate::base::{Digest, ServiceName};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use wasmtime::component::{Component as Code, InstancePre};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

/// A compiled component whose imports the host knows. No service has it yet.
pub struct Component {
    digest: Digest,
    code: Code,
    pre: InstancePre<Context>,
    imports: Vec<String>,
    slots: u32,
}

impl Component {
    /// The digest of a component's bytes.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest that names the revision.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn check(runtime: &Runtime, digest: Digest, code: Code) -> Result<Self, LoadError> {
        let names = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let ty = code.component_type();
        let imports = names(ty.imports(&runtime.engine).map(|(name, _)| name).collect());
        let unknown: Vec<_> = imports.iter().filter(|import| !grants::is_known(import)).cloned().collect();
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports(unknown));
        }
        let pre = runtime.linker.instantiate_pre(&code).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        if handler(&pre).is_none() {
            let exports = names(ty.exports(&runtime.engine).map(|(name, _)| name).collect());
            return Err(LoadError::NoHandler(if exports.is_empty() { "nothing".into() } else { exports.join(", ") }));
        }
        let slots = slots_of(&code)?;
        if slots as usize > runtime.total_slots {
            return Err(LoadError::Link(format!(
                "one instance takes {slots} slots of the pool, which has {}: raise `instances` in [runtime]",
                runtime.total_slots
            )));
        }
        Ok(Self { digest, code, pre, imports, slots })
    }

    /// Whether it may run as `service`, which has a store of its own if `state`.
    ///
    /// # Errors
    /// [`LoadError::NotGranted`] when it imports what the manifest does not give to that service.
    pub fn permitted(&self, service: &ServiceName, state: bool) -> Result<(), LoadError> {
        grants::check(service, state, self.imports.iter().map(String::as_str))
    }

    /// This component as the revision of the service that `grants` names.
    ///
    /// # Errors
    /// As [`Component::permitted`].
    pub fn revision(&self, grants: Arc<Grants>) -> Result<Revision, LoadError> {
        self.permitted(&grants.service, grants.state.is_some())?;
        let handler = handler(&self.pre).expect("`check` found the handler");
        // Copy-on-write images are made now, not by the first request.
        self.code.initialize_copy_on_write_image().map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(Revision { digest: self.digest, handler, grants, slots: self.slots })
    }
}

/// A component loaded for a service: what its instances are made of.
pub struct Revision {
    pub(super) digest: Digest,
    pub(super) handler: ProxyPre<Context>,
    pub(super) grants: Arc<Grants>,
    /// Slots of the pool that one instance takes.
    pub(super) slots: u32,
}

impl Revision {
    /// The digest of its component.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// The handler that the component exports: that of WASI 0.3 if it has both.
fn handler(pre: &InstancePre<Context>) -> Option<ProxyPre<Context>> {
    if let Ok(service) = p3::bindings::ServicePre::new(pre.clone()) {
        return Some(ProxyPre::P3(service));
    }
    p2::bindings::ProxyPre::new(pre.clone()).ok().map(ProxyPre::P2)
}

/// How many of the pool's slots one instance of this component takes: a composed component holds several memories and tables.
fn slots_of(code: &Code) -> Result<u32, LoadError> {
    let needs = code
        .resources_required()
        .ok_or_else(|| LoadError::Link("imports core modules, so its size cannot be known in advance".into()))?;
    let memories = needs.num_memories.div_ceil(MEMORIES_PER_SLOT);
    let tables = needs.num_tables.div_ceil(TABLES_PER_SLOT);
    Ok(memories.max(tables).max(1))
}
