//! One job inside a running instance, from its arguments to its answer.

use super::job::{HttpAnswer, Job, Work};
use crate::base::{CallContext, ErrorKind, SecureOrigin};
use crate::runtime::code::handler::Handler;
use crate::runtime::code::linked::Export;
use crate::runtime::context::context::Context;
use crate::runtime::error::InvokeError;
use crate::runtime::fault::InstanceFailure;
use crate::runtime::lock::lock;
use crate::runtime::values::detached::DetachedValues;
use crate::runtime::values::read_ahead::ReadAhead;
use futures_util::FutureExt;
use http::HeaderValue;
use http::header::HOST;
use http::uri::{Authority, Scheme as HttpScheme};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::oneshot;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Instance, Val};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p2::bindings::Proxy as ProxyP2;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::bindings::Service as ProxyP3;
use wasmtime_wasi_http::{WasiBody, WasiHttpView, p3};

/// A running instance, with its HTTP handler once the first request has come.
pub(super) struct Guest<'a> {
    instance: Instance,
    handler: Option<&'a Handler>,
    proxy: OnceLock<Proxy>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(instance: Instance, handler: Option<&'a Handler>) -> Self {
        Self { instance, handler, proxy: OnceLock::new() }
    }

    /// Serves `job`. After an error the instance must not be used any more.
    pub(super) async fn serve(&self, accessor: &Accessor<Context>, job: Job) -> Result<(), InstanceFailure> {
        let Job { context, work } = job;
        match work {
            Work::Call { export, arguments, answer } => self.call(accessor, &export, arguments, context, answer).await,
            Work::Request { request, answer } => match self.proxy(accessor)? {
                Proxy::P3(guest) => {
                    // It fails only if the caller is gone.
                    let _ = answer.send(request_p3(guest, accessor, request, context).await?);
                    Ok(())
                }
                Proxy::P2(guest) => request_p2(guest, accessor, request, context, answer).await,
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
        let results = accessor.with(|mut access| {
            access.data_mut().end(task);
            DetachedValues::pack(&mut access.as_context_mut(), function.result.iter(), results)
        });
        // It fails only if the caller is gone.
        let _ = answer.send(results.map_err(InstanceFailure::Host)?);
        Ok(())
    }

    fn proxy(&self, accessor: &Accessor<Context>) -> Result<&Proxy, InstanceFailure> {
        if let Some(proxy) = self.proxy.get() {
            return Ok(proxy);
        }
        let handler = self.handler.expect("a component without a handler gets no HTTP requests");
        let proxy = accessor.with(|access| handler.of(access, &self.instance)).map_err(InstanceFailure::Host)?;
        Ok(self.proxy.get_or_init(|| proxy))
    }
}

/// Sends a request to a guest of WASI 0.3.
async fn request_p3(
    guest: &ProxyP3,
    accessor: &Accessor<Context>,
    request: Box<http::Request<WasiBody>>,
    context: CallContext,
) -> Result<HttpAnswer, InstanceFailure> {
    let handle = guest.wasi_http_handler().func_handle();
    let prepared = accessor.with(|mut access| {
        let http = access.get().http();
        let authority = authority(&request);
        let scheme = if is_secure(&request) { HttpScheme::HTTPS } else { HttpScheme::HTTP };
        let (mut request, sent) = p3::Request::from_http(http.hooks, *request);
        // As WASI 0.2 is told them. A guest does not see the header `Host`: in WASI HTTP it is the authority.
        (request.scheme, request.authority) = (Some(scheme), authority);
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
                wasmtime::error::Ok(Ok(response.map(|body| access.data_mut().answer_body(body))))
            }
            Err(error) => Ok(Err(bad_answer(error))),
        }
    });
    Ok(head?)
}

/// The authority that a request names, by its target or its `Host` (RFC 9110, section 7.2).
fn authority<B>(request: &http::Request<B>) -> Option<Authority> {
    let named = || request.headers().get(HOST).and_then(named_authority);
    request.uri().authority().cloned().or_else(named)
}

thread_local! {
    /// Most requests have the same host as the request before them on the thread, and share its authority.
    static LAST_AUTHORITY: RefCell<Option<Authority>> = const { RefCell::new(None) };
}

/// The authority that a `Host` names; `None` if it is not valid.
fn named_authority(host: &HeaderValue) -> Option<Authority> {
    LAST_AUTHORITY.with_borrow_mut(|last| match last {
        Some(authority) if authority.as_str().as_bytes() == host.as_bytes() => Some(authority.clone()),
        last => {
            let authority = Authority::try_from(host.as_bytes()).ok()?;
            Some(last.insert(authority).clone())
        }
    })
}

/// Whether the client of a request came by TLS.
fn is_secure<B>(request: &http::Request<B>) -> bool {
    request.extensions().get::<SecureOrigin>().is_some()
}

/// Sends a request to a guest of WASI 0.2. Such a guest delivers the head of its answer while it runs, and may go on
/// with the body.
async fn request_p2(
    guest: &ProxyP2,
    accessor: &Accessor<Context>,
    request: Box<http::Request<WasiBody>>,
    context: CallContext,
    answer: oneshot::Sender<HttpAnswer>,
) -> Result<(), InstanceFailure> {
    let handle = guest.wasi_http_incoming_handler().func_handle();
    let answer = Arc::new(Mutex::new(AnswerP2::Awaited(answer)));
    let prepared = accessor.with(|mut access| {
        let mut http = access.get().http();
        let scheme = if is_secure(&request) { Scheme::Https } else { Scheme::Http };
        let request = http.new_incoming_request(scheme, *request)?;
        let outparam = http.new_response_outparam_from_callback({
            let answer = Arc::clone(&answer);
            move |head| lock(&answer).give(head.map(|head| head.map(ReadAhead::new)).map_err(bad_answer))
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
    match &*lock(&answer) {
        AnswerP2::Given(body) => {
            // The guest may be kept for further calls, but it is done with this one.
            if let Some(body) = body {
                body.settle();
            }
            Ok(())
        }
        AnswerP2::Awaited(_) => {
            let error = wasmtime::format_err!("the guest ended without an answer");
            Err(InstanceFailure::Guest(ErrorKind::BadAnswer, error))
        }
    }
}

/// The answer of a guest of WASI 0.2.
enum AnswerP2 {
    /// The guest has not answered yet.
    Awaited(oneshot::Sender<HttpAnswer>),
    /// The guest has answered, with this body unless its answer is an error.
    Given(Option<ReadAhead>),
}

impl AnswerP2 {
    /// The guest answers. Only its first answer counts.
    fn give(&mut self, answer: HttpAnswer) {
        let body = answer.as_ref().ok().map(|response| response.body().clone());
        if let Self::Awaited(_) = self
            && let Self::Awaited(caller) = std::mem::replace(self, Self::Given(body))
        {
            // It fails only if the caller is gone.
            let _ = caller.send(answer);
        }
    }
}

/// The error of a request to which the guest returned an error code of WASI HTTP instead of a response.
fn bad_answer(error: impl std::fmt::Debug) -> InvokeError {
    InvokeError::new(ErrorKind::BadAnswer, format!("the guest answered with an error: {error:?}"))
}
