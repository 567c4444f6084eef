//! The code of a revision in memory, and where in it everything is.

use super::component::answers_http;
use super::context::Context;
use super::engine::Runtime;
use super::link::{self, Link};
use crate::contract::{Contract, Function, FunctionName, Type};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::AsContextMut;
use wasmtime::component::{Component as Code, ComponentExportIndex, Instance, InstancePre};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::{p2, p3};

/// What instances are made of.
pub(super) struct LinkedCode {
    pub(super) pre: InstancePre<Context>,
    /// `None` for a component that answers no HTTP by itself.
    pub(super) handler: Option<Handler>,
    exports: HashMap<FunctionName, Arc<Export>>,
    /// Held so that others find it in [`SharedCode`](super::shared_code::SharedCode).
    _code: Arc<Code>,
}

/// A function that others may call.
pub(super) struct Export {
    pub(super) index: ComponentExportIndex,
    pub(super) function: Function,
    /// Whether a stream or a future is among its arguments or results.
    pub(super) streams: bool,
}

impl LinkedCode {
    /// Links `code`, whose contract is `contract`; `links` says which service answers each import that is not the host's.
    ///
    /// # Errors
    /// What does not link.
    pub(super) fn new(runtime: &Runtime, code: Arc<Code>, contract: &Contract, links: &[Link]) -> Result<Self, String> {
        let pre = pre(runtime, &code, contract, links)?;
        // Copy-on-write images are made now, not by the first instance.
        code.initialize_copy_on_write_image().map_err(|error| format!("{error:#}"))?;
        Ok(Self { handler: Handler::find(&pre), exports: exports(&code, contract), pre, _code: code })
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

/// Whether [`LinkedCode::new`] would succeed.
///
/// # Errors
/// What does not link.
pub(super) fn links(runtime: &Runtime, code: &Code, contract: &Contract, links: &[Link]) -> Result<(), String> {
    let pre = pre(runtime, code, contract, links)?;
    if answers_http(contract) && Handler::find(&pre).is_none() {
        return Err("exports a handler of HTTP whose type is not that of WASI".to_owned());
    }
    Ok(())
}

/// The code with every import answered: the host's by the host, the others by the services that `links` names.
///
/// # Errors
/// The import that is missing, or of another type.
fn pre(runtime: &Runtime, code: &Code, contract: &Contract, links: &[Link]) -> Result<InstancePre<Context>, String> {
    let refuse = |error: wasmtime::Error| format!("{error:#}");
    if links.is_empty() {
        return runtime.linker.instantiate_pre(code).map_err(refuse);
    }
    let mut linker = runtime.linker.clone();
    for link in links {
        let Some(interface) = contract.imports.get(&link.import) else { continue };
        link::define(&mut linker, link, interface, &runtime.exit).map_err(refuse)?;
    }
    linker.instantiate_pre(code).map_err(refuse)
}

/// Where the handler of HTTP is in the code.
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
