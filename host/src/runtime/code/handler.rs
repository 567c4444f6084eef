//! The function by which a component answers HTTP.

use crate::contract::{Contract, InterfaceName};
use crate::runtime::context::context::Context;
use wasmtime::AsContextMut;
use wasmtime::component::{Instance, InstancePre};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::{p2, p3};

/// The HTTP handlers that the host can call: those of WASI 0.3 and 0.2, in any version on the track.
const HANDLERS: [&str; 2] = ["wasi:http/handler@0.3.0", "wasi:http/incoming-handler@0.2.0"];

/// Whether a component with this contract answers HTTP by itself.
pub fn answers_http(contract: &Contract) -> bool {
    let handlers = HANDLERS.map(InterfaceName::new);
    contract.export_names.iter().any(|name| handlers.iter().any(|handler| handler.compatible(name)))
}

/// Where the HTTP handler is in a component's code.
pub(crate) enum Handler {
    P2(p2::bindings::ProxyIndices),
    P3(p3::bindings::ServiceIndices),
}

impl Handler {
    /// The handler that the component exports: that of WASI 0.3 if it exports both.
    pub(super) fn find(pre: &InstancePre<Context>) -> Option<Self> {
        if let Ok(service) = p3::bindings::ServiceIndices::new(pre) {
            return Some(Self::P3(service));
        }
        p2::bindings::ProxyIndices::new(pre).ok().map(Self::P2)
    }

    /// The handler of `instance`, ready to be called.
    pub(crate) fn of(&self, store: impl AsContextMut<Data = Context>, instance: &Instance) -> wasmtime::Result<Proxy> {
        Ok(match self {
            Self::P2(indices) => Proxy::P2(indices.load(store, instance)?),
            Self::P3(indices) => Proxy::P3(indices.load(store, instance)?),
        })
    }
}
