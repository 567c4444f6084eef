//! `wasi:otel` 0.2.0-rc.2: a guest's own spans, measured values and lines of the log.
//!
//! Two interfaces bear this version; both are here. A guest is a stranger: its spans are of the host's trace and below
//! its own call, and all that it says has a bound. A component that imports none of it pays nothing.

mod attributes;
mod logs;
mod metrics;
mod tracing;

use crate::base::TraceScope;
use crate::runtime::context::context::{Context, own_call};
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker};

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../wit/deps/clocks-0.2", "../wit/deps/otel"],
        world: "wasi:otel/imports",
        imports: { default: store | trappable },
    });
}

/// Adds the interfaces of `wasi:otel` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    bindings::wasi::otel::tracing::add_to_linker::<_, Otel>(linker, |context| context)?;
    bindings::wasi::otel::metrics::add_to_linker::<_, Otel>(linker, |context| context)?;
    bindings::wasi::otel::logs::add_to_linker::<_, Otel>(linker, |context| context)
}

/// The name by which the linker knows this implementation.
struct Otel;

impl HasData for Otel {
    type Data<'a> = &'a mut Context;
}

/// The place in its trace of the call that the guest works on now: in the host's span of that call. `None`: it is not
/// traced, or nothing of it may be seen.
fn place(store: &mut StoreContextMut<'_, Context>) -> Option<TraceScope> {
    if store.data().identity.tape.is_played() {
        return None;
    }
    own_call(store).trace
}
