//! The two functions by which a guest begins to wait for a time without reading a clock: Wasmtime's, noted.

use crate::runtime::context::context::Context;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, HasData, Linker, Resource};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock as clock_p2;
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock as clock_p3;

/// Defines them in place of Wasmtime's.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    clock_p3::add_to_linker::<_, TimerImport>(linker, Context::clocks)?;
    linker.instance("wasi:clocks/monotonic-clock@0.2.12")?.func_wrap("subscribe-duration", subscribe_duration)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The name by which the linker knows this implementation.
struct TimerImport;

impl HasData for TimerImport {
    type Data<'a> = WasiClocksCtxView<'a>;
}

impl clock_p3::HostWithStore<Context> for TimerImport {
    async fn wait_until(accessor: &Accessor<Context, Self>, when: clock_p3::Mark) -> wasmtime::Result<()> {
        accessor.with(|mut access| note(access.data_mut()));
        let accessor = accessor.with_getter::<WasiClocks>(Context::clocks);
        <WasiClocks as clock_p3::HostWithStore<Context>>::wait_until(&accessor, when).await
    }

    async fn wait_for(accessor: &Accessor<Context, Self>, duration: u64) -> wasmtime::Result<()> {
        accessor.with(|mut access| note(access.data_mut()));
        let accessor = accessor.with_getter::<WasiClocks>(Context::clocks);
        <WasiClocks as clock_p3::HostWithStore<Context>>::wait_for(&accessor, duration).await
    }
}

fn subscribe_duration(
    mut store: StoreContextMut<'_, Context>,
    (duration,): (u64,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    note(store.data());
    Ok((clock_p2::Host::subscribe_duration(&mut store.data_mut().clocks(), duration)?,))
}

fn note(context: &Context) {
    if let Some(notes) = context.notes() {
        notes.timer();
    }
}
