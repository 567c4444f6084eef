//! One invocation: an instance from its lease to the last byte of its answer.
//!
//! The instance lives in a task of its own, since dropping a call's future does not stop a guest and dropping its store does. The
//! caller's side keeps all clocks and the task's leash: it waits for the head until the deadline, then [`GuestBody`] watches the
//! body. When the caller goes away or loses its patience the leash is dropped, and the task with its store.

use super::body::{GuestBody, for_guest};
use super::context::{Context, Identity};
use super::engine::Runtime;
use super::error::InvokeError;
use super::fault::{Failure, Fault};
use super::revision::Revision;
use super::slots::Taken;
use crate::base::{Body, CallContext, ErrorKind};
use futures_util::FutureExt;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{WasiBody, WasiHttpView, p3};

/// The right to have one instance. Both go back when the instance is gone.
pub(super) struct Lease {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _slots: Taken,
}

type Head = Result<http::Response<WasiBody>, InvokeError>;

/// The caller's end of a running instance's task: dropped, it ends the task.
pub(super) struct Leash {
    task: AbortHandle,
    released: Option<oneshot::Sender<()>>,
}

impl Leash {
    /// The answer is whole: the guest may finish what it does after it, for as long as its timeout allows.
    pub(super) fn release(&mut self) {
        if let Some(released) = self.released.take() {
            let _ = released.send(());
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.released.is_some() {
            self.task.abort();
        }
    }
}

/// A started invocation whose head is awaited.
pub(super) struct Invocation {
    head: oneshot::Receiver<Head>,
    leash: Leash,
    fault: Fault,
    /// The answer to this request has no body on the wire (HEAD).
    bodiless: bool,
}

/// What is instantiated, as whom, and with how many bytes of memory.
pub(super) struct Guest {
    /// Of a component that answers HTTP.
    pub(super) revision: Arc<Revision>,
    pub(super) identity: Identity,
    pub(super) memory: usize,
}

/// Starts an instance on `request`; `timeout` bounds what it does after its answer.
pub(super) fn start(
    runtime: &Runtime,
    guest: Guest,
    context: &CallContext,
    timeout: Duration,
    lease: Lease,
    request: http::Request<Body>,
) -> Invocation {
    let Guest { revision, identity, memory } = guest;
    let (sender, head) = oneshot::channel();
    let (released, release) = oneshot::channel();
    let bodiless = request.method() == http::Method::HEAD;
    let fault = Fault::default();
    let request = for_guest(request, &identity.grants.service);
    let instance = Instance {
        store: Context::store(runtime, identity, memory, context.clone(), fault.clone()),
        revision,
        head: HeadSlot(Arc::new(Mutex::new(Some(sender)))),
        fault: fault.clone(),
        ended: false,
        _lease: lease,
    };
    let task = tokio::spawn(instance.run(request, release, timeout)).abort_handle();
    Invocation { head, leash: Leash { task, released: Some(released) }, fault, bodiless }
}

/// Instantiates `revision` and lets the instance go again.
pub(super) async fn instantiate(
    runtime: &Runtime,
    revision: &Revision,
    identity: Identity,
    memory: usize,
    context: CallContext,
) -> Result<(), InvokeError> {
    let mut store = Context::store(runtime, identity, memory, context, Fault::default());
    match revision.pre().instantiate_async(&mut store).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Instantiation(error).explain(store.data().memory.denied)),
    }
}

impl Invocation {
    /// The head of the answer, with a body that goes on streaming.
    pub(super) async fn answer(self, deadline: Instant) -> Result<http::Response<Body>, InvokeError> {
        match timeout_at(deadline, self.head).await {
            Ok(Ok(head)) => head.map(|response| {
                let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                let without_body = self.bodiless || matches!(response.status().as_u16(), 204 | 304);
                let length = if without_body { Some(0) } else { length };
                response.map(|body| GuestBody::new(body, length, self.leash, self.fault).boxed_unsync())
            }),
            Ok(Err(_)) => {
                Err(InvokeError::new(ErrorKind::Host, "the instance's task was lost: the host panicked in it"))
            }
            Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "no answer before the deadline")),
        }
    }
}

/// The sender of the head: whichever comes first, the guest's answer or its failure, takes it.
#[derive(Clone)]
struct HeadSlot(Arc<Mutex<Option<oneshot::Sender<Head>>>>);

impl HeadSlot {
    fn send(&self, head: Head) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The caller may have gone; then its leash ends this task.
            let _ = sender.send(head);
        }
    }
}

/// The task's side: the store and all that must go when it goes. Fields are dropped in this order: the lease last, so that whoever
/// waits for a slot finds it free.
struct Instance {
    store: Store<Context>,
    revision: Arc<Revision>,
    head: HeadSlot,
    fault: Fault,
    /// Its task came to its end.
    ended: bool,
    _lease: Lease,
}

impl Drop for Instance {
    /// A panic of the host in this task must not look like the end of an answer. Where the task has ended in order the fault is set, or
    /// the guest has nothing left to say.
    fn drop(&mut self) {
        if !self.ended {
            self.fault.set(ErrorKind::Host, "the instance's task was lost");
        }
    }
}

impl Instance {
    async fn run(mut self, request: http::Request<WasiBody>, release: oneshot::Receiver<()>, patience: Duration) {
        let overtime = async {
            // An error means that the caller went away, and with it the leash: this task ends at its next yield.
            if release.await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(patience).await;
        };
        let slice = self.store.data().slice.clone();
        let result = {
            let handler = self.revision.handler().expect("a component without a handler is not asked by HTTP");
            let mut serve = pin!(serve(&mut self.store, handler, request, self.head.clone()));
            let serve = poll_fn(|context| {
                slice.begin();
                serve.as_mut().poll(context)
            });
            tokio::select! {
                result = serve => result,
                () = overtime => Err(Failure::overtime()),
            }
        };
        let error = match result {
            // Without a fault, but also without a head? Then there will never be one.
            Ok(()) => InvokeError::new(ErrorKind::BadAnswer, "the guest ended without an answer"),
            Err(failure) => {
                let error = failure.explain(self.store.data().memory.denied);
                self.store.data().identity.warn(&error);
                self.fault.set(error.kind, error.detail.clone());
                error
            }
        };
        self.ended = true;
        self.head.send(Err(error));
    }
}

/// Instantiates, hands the request over, sends the head, and goes on until the guest has nothing left to do.
async fn serve(
    store: &mut Store<Context>,
    handler: &ProxyPre<Context>,
    request: http::Request<WasiBody>,
    head: HeadSlot,
) -> Result<(), Failure> {
    let proxy = handler.instantiate_async(&mut *store).await.map_err(Failure::Instantiation)?;
    store
        .run_concurrent(async |accessor| {
            match &proxy {
                Proxy::P2(guest) => {
                    let prepared = accessor.with(|mut access| {
                        let mut http = access.get().http();
                        let request = http.new_incoming_request(Scheme::Http, request)?;
                        let answer = http.new_response_outparam_from_callback({
                            let head = head.clone();
                            move |answer| head.send(answer.map_err(refused))
                        })?;
                        wasmtime::error::Ok((request, answer))
                    });
                    let (request, answer) = prepared.map_err(Failure::Host)?;
                    guest
                        .wasi_http_incoming_handler()
                        .func_handle()
                        .call_concurrent(accessor, (request, answer))
                        .await?;
                }
                Proxy::P3(guest) => head.send(answer_p3(guest, accessor, request).await?),
            }
            // The answer is on its way. Its body, and whatever the guest does after it, run on in here.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}

async fn answer_p3(
    guest: &p3::bindings::Service,
    accessor: &Accessor<Context>,
    request: http::Request<WasiBody>,
) -> Result<Head, Failure> {
    let prepared = accessor.with(|mut access| {
        let http = access.get().http();
        let (request, sent) = p3::Request::from_http(http.hooks, request);
        wasmtime::error::Ok((http.table.push(request)?, sent.boxed()))
    });
    let (request, sent) = prepared.map_err(Failure::Host)?;
    match guest.wasi_http_handler().call_handle(accessor, request).await? {
        Ok(response) => Ok(accessor.with(|mut access| {
            let response = access.get().http().table.delete(response)?;
            response.into_http_with_getter(access.as_context_mut(), sent, Context::http).map(Ok)
        })?),
        Err(error) => Ok(Err(refused(error))),
    }
}

/// The guest answered with an error code of WASI HTTP instead of a response.
fn refused(error: impl std::fmt::Debug) -> InvokeError {
    InvokeError::new(ErrorKind::BadAnswer, format!("the guest answered with an error: {error:?}"))
}
