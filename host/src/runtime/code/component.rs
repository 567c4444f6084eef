//! A component: read, checked, and made the revision of one service.

use super::footprint::Footprint;
use super::linked::{LinkedCode, check_links};
use super::refusals::refusals;
use super::revision::Revision;
use super::skeleton::skeleton;
use crate::base::{Digest, ServiceName};
use crate::contract::{Contract, InterfaceName};
use crate::runtime::engine::{MEMORIES_PER_SLOT, Runtime, TABLES_PER_SLOT};
use crate::runtime::error::LoadError;
use crate::runtime::grants::{self, Grants};
use crate::runtime::imports::typed::Link;
use crate::runtime::offer::{Offer, offer_of};
use crate::runtime::settings::Limits;
use std::path::Path;
use std::sync::Arc;
use wasmparser::{Validator, WasmFeatures};
use wasmtime::component::Component as Code;

/// A component that passed every check that can be made without a service. Its code is compiled, unless it was only
/// [examined](Runtime::examine). The code is in memory only if it is not in the cache on disk.
#[derive(Clone)]
pub struct Component {
    digest: Digest,
    contract: Arc<Contract>,
    footprint: Footprint,
    slots: u32,
    /// Why its imports do not fit the host's, if they do not.
    unlinkable: Option<String>,
    /// Where it was read. If a revision's code is lost from the cache, its bytes are read there again.
    source: Option<Arc<Path>>,
    /// Its code in memory. `None` if the cache has it.
    code: Option<Arc<Code>>,
    /// The bytes of its file if it is not compiled; otherwise 0.
    uncompiled: u64,
}

impl Runtime {
    /// Reads the component in `path`, and compiles it if the cache has no code of it. If the cache keeps the code, the
    /// code is not in memory: each revision made of the component loads it to be [ready](Revision::ready). It computes
    /// for up to a second: call it from a blocking thread.
    ///
    /// # Errors
    /// When the file cannot be read, or is no component that can be called and fits the host's interfaces.
    pub fn load(&self, path: &Path) -> Result<Component, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
        Component::new(self, &bytes, Some(path), false)
    }

    /// Like [`Runtime::load`], but does not compile the component, however large it is. Its revisions are
    /// [compiled](Revision::compile) later, from the same file. Only what depends on the code of its functions is not
    /// known until then: that the compiler accepts them.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub fn examine(&self, path: &Path) -> Result<Component, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
        Component::new(self, &bytes, Some(path), true)
    }

    /// Compiles the component in `bytes`, or takes its code from memory or the cache, and keeps the code in memory: its
    /// revisions are ready.
    ///
    /// # Errors
    /// As [`Runtime::load`].
    pub fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::new(self, bytes, None, false)
    }
}

impl Component {
    /// The component of a revision that serves: it has passed every check, so nothing is read or compiled again.
    pub fn serving(revision: &Revision) -> Self {
        Self {
            digest: revision.digest,
            contract: Arc::clone(revision.contract()),
            footprint: revision.footprint,
            slots: revision.slots,
            unlinkable: None,
            source: revision.source.clone(),
            code: revision.code_in_memory(),
            uncompiled: revision.uncompiled().unwrap_or(0),
        }
    }

    /// The digest that names the revision.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Reads the contract of the component in `bytes`, then compiles and checks the component. If the cache has its
    /// code, and this host has checked that code before, neither is done again.
    ///
    /// `source` is the file from which the bytes can be read again. Without it the code is always checked here, and
    /// stays in memory. `later`: it need not be compiled now.
    fn new(runtime: &Runtime, bytes: &[u8], source: Option<&Path>, later: bool) -> Result<Self, LoadError> {
        let contract = Contract::decode(bytes).map_err(|error| LoadError::Invalid(error.to_string()))?;
        let component = Self {
            digest: Digest::of(bytes),
            contract: Arc::new(contract),
            footprint: Footprint::of(bytes),
            slots: 0,
            unlinkable: None,
            source: source.map(Arc::from),
            code: None,
            uncompiled: 0,
        };
        let stamp = source.and_then(|_| runtime.cache.stamp(component.digest));
        let component = match stamp {
            Some(stamp) => Self { slots: stamp.slots, ..component },
            // No service may run it, which `permitted` says with the numbers. The pool would say less.
            None if component.footprint.memory > runtime.most_memory as u64 => component,
            None => {
                if let Some(refusal) = refusals(&component.contract).into_iter().next() {
                    return Err(refusal);
                }
                // Code that another build of the host has confirmed is checked now: that takes less than a skeleton.
                let later = later && !runtime.cache.has(component.digest);
                let skeleton = if later { examined(runtime, bytes) } else { None };
                match skeleton {
                    Some(skeleton) => component.uncompiled(&skeleton, runtime, bytes.len())?,
                    None => component.compiled(runtime, bytes)?,
                }
            }
        };
        let (slots, most) = (component.slots, runtime.slots.most());
        if slots as usize > most {
            return Err(LoadError::Link(format!(
                "one instance takes {slots} slots of the pool, which has {most} for it: raise `instances` in [runtime]"
            )));
        }
        Ok(component)
    }

    /// What the component's skeleton says of it.
    fn uncompiled(self, skeleton: &Code, runtime: &Runtime, length: usize) -> Result<Self, LoadError> {
        let (slots, unlinkable) = (slots_of(skeleton, self.footprint)?, self.unlinkable(runtime, skeleton));
        Ok(Self { slots, unlinkable, uncompiled: length as u64, ..self })
    }

    fn compiled(self, runtime: &Runtime, bytes: &[u8]) -> Result<Self, LoadError> {
        let compile = || runtime.cache.get_or_compile(&runtime.engine, self.digest, bytes);
        let code = runtime.shared_code.get_or_load(self.digest, compile)?;
        let (slots, unlinkable) = (slots_of(&code, self.footprint)?, self.unlinkable(runtime, &code));
        let kept = unlinkable.is_none() && runtime.cache.confirm(self.digest, slots) && self.source.is_some();
        Ok(Self { slots, unlinkable, code: (!kept).then_some(code), ..self })
    }

    /// Why the imports of its code, or of its skeleton, do not fit the host's, if they do not.
    fn unlinkable(&self, runtime: &Runtime, code: &Code) -> Option<String> {
        // Any service's name will do here: whether the imports link depends on their types alone.
        let placeholder = ServiceName::new("anybody").expect("the text is a legal name");
        let link = |import: &InterfaceName| Link { import: import.clone(), service: placeholder.clone() };
        let links: Vec<_> = self.contract.imports.keys().map(link).collect();
        let error = check_links(runtime, code, &self.contract, &links).err()?;
        Some(format!("{}{error:#}", newer_imports(&self.contract)))
    }

    /// Checks that it may run as `service`, whose instances have these `limits`, and which has a store of its own
    /// and may publish events if `granted` says so.
    ///
    /// # Errors
    /// [`LoadError::NotGranted`] when it imports what the manifest does not give to that service;
    /// [`LoadError::TooLarge`] when an instance starts with more memory than it may have.
    pub fn permitted(&self, service: &ServiceName, granted: (bool, bool), limits: &Limits) -> Result<(), LoadError> {
        let (starts, limit) = (self.footprint.memory, limits.memory);
        if starts > limit as u64 {
            return Err(LoadError::TooLarge { starts, limit, service: service.to_string() });
        }
        // Who takes types alone needs no grant: `atoll:state/transactions@0.2.0` uses one of the publisher.
        let only_types = |import: &InterfaceName| {
            let used = self.contract.state_imports.get(import);
            used.is_some_and(|used| used.functions.is_empty())
        };
        let imports = self.contract.import_names.iter().filter(|import| !only_types(import));
        grants::check(service, granted, imports.map(ToString::to_string))
    }

    /// Checks that the host has every import that the component expects of it, with the type that it expects.
    ///
    /// # Errors
    /// [`LoadError::Link`].
    pub fn links(&self) -> Result<(), LoadError> {
        self.unlinkable.clone().map_or(Ok(()), |why| Err(LoadError::Link(why)))
    }

    /// This component as a revision of the service that `grants` names, whose instances have these `limits`. `links`
    /// names the service that answers each import that is not the host's.
    ///
    /// # Errors
    /// As [`Component::permitted`] and [`Component::links`].
    pub fn revision(
        &self,
        runtime: &Runtime,
        grants: Arc<Grants>,
        limits: &Limits,
        links: &[Link],
    ) -> Result<Revision, LoadError> {
        self.permitted(&grants.service, (grants.state.is_some(), grants.publish.is_some()), limits)?;
        self.links()?;
        let link = |code| LinkedCode::new(runtime, code, &self.contract, links);
        let loaded = self.code.clone().map(link).transpose().map_err(|error| LoadError::Link(format!("{error:#}")))?;
        let (contract, source) = (Arc::clone(&self.contract), self.source.clone());
        let revision = Revision::new(self.digest, self.slots, grants, contract, links.into(), source, loaded);
        Ok(revision.of_size(self.footprint, self.uncompiled))
    }
}

/// The skeleton of the component in `bytes`, if it can be seen without a compilation that nothing is wrong with the
/// component. Where that cannot be seen, the compiler decides now and names the fault.
fn examined(runtime: &Runtime, bytes: &[u8]) -> Option<Code> {
    // All features: those that the host has switched off are refused with the skeleton, or by the compiler.
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).ok()?;
    runtime.cache.compile_unkept(&runtime.engine, &skeleton(bytes)?).ok()
}

/// The imports that are newer than the host's, before the linker's own words: they may expect functions that the host's
/// versions do not have.
fn newer_imports(contract: &Contract) -> String {
    let newer = contract.import_names.iter().filter_map(|name| match offer_of(name) {
        Offer::There { older: Some(older) } => Some(format!("it imports {name}, and there is {older}; ")),
        _ => None,
    });
    newer.collect()
}

/// How many of the pool's slots one instance of this component takes: a composed component holds several memories and
/// tables, and a heap of the garbage collector takes a memory.
fn slots_of(code: &Code, footprint: Footprint) -> Result<u32, LoadError> {
    let needs = code
        .resources_required()
        .ok_or_else(|| LoadError::Link("imports core modules, so its size cannot be known in advance".into()))?;
    let memories = needs.num_memories.saturating_add(footprint.collected.into()).div_ceil(MEMORIES_PER_SLOT);
    let tables = needs.num_tables.div_ceil(TABLES_PER_SLOT);
    Ok(memories.max(tables).max(1))
}
