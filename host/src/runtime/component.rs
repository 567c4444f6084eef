//! A component: compiled, checked, and linked for one service.

use super::context::Context;
use super::engine::{MEMORIES_PER_SLOT, Runtime, TABLES_PER_SLOT};
use super::error::LoadError;
use super::grants::{self, Grants};
use super::link::{self, Link};
use crate::base::{Digest, ServiceName};
use crate::contract::{Contract, Function, FunctionName, InterfaceName, Type, uncallable};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{Component as Code, ComponentExportIndex, InstancePre};
use wasmtime::AsContextMut;
use wasmtime::component::Instance;
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::{p2, p3};

/// A compiled component. It is linked when it becomes the revision of a service.
pub struct Component {
    digest: Digest,
    code: Code,
    contract: Arc<Contract>,
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

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    pub(super) fn check(runtime: &Runtime, digest: Digest, code: Code, contract: Contract) -> Result<Self, LoadError> {
        let ty = code.component_type();
        let imports: Vec<_> = ty.imports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
        // A function that stands in no interface has no service behind it.
        let called =
            |import: &String| import.contains(':') && contract.import_names.contains(&InterfaceName::new(import));
        let unknown = |import: &&String| !grants::is_known(import) && !called(import);
        let unknown: Vec<_> = imports.iter().filter(unknown).cloned().collect();
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports(unknown));
        }
        for (name, interface) in contract.imports.iter().chain(&contract.exports) {
            let wrong = interface.functions.values().find_map(|function| Some((function, uncallable(function)?)));
            if let Some((function, why)) = wrong {
                return Err(LoadError::Uncallable(format!("`{}` of {name}: {why}", function.name)));
            }
        }
        if let Some((name, resources)) = contract.resources.iter().find(|(name, _)| contract.imports.contains_key(name))
        {
            return Err(LoadError::Uncallable(format!(
                "{name} has the resource `{}`, which belongs to one instance",
                resources.join("`, `")
            )));
        }
        let slots = slots_of(&code)?;
        if slots as usize > runtime.slots.most() {
            return Err(LoadError::Link(format!(
                "one instance takes {slots} slots of the pool, which has {} for it: raise `instances` in [runtime]",
                runtime.slots.most()
            )));
        }
        let component = Self { digest, code, contract: Arc::new(contract), imports, slots };
        if component.contract.exports.is_empty() && !answers_http(&component.contract) {
            let exports: Vec<_> =
                component.code.component_type().exports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
            return Err(LoadError::NothingToCall(if exports.is_empty() {
                "nothing".into()
            } else {
                exports.join(", ")
            }));
        }
        Ok(component)
    }

    /// Whether it may run as `service`, which has a store of its own if `state`.
    ///
    /// # Errors
    /// [`LoadError::NotGranted`] when it imports what the manifest does not give to that service.
    pub fn permitted(&self, service: &ServiceName, state: bool) -> Result<(), LoadError> {
        grants::check(service, state, self.imports.iter().map(String::as_str))
    }

    /// Whether every import of it is there, with the type that it expects; `links` says which service answers each that is not the host's.
    ///
    /// # Errors
    /// [`LoadError::Link`].
    pub fn links(&self, runtime: &Runtime, links: &[Link]) -> Result<(), LoadError> {
        self.pre(runtime, links).map(drop)
    }

    fn pre(&self, runtime: &Runtime, links: &[Link]) -> Result<InstancePre<Context>, LoadError> {
        let refuse = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        if links.is_empty() {
            return runtime.linker.instantiate_pre(&self.code).map_err(refuse);
        }
        let mut linker = runtime.linker.clone();
        for link in links {
            let Some(interface) = self.contract.imports.get(&link.import) else { continue };
            link::define(&mut linker, link, interface, &runtime.exit).map_err(refuse)?;
        }
        linker.instantiate_pre(&self.code).map_err(refuse)
    }

    /// This component as the revision of the service that `grants` names.
    ///
    /// # Errors
    /// As [`Component::permitted`] and [`Component::links`].
    pub fn revision(&self, runtime: &Runtime, grants: Arc<Grants>, links: &[Link]) -> Result<Revision, LoadError> {
        self.permitted(&grants.service, grants.state.is_some())?;
        let pre = self.pre(runtime, links)?;
        // Copy-on-write images are made now, not by the first request.
        self.code.initialize_copy_on_write_image().map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(Revision {
            digest: self.digest,
            handler: Handler::find(&pre),
            exports: exports(&self.code, &self.contract),
            contract: Arc::clone(&self.contract),
            links: links.into(),
            pre,
            grants,
            slots: self.slots,
        })
    }
}

/// A component loaded for a service: what its instances are made of.
pub struct Revision {
    pub(super) digest: Digest,
    pub(super) pre: InstancePre<Context>,
    /// `None` for a component that answers no HTTP by itself.
    pub(super) handler: Option<Handler>,
    pub(super) grants: Arc<Grants>,
    /// Slots of the pool that one instance takes.
    pub(super) slots: u32,
    exports: HashMap<FunctionName, Arc<Export>>,
    contract: Arc<Contract>,
    links: Vec<Link>,
}

/// A function that others may call.
pub(super) struct Export {
    pub(super) index: ComponentExportIndex,
    pub(super) function: Function,
    /// Whether a stream or a future is among its arguments or results.
    pub(super) streams: bool,
}

impl Revision {
    /// The digest of its component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it offers to other services and needs of them.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Which services answer its imports.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The function that a caller means by `name`: of that interface, or of a version of it that is compatible.
    pub(super) fn export(&self, name: &FunctionName) -> Option<Arc<Export>> {
        if let Some(export) = self.exports.get(name) {
            return Some(Arc::clone(export));
        }
        let fits = |own: &FunctionName| own.function == name.function && name.interface.compatible(&own.interface);
        self.exports.iter().find(|(own, _)| fits(own)).map(|(_, export)| Arc::clone(export))
    }
}

/// The handlers of HTTP that the host can call: those of WASI 0.3 and 0.2.
const HANDLERS: [&str; 2] = ["wasi:http/handler@0.3.", "wasi:http/incoming-handler@0.2."];

/// Whether a component with this contract answers HTTP by itself.
pub fn answers_http(contract: &Contract) -> bool {
    let is_handler = |name: &InterfaceName| HANDLERS.iter().any(|handler| name.to_string().starts_with(handler));
    contract.export_names.iter().any(is_handler)
}

/// Where the handler of HTTP is in the compiled code.
pub(super) enum Handler {
    P2(p2::bindings::ProxyIndices),
    P3(p3::bindings::ServiceIndices),
}

impl Handler {
    /// The handler that the component exports: that of WASI 0.3 if it has both.
    fn find(pre: &InstancePre<Context>) -> Option<Self> {
        if let Ok(service) = p3::bindings::ServiceIndices::new(pre) {
            return Some(Self::P3(service));
        }
        p2::bindings::ProxyIndices::new(pre).ok().map(Self::P2)
    }

    /// That of an instance.
    pub(super) fn of(&self, store: impl AsContextMut<Data = Context>, instance: &Instance) -> wasmtime::Result<Proxy> {
        Ok(match self {
            Self::P2(indices) => Proxy::P2(indices.load(store, instance)?),
            Self::P3(indices) => Proxy::P3(indices.load(store, instance)?),
        })
    }
}

/// Where each function of the contract is in the compiled code.
fn exports(code: &Code, contract: &Contract) -> HashMap<FunctionName, Arc<Export>> {
    let mut exports = HashMap::new();
    for (interface, described) in &contract.exports {
        let instance = code.get_export_index(None, interface.to_string().as_str());
        for function in described.functions.values() {
            let Some(index) = code.get_export_index(instance.as_ref(), function.name.as_str()) else { continue };
            let name = FunctionName { interface: interface.clone(), function: function.name.clone() };
            let mut types = function.params.iter().map(|param| &param.ty).chain(&function.result);
            let streams = types.any(Type::has_streams);
            exports.insert(name, Arc::new(Export { index, function: function.clone(), streams }));
        }
    }
    exports
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
