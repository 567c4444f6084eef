//! One job inside a running instance, from its arguments to its answer.

use super::body::ReadAhead;
use super::context::Context;
use super::error::InvokeError;
use super::fault::InstanceFailure;
use super::job::{Ask, Head, Job};
use super::loaded::{Export, Handler};
use super::parcel::DetachedValues;
use crate::base::{CallContext, ErrorKind};
use futures_util::FutureExt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::oneshot;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Instance, Val};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p2::bindings::Proxy as ProxyP2;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::bindings::Service as ProxyP3;
use wasmtime_wasi_http::{WasiBody, WasiHttpView, p3};

/// An instance, and its handler of HTTP once it has been asked by HTTP.
pub(super) struct Guest<'a> {
    instance: Instance,
    handler: Option<&'a Handler>,
    proxy: OnceLock<Proxy>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(instance: Instance, handler: Option<&'a Handler>) -> Self {
        Self { instance, handler, proxy: OnceLock::new() }
    }

    /// Serves `job`. An error means that the instance is of no more use.
    pub(super) async fn serve(&self, accessor: &Accessor<Context>, job: Job) -> Result<(), InstanceFailure> {
        let Job { context, ask } = job;
        match ask {
            Ask::Call { export, arguments, answer } => self.call(accessor, &export, arguments, context, answer).await,
            Ask::Request { request, answer } => match self.proxy(accessor)? {
                Proxy::P3(guest) => {
                    // The caller may have gone.
                    let _ = answer.send(ask_p3(guest, accessor, request, context).await?);
                    Ok(())
                }
                Proxy::P2(guest) => ask_p2(guest, accessor, request, context, answer).await,
            },
        }
    }

    async fn call(
        &self,
        accessor: &Accessor<Context>,
        export: &Export,
        arguments: DetachedValues,
        context: CallContext,
        answer: oneshot::Sender<DetachedValues>,
    ) -> Result<(), InstanceFailure> {
        let function = &export.function;
        let mut results = vec![Val::Bool(false); usize::from(function.result.is_some())];
        let types = function.params.iter().map(|param| &param.ty);
        let arguments = accessor.with(|mut access| arguments.unpack(&mut access.as_context_mut(), types));
        let arguments = arguments.map_err(InstanceFailure::Host)?;
        let started = accessor.with(|mut access| {
            let mut store = access.as_context_mut();
            let func = self.instance.get_func(&mut store, export.index);
            let func = func.ok_or_else(|| wasmtime::format_err!("the export is no function"))?;
            let call = func.start_call_concurrent(&mut store, &arguments, &mut results)?;
            let task = call.task();
            store.data_mut().begin(task, context);
            wasmtime::error::Ok((func, call, task))
        });
        let (func, call, task) = started.map_err(InstanceFailure::Host)?;
        func.finish_call_concurrent(accessor, call).await?;
        let parcel = accessor.with(|mut access| {
            access.data_mut().end(task);
            DetachedValues::pack(&mut access.as_context_mut(), function.result.iter(), results)
        });
        // The caller may have gone.
        let _ = answer.send(parcel.map_err(InstanceFailure::Host)?);
        Ok(())
    }

    fn proxy(&self, accessor: &Accessor<Context>) -> Result<&Proxy, InstanceFailure> {
        if let Some(proxy) = self.proxy.get() {
            return Ok(proxy);
        }
        let handler = self.handler.expect("a component without a handler is not asked by HTTP");
        let proxy = accessor.with(|access| handler.of(access, &self.instance)).map_err(InstanceFailure::Host)?;
        Ok(self.proxy.get_or_init(|| proxy))
    }
}

async fn ask_p3(
    guest: &ProxyP3,
    accessor: &Accessor<Context>,
    request: http::Request<WasiBody>,
    context: CallContext,
) -> Result<Head, InstanceFailure> {
    let handle = guest.wasi_http_handler().func_handle();
    let prepared = accessor.with(|mut access| {
        let http = access.get().http();
        let (request, sent) = p3::Request::from_http(http.hooks, request);
        let request = http.table.push(request)?;
        let mut store = access.as_context_mut();
        let call = handle.start_call_concurrent(&mut store, (request,))?;
        store.data_mut().begin(call.task(), context);
        wasmtime::error::Ok((call, sent.boxed()))
    });
    let (call, sent) = prepared.map_err(InstanceFailure::Host)?;
    let task = call.task();
    let (answer,) = handle.finish_call_concurrent(accessor, call).await?;
    let head = accessor.with(|mut access| {
        access.data_mut().end(task);
        match answer {
            Ok(response) => {
                let response = access.get().http().table.delete(response)?;
                let response = response.into_http_with_getter(access.as_context_mut(), sent, Context::http)?;
                wasmtime::error::Ok(Ok(response.map(ReadAhead::new)))
            }
            Err(error) => Ok(Err(refused(error))),
        }
    });
    Ok(head?)
}

/// A guest of WASI 0.2 lays its head down while it runs, and may go on with the body.
async fn ask_p2(
    guest: &ProxyP2,
    accessor: &Accessor<Context>,
    request: http::Request<WasiBody>,
    context: CallContext,
    answer: oneshot::Sender<Head>,
) -> Result<(), InstanceFailure> {
    let handle = guest.wasi_http_incoming_handler().func_handle();
    let answer = Arc::new(Mutex::new(Some(answer)));
    let take =
        |answer: &Mutex<Option<oneshot::Sender<Head>>>| answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    let prepared = accessor.with(|mut access| {
        let mut http = access.get().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let outparam = http.new_response_outparam_from_callback({
            let answer = Arc::clone(&answer);
            move |head| {
                if let Some(answer) = take(&answer) {
                    let _ = answer.send(head.map(|response| response.map(ReadAhead::new)).map_err(refused));
                }
            }
        })?;
        let mut store = access.as_context_mut();
        let call = handle.start_call_concurrent(&mut store, (request, outparam))?;
        store.data_mut().begin(call.task(), context);
        wasmtime::error::Ok(call)
    });
    let call = prepared.map_err(InstanceFailure::Host)?;
    let task = call.task();
    handle.finish_call_concurrent(accessor, call).await?;
    accessor.with(|mut access| access.data_mut().end(task));
    match take(&answer) {
        None => Ok(()),
        Some(_) => {
            let error = wasmtime::format_err!("the guest ended without an answer");
            Err(InstanceFailure::Guest(ErrorKind::BadAnswer, error))
        }
    }
}

/// The guest answered with an error code of WASI HTTP instead of a response.
fn refused(error: impl std::fmt::Debug) -> InvokeError {
    InvokeError::new(ErrorKind::BadAnswer, format!("the guest answered with an error: {error:?}"))
}
