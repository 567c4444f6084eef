//! A guest's outbound HTTP, with the identity of the call that it is made for.
//!
//! Wasmtime's hook for a request gets the store's data and not the store, and only the store knows the guest's tasks.
//! An instance that serves several calls at a time would send the request of one call with the identity of another. So
//! the two functions that send are defined here: they look up the call, and do then what Wasmtime's do.

use crate::runtime::context::context::{Context, attribute_request};
use wasmtime::component::{Accessor, HasData, Linker, Resource};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types as types_p2};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::p3::bindings::http::{client, types as types_p3};
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{RequestOptions, WasiHttp, WasiHttpCtxView, WasiHttpView};

/// Defines the functions that send a request in place of Wasmtime's.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    client::add_to_linker::<_, HttpImport>(linker, Context::http)?;
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap("handle", send_p2)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The name by which the linker knows this implementation.
struct HttpImport;

impl HasData for HttpImport {
    type Data<'a> = WasiHttpCtxView<'a>;
}

impl client::HostWithStore<Context> for HttpImport {
    async fn send(
        accessor: &Accessor<Context, Self>,
        request: Resource<Request>,
    ) -> Result<Resource<Response>, TrappableError<types_p3::ErrorCode>> {
        // Wasmtime's function gives the request to the hook at its first poll, which follows without a break.
        accessor.with(|mut access| attribute_request(&mut access.as_context_mut()));
        let accessor = accessor.with_getter::<WasiHttp>(Context::http);
        <WasiHttp as client::HostWithStore<Context>>::send(&accessor, request).await
    }
}

fn send_p2(
    mut store: StoreContextMut<'_, Context>,
    (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>),
) -> wasmtime::Result<(Result<Resource<HostFutureIncomingResponse>, types_p2::ErrorCode>,)> {
    attribute_request(&mut store);
    let mut http = store.data_mut().http();
    let sent = outgoing_handler::Host::handle(&mut http, request, options);
    Ok((match sent {
        Ok(answer) => Ok(answer),
        Err(error) => Err(types_p2::Host::convert_error_code(&mut http, error)?),
    },))
}
