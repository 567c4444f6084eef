//! An instance that serves typed calls, in a task of its own.
//!
//! As with a request by HTTP, the task owns the store, since dropping a call does not stop a guest and dropping its store does. Calls come
//! in over a channel. When the channel is closed and every call is answered, the guest may finish what it does besides, for as long as
//! its timeout allows; then the instance goes.

use super::context::{Context, Identity};
use super::drive::Drive;
use super::engine::Runtime;
use super::fault::{Failure, Fault};
use super::invocation::Lease;
use super::loaded::Export;
use super::parcel::Parcel;
use super::revision::Revision;
use super::settings::Limits;
use crate::base::{CallContext, ErrorKind};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use wasmtime::component::{Accessor, Instance, Val};
use wasmtime::{AsContextMut, Store};

/// One call on its way into an instance.
pub(super) struct Job {
    pub(super) export: Arc<Export>,
    pub(super) arguments: Parcel,
    pub(super) context: CallContext,
    /// Dropped without an answer, it means that the instance failed; how, its fault tells.
    pub(super) answer: oneshot::Sender<Parcel>,
}

/// The callers' end of a running instance.
pub(super) struct Worker {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) task: AbortHandle,
    drive: Drive,
    pub(super) fault: Fault,
}

impl Worker {
    /// Starts an instance that serves up to `concurrent` calls at a time, the first of them for `first`.
    pub(super) fn start(
        runtime: &Runtime,
        revision: &Arc<Revision>,
        limits: &Limits,
        identity: Identity,
        lease: Lease,
        concurrent: usize,
        first: &CallContext,
    ) -> Self {
        let (jobs, receiver) = mpsc::channel(concurrent);
        let fault = Fault::default();
        let mut store = Context::store(runtime, identity, limits.memory, first.clone(), fault.clone());
        let (flow, flows) = mpsc::channel(1);
        store.data_mut().flow = Some(flow);
        let task = Task {
            store,
            revision: Arc::clone(revision),
            jobs: receiver,
            concurrent,
            flows,
            fault: fault.clone(),
            ended: false,
            _lease: lease,
        };
        let (drive, task) = Drive::spawn(task.run(limits.timeout));
        Self { jobs, task, drive, fault }
    }

    /// Hands `job` to the instance, and lets it begin at once: it may have answered when this returns.
    pub(super) fn hand(&self, job: Job) -> Result<(), TrySendError<Job>> {
        self.drive.hand(|| self.jobs.try_send(job))
    }
}

/// The task's side. Fields are dropped in this order: the lease last, so that whoever waits for a slot finds it free.
struct Task {
    store: Store<Context>,
    revision: Arc<Revision>,
    jobs: mpsc::Receiver<Job>,
    concurrent: usize,
    /// Closed when nobody reads a stream of this instance any more.
    flows: mpsc::Receiver<Infallible>,
    fault: Fault,
    /// It came to its end.
    ended: bool,
    _lease: Lease,
}

impl Drop for Task {
    /// Whoever waits for an answer that does not come, or reads a stream that breaks off, learns why.
    fn drop(&mut self) {
        if !self.ended {
            self.fault.set(ErrorKind::Host, "the instance's task was lost");
        }
    }
}

impl Task {
    async fn run(mut self, patience: std::time::Duration) {
        let (finish, finished) = oneshot::channel();
        let flows = &mut self.flows;
        let overtime = async {
            if finished.await.is_err() {
                std::future::pending::<()>().await;
            }
            while flows.recv().await.is_some() {}
            sleep(patience).await;
        };
        let slice = self.store.data().slice.clone();
        let result = {
            let mut work = pin!(work(&mut self.store, &self.revision, &mut self.jobs, self.concurrent, finish));
            let work = poll_fn(|context| {
                slice.begin();
                work.as_mut().poll(context)
            });
            tokio::select! {
                result = work => result,
                () = overtime => Err(Failure::overtime()),
            }
        };
        if let Err(failure) = result {
            let error = failure.explain(self.store.data().memory.denied);
            self.store.data().identity.warn(&error);
            self.fault.set(error.kind, error.detail);
        }
        self.ended = true;
    }
}

/// Instantiates, and serves calls until there will be no more.
async fn work(
    store: &mut Store<Context>,
    revision: &Revision,
    jobs: &mut mpsc::Receiver<Job>,
    concurrent: usize,
    finish: oneshot::Sender<()>,
) -> Result<(), Failure> {
    let instance = revision.pre().instantiate_async(&mut *store).await.map_err(Failure::Instantiation)?;
    store
        .run_concurrent(async |accessor| {
            if concurrent == 1 {
                while let Some(job) = jobs.recv().await {
                    serve(accessor, &instance, job).await?;
                }
            } else {
                serve_several(accessor, &instance, jobs, concurrent).await?;
            }
            accessor.with(|mut access| access.data_mut().flow = None);
            let _ = finish.send(());
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}

/// Serves up to `concurrent` calls at a time, until there will be no more.
async fn serve_several(
    accessor: &Accessor<Context>,
    instance: &Instance,
    jobs: &mut mpsc::Receiver<Job>,
    concurrent: usize,
) -> Result<(), Failure> {
    let mut calls = FuturesUnordered::new();
    let mut open = true;
    while open || !calls.is_empty() {
        tokio::select! {
            job = jobs.recv(), if open && calls.len() < concurrent => match job {
                Some(job) => calls.push(serve(accessor, instance, job)),
                None => open = false,
            },
            Some(served) = calls.next(), if !calls.is_empty() => served?,
        }
    }
    Ok(())
}

/// One call, from its arguments to its results. An error means that the instance is of no more use.
async fn serve(accessor: &Accessor<Context>, instance: &Instance, job: Job) -> Result<(), Failure> {
    let Job { export, arguments, context, answer } = job;
    let function = &export.function;
    let mut results = vec![Val::Bool(false); usize::from(function.result.is_some())];
    let types = function.params.iter().map(|param| &param.ty);
    let arguments = accessor.with(|mut access| arguments.unpack(&mut access.as_context_mut(), types));
    let arguments = arguments.map_err(Failure::Host)?;
    let started = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let func = instance.get_func(&mut store, export.index);
        let func = func.ok_or_else(|| wasmtime::format_err!("the export is no function"))?;
        let call = func.start_call_concurrent(&mut store, &arguments, &mut results)?;
        let task = call.task();
        store.data_mut().begin(task, context);
        wasmtime::error::Ok((func, call, task))
    });
    let (func, call, task) = started.map_err(Failure::Host)?;
    func.finish_call_concurrent(accessor, call).await?;
    let parcel = accessor.with(|mut access| {
        access.data_mut().end(task);
        Parcel::pack(&mut access.as_context_mut(), function.result.iter(), results)
    });
    // The caller may have gone.
    let _ = answer.send(parcel.map_err(Failure::Host)?);
    Ok(())
}
