//! The code of a revision in memory, linked, and where its functions are in it.

use super::handler::{Handler, answers_http};
use crate::contract::{Contract, Function, FunctionName, Type};
use crate::runtime::context::context::Context;
use crate::runtime::engine::Runtime;
use crate::runtime::imports::blocking;
use crate::runtime::imports::typed::{self, Link};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{Component as Code, ComponentExportIndex, InstancePre};
use wasmtime::{Result, bail};

/// What instances are made of.
pub(super) struct LinkedCode {
    pub(super) pre: InstancePre<Context>,
    /// `None` for a component that answers no HTTP by itself.
    pub(super) handler: Option<Handler>,
    exports: HashMap<FunctionName, Arc<Export>>,
    /// Held so that other revisions of the component find the code in
    /// [`SharedCode`](crate::runtime::cache::shared_code::SharedCode).
    pub(super) code: Arc<Code>,
}

/// A function that other services may call.
pub(crate) struct Export {
    /// Its name, which the spans of its calls share.
    pub(crate) name: Arc<str>,
    pub(crate) index: ComponentExportIndex,
    pub(crate) function: Function,
    /// Whether a stream or a future is among its arguments or results.
    pub(crate) streams: bool,
}

impl LinkedCode {
    /// Links `code`, whose contract is `contract`. `links` names the service that answers each import that is not the
    /// host's.
    ///
    /// # Errors
    /// What does not link.
    pub(super) fn new(runtime: &Runtime, code: Arc<Code>, contract: &Contract, links: &[Link]) -> Result<Self> {
        let pre = pre(runtime, &code, contract, links)?;
        // Now, not by the first instance.
        code.initialize_copy_on_write_image()?;
        Ok(Self { handler: Handler::find(&pre), exports: exports(&code, contract), pre, code })
    }

    /// The function that a caller means by `name`: of that interface, or of a compatible version of the interface.
    pub(super) fn export(&self, name: &FunctionName) -> Option<Arc<Export>> {
        if let Some(export) = self.exports.get(name) {
            return Some(Arc::clone(export));
        }
        let fits = |own: &FunctionName| own.function == name.function && name.interface.compatible(&own.interface);
        self.exports.iter().find(|(own, _)| fits(own)).map(|(_, export)| Arc::clone(export))
    }
}

/// Checks that [`LinkedCode::new`] would succeed.
///
/// # Errors
/// What does not link.
pub(super) fn check_links(runtime: &Runtime, code: &Code, contract: &Contract, links: &[Link]) -> Result<()> {
    let pre = pre(runtime, code, contract, links)?;
    if answers_http(contract) && Handler::find(&pre).is_none() {
        bail!("exports a handler of HTTP whose type is not that of WASI");
    }
    Ok(())
}

/// The code with every import answered: the host's by the host, the others by the services that `links` names.
///
/// # Errors
/// The import that is missing, or of another type.
fn pre(runtime: &Runtime, code: &Code, contract: &Contract, links: &[Link]) -> Result<InstancePre<Context>> {
    if links.is_empty() && !blocking::is_blocking(contract) {
        return runtime.linker.instantiate_pre(code);
    }
    let mut linker = runtime.linker.clone();
    blocking::define_blocking(&mut linker, contract)?;
    for link in links {
        let Some(interface) = contract.imports.get(&link.import) else { continue };
        typed::define(&mut linker, link, interface, &runtime.outcall)?;
    }
    linker.instantiate_pre(code)
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
            exports.insert(
                name,
                Arc::new(Export { name: function.name.as_str().into(), index, function: function.clone(), streams }),
            );
        }
    }
    exports
}
