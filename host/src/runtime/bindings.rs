//! Bindings of the contracts that this host implements itself, and the one linker that serves every component.

use super::context::Context;
use super::imports::{KeyValue, Transactions};
use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

/// `atoll:state`: several keys at once, whole or not at all.
pub(super) mod state {
    wasmtime::component::bindgen!({
        path: "../wit/state",
        world: "atoll:state/imports",
        imports: { default: trappable },
    });
}

/// `wasi:keyvalue`: the same data for components that know the draft.
pub(super) mod keyvalue {
    wasmtime::component::bindgen!({
        path: "../wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        trappable_error_type: { "wasi:keyvalue/store.error" => super::super::imports::KeyValueError },
        with: { "wasi:keyvalue/store.bucket": super::super::imports::OpenBucket },
    });
}

/// A linker with every interface of the host, of WASI 0.2 and 0.3: one path for both. What a service may use is decided before, by
/// its grants, and inside, by its context.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |context: &mut Context| {
        WasiConfig::new(context.identity.grants.config())
    })?;
    state::atoll::state::transactions::add_to_linker::<_, Transactions>(&mut linker, |context| context)?;
    keyvalue::wasi::keyvalue::store::add_to_linker::<_, KeyValue>(&mut linker, |context| context)?;
    keyvalue::wasi::keyvalue::atomics::add_to_linker::<_, KeyValue>(&mut linker, |context| context)?;
    keyvalue::wasi::keyvalue::batch::add_to_linker::<_, KeyValue>(&mut linker, |context| context)?;
    Ok(linker)
}
