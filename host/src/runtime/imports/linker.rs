//! The linker with every interface that the host offers itself.

use super::{keyvalue, transactions};
use crate::runtime::context::context::Context;
use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

/// A linker with every interface of the host, and those of WASI 0.2 and 0.3. All components use it. What a service may
/// use is decided before, by its grants, and at each call by its context.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |context: &mut Context| {
        WasiConfig::new(context.identity.grants.config())
    })?;
    transactions::add_to(&mut linker)?;
    keyvalue::add_to(&mut linker)?;
    Ok(linker)
}
