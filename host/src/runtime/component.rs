//! A component: read, checked, and made the revision of one service.

use super::engine::{MEMORIES_PER_SLOT, Runtime, TABLES_PER_SLOT};
use super::error::LoadError;
use super::grants::{self, Grants};
use super::link::Link;
use super::loaded::{self, LinkedCode};
use super::revision::Revision;
use crate::base::{Digest, ServiceName};
use crate::contract::{Contract, InterfaceName, uncallable};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::Component as Code;

/// A component that can serve, as far as it is known without a service. Its code is compiled, and in memory only where it is not kept on disk.
pub struct Component {
    digest: Digest,
    contract: Arc<Contract>,
    slots: u32,
    /// Why its imports do not fit the host's.
    unlinkable: Option<String>,
    /// Where it was read; a revision that is not in memory finds its bytes there if its code has been lost.
    source: Option<Arc<Path>>,
    /// `None`: the cache has it.
    code: Option<Arc<Code>>,
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

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Reads, compiles and checks it, unless the cache has code of it that this host has checked before. `source`: where its bytes can be read
    /// again; without, its code stays in memory.
    pub(super) fn new(runtime: &Runtime, bytes: &[u8], source: Option<&Path>) -> Result<Self, LoadError> {
        let contract = Contract::decode(bytes).map_err(|error| LoadError::Invalid(error.to_string()))?;
        let component = Self {
            digest: Self::digest_of(bytes),
            contract: Arc::new(contract),
            slots: 0,
            unlinkable: None,
            source: source.map(Arc::from),
            code: None,
        };
        let seal = source.and_then(|_| runtime.cache.seal(component.digest));
        let component = match seal {
            Some(seal) => Self { slots: seal.slots, ..component },
            None => component.compiled(runtime, bytes)?,
        };
        let (slots, most) = (component.slots, runtime.slots.most());
        if slots as usize > most {
            return Err(LoadError::Link(format!(
                "one instance takes {slots} slots of the pool, which has {most} for it: raise `instances` in [runtime]"
            )));
        }
        Ok(component)
    }

    fn compiled(self, runtime: &Runtime, bytes: &[u8]) -> Result<Self, LoadError> {
        let compile = || runtime.cache.get_or_compile(&runtime.engine, self.digest, bytes);
        let code = runtime.shared_code.get_or_load(self.digest, compile)?;
        check(runtime, &self.contract, &code)?;
        let slots = slots_of(&code)?;
        // Whichever services answer its imports: it is their types that link, or do not.
        let anybody = ServiceName::new("anybody").expect("it is a name");
        let link = |import: &InterfaceName| Link { import: import.clone(), service: anybody.clone() };
        let links: Vec<_> = self.contract.imports.keys().map(link).collect();
        let unlinkable = loaded::links(runtime, &code, &self.contract, &links).err();
        let kept = unlinkable.is_none() && runtime.cache.confirm(self.digest, slots) && self.source.is_some();
        Ok(Self { slots, unlinkable, code: (!kept).then_some(code), ..self })
    }

    /// Whether it may run as `service`, which has a store of its own if `state`.
    ///
    /// # Errors
    /// [`LoadError::NotGranted`] when it imports what the manifest does not give to that service.
    pub fn permitted(&self, service: &ServiceName, state: bool) -> Result<(), LoadError> {
        grants::check(service, state, self.contract.import_names.iter().map(ToString::to_string))
    }

    /// Whether every import of it that is the host's is there, with the type that it expects.
    ///
    /// # Errors
    /// [`LoadError::Link`].
    pub fn links(&self) -> Result<(), LoadError> {
        self.unlinkable.clone().map_or(Ok(()), |why| Err(LoadError::Link(why)))
    }

    /// This component as the revision of the service that `grants` names; `links` says which service answers each import that is not the
    /// host's.
    ///
    /// # Errors
    /// As [`Component::permitted`] and [`Component::links`].
    pub fn revision(&self, runtime: &Runtime, grants: Arc<Grants>, links: &[Link]) -> Result<Revision, LoadError> {
        self.permitted(&grants.service, grants.state.is_some())?;
        self.links()?;
        let load = |code| LinkedCode::new(runtime, code, &self.contract, links).map_err(LoadError::Link);
        let loaded = self.code.clone().map(load).transpose()?;
        let (contract, source) = (Arc::clone(&self.contract), self.source.clone());
        Ok(Revision::new(self.digest, self.slots, grants, contract, links.into(), source, loaded))
    }
}

/// Whether all that it imports and exports is what this host and its services can have.
fn check(runtime: &Runtime, contract: &Contract, code: &Code) -> Result<(), LoadError> {
    let ty = code.component_type();
    // A function that stands in no interface has no service behind it.
    let called = |import: &str| import.contains(':') && contract.import_names.contains(&InterfaceName::new(import));
    let imports = ty.imports(&runtime.engine).map(|(name, _)| name.to_owned());
    let unknown: Vec<_> = imports.filter(|import| !grants::is_known(import) && !called(import)).collect();
    if !unknown.is_empty() {
        return Err(LoadError::UnknownImports(unknown));
    }
    for (name, interface) in contract.imports.iter().chain(&contract.exports) {
        let wrong = interface.functions.values().find_map(|function| Some((function, uncallable(function)?)));
        if let Some((function, why)) = wrong {
            return Err(LoadError::Uncallable(format!("`{}` of {name}: {why}", function.name)));
        }
    }
    if let Some((name, resources)) = contract.resources.iter().find(|(name, _)| contract.imports.contains_key(name)) {
        return Err(LoadError::Uncallable(format!(
            "{name} has the resource `{}`, which belongs to one instance",
            resources.join("`, `")
        )));
    }
    if contract.exports.is_empty() && !answers_http(contract) {
        let exports: Vec<_> = ty.exports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
        return Err(LoadError::NothingToCall(if exports.is_empty() { "nothing".into() } else { exports.join(", ") }));
    }
    Ok(())
}

/// The handlers of HTTP that the host can call: those of WASI 0.3 and 0.2.
const HANDLERS: [&str; 2] = ["wasi:http/handler@0.3.", "wasi:http/incoming-handler@0.2."];

/// Whether a component with this contract answers HTTP by itself.
pub fn answers_http(contract: &Contract) -> bool {
    let is_handler = |name: &InterfaceName| HANDLERS.iter().any(|handler| name.to_string().starts_with(handler));
    contract.export_names.iter().any(is_handler)
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
