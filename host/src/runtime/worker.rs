//! An instance that serves jobs, one for its only caller or more over a channel.
//!
//! Its future owns the store, since dropping a call does not stop a guest and dropping its store does. When there will be no more jobs and every
//! answer is whole, the guest may finish what it does besides, for as long as its timeout allows; then the instance goes.

use super::context::{Context, InstanceIdentity};
use super::drive::{self, InlinePoll};
use super::engine::Runtime;
use super::fault::{InstanceFailure, InstanceFault};
use super::job::Job;
use super::leash::InstanceGuard;
use super::revision::Revision;
use super::serve::Guest;
use super::settings::Limits;
use super::slots::SlotPermit;
use crate::base::{CallContext, ErrorKind};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{AbortHandle, unconstrained};
use tokio::time::sleep;
use wasmtime::Store;
use wasmtime::component::Accessor;

/// The right to have one instance. Both go back when the instance is gone.
pub(super) struct Lease {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _slots: SlotPermit,
}

/// What an instance is made of, and for whom.
pub(super) struct InstanceSpec<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) revision: &'a Arc<Revision>,
    pub(super) limits: &'a Limits,
    pub(super) identity: InstanceIdentity,
    pub(super) lease: Lease,
}

/// The callers' end of an instance that is kept.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    task: AbortHandle,
    drive: InlinePoll,
    pub(super) fault: InstanceFault,
    begun: Arc<AtomicBool>,
    /// Dropped with the worker: nobody uses the instance any more.
    _held: oneshot::Sender<()>,
}

impl Worker {
    /// Starts an instance that serves up to `concurrent` jobs at a time, the first of them for `first`.
    pub(super) fn start(birth: InstanceSpec<'_>, concurrent: usize, first: &CallContext) -> Self {
        let (jobs, receiver) = mpsc::channel(concurrent);
        let patience = birth.limits.timeout;
        let task = Task::new(birth, first, Jobs { first: None, more: Some(receiver), concurrent });
        let (fault, begun) = (task.fault.clone(), Arc::clone(&task.begun));
        let (_held, held) = oneshot::channel();
        let (drive, task) = InlinePoll::spawn(task.run(Some(held), patience));
        Self { jobs, task, drive, fault, begun, _held }
    }

    /// Hands `job` to the instance, and lets it go on at once if it may, with `between` after each step: it may have answered when this
    /// returns.
    #[expect(clippy::result_large_err, reason = "no error: the job comes back, to be handed to another")]
    pub(super) fn hand(&self, job: Job, between: impl FnMut(&mut task::Context<'_>)) -> Result<(), TrySendError<Job>> {
        if job.is_nested() && !self.begun.load(Relaxed) {
            return self.jobs.try_send(job);
        }
        self.drive.submit(|| self.jobs.try_send(job), between)
    }

    /// Ends the instance, whatever it does.
    pub(super) fn end(&self) {
        self.task.abort();
    }
}

/// Starts an instance for `job` alone, and lets it begin at once if it may, with `between` after each step: it may have ended when this
/// returns.
pub(super) fn serve_once(
    birth: InstanceSpec<'_>,
    job: Job,
    between: impl FnMut(&mut task::Context<'_>),
) -> (InstanceGuard, InstanceFault) {
    let patience = birth.limits.timeout;
    let (first, nested) = (job.context.clone(), job.is_nested());
    // Streams outlive their call, and the instance lives as long as they are read.
    let (held, holder) = if job.has_streams() { (None, None) } else { Some(oneshot::channel()).unzip() };
    let task = Task::new(birth, &first, Jobs { first: Some(job), more: None, concurrent: 1 });
    let fault = task.fault.clone();
    let run = task.run(holder, patience);
    let task = if nested { Some(tokio::spawn(run).abort_handle()) } else { drive::start_inline(run, between) };
    (InstanceGuard::Own { task, held, whole: false }, fault)
}

/// Instantiates and lets the instance go again.
pub(super) async fn rehearse(birth: InstanceSpec<'_>, context: CallContext) -> Result<(), super::error::InvokeError> {
    let InstanceSpec { runtime, revision, limits, identity, lease: _lease } = birth;
    let mut store = Context::store(runtime, identity, limits.memory, context, InstanceFault::default());
    match revision.pre().instantiate_async(&mut store).await {
        Ok(_) => Ok(()),
        Err(error) => Err(InstanceFailure::Instantiation(error).explain(store.data().memory.denied)),
    }
}

/// What there is to do.
struct Jobs {
    first: Option<Job>,
    /// `None` where the first is the only one.
    more: Option<mpsc::Receiver<Job>>,
    /// How many at a time.
    concurrent: usize,
}

impl Jobs {
    /// The next one; `None` when there will be no more.
    async fn next(&mut self) -> Option<Job> {
        match (self.first.take(), &mut self.more) {
            (Some(first), _) => Some(first),
            (None, Some(more)) => more.recv().await,
            (None, None) => None,
        }
    }
}

/// The instance's side. Fields are dropped in this order: the lease last, so that whoever waits for a slot finds it free.
struct Task {
    store: Store<Context>,
    revision: Arc<Revision>,
    jobs: Jobs,
    /// Closed when nobody reads a stream of this instance any more.
    flows: mpsc::Receiver<Infallible>,
    fault: InstanceFault,
    /// The engine has let it begin its work.
    begun: Arc<AtomicBool>,
    /// It came to its end.
    ended: bool,
    _lease: Lease,
}

impl Drop for Task {
    /// Whoever waits for an answer that does not come, or reads a stream that breaks off, learns why. A panic of the host in here must not
    /// look like the end of an answer.
    fn drop(&mut self) {
        if !self.ended {
            self.fault.set(ErrorKind::Host, "the instance's task was lost");
        }
    }
}

impl Task {
    /// An instance to be.
    fn new(birth: InstanceSpec<'_>, first: &CallContext, jobs: Jobs) -> Self {
        let InstanceSpec { runtime, revision, limits, identity, lease } = birth;
        let fault = InstanceFault::default();
        let mut store = Context::store(runtime, identity, limits.memory, first.clone(), fault.clone());
        let (flow, flows) = mpsc::channel(1);
        store.data_mut().flow = Some(flow);
        let revision = Arc::clone(revision);
        Self { store, revision, jobs, flows, fault, begun: Arc::default(), ended: false, _lease: lease }
    }

    /// `held`: closed when every answer is whole and there will be no more jobs. A guest that goes on then, be it in a function that never
    /// returns, has `patience`.
    async fn run(mut self, held: Option<oneshot::Receiver<()>>, patience: Duration) {
        let (finish, finished) = oneshot::channel();
        let flows = &mut self.flows;
        // Unconstrained: guest and overtime share the task's budget, and a guest that waits for what is there already uses it up in each turn.
        let overtime = unconstrained(async {
            if let Some(held) = held {
                let _ = held.await;
            } else {
                if finished.await.is_err() {
                    std::future::pending::<()>().await;
                }
                while flows.recv().await.is_some() {}
            }
            sleep(patience).await;
        });
        let slice = self.store.data().slice.clone();
        let result = {
            let mut work = pin!(work(&mut self.store, &self.revision, &mut self.jobs, &self.begun, finish));
            let work = poll_fn(|context| {
                slice.begin();
                work.as_mut().poll(context)
            });
            tokio::select! {
                biased;
                result = work => result,
                () = overtime => Err(InstanceFailure::overtime()),
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

/// Instantiates, and serves jobs until there will be no more.
async fn work(
    store: &mut Store<Context>,
    revision: &Revision,
    jobs: &mut Jobs,
    begun: &AtomicBool,
    finish: oneshot::Sender<()>,
) -> Result<(), InstanceFailure> {
    let instance = revision.pre().instantiate_async(&mut *store).await.map_err(InstanceFailure::Instantiation)?;
    let guest = Guest::new(instance, revision.handler());
    store
        .run_concurrent(async |accessor| {
            begun.store(true, Relaxed);
            if jobs.concurrent == 1 {
                while let Some(job) = jobs.next().await {
                    guest.serve(accessor, job).await?;
                }
            } else {
                serve_several(accessor, &guest, jobs).await?;
            }
            accessor.with(|mut access| access.data_mut().flow = None);
            let _ = finish.send(());
            // Bodies and streams of its answers, and whatever the guest does after them, run on in here.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}

/// Serves as many jobs at a time as it may, until there will be no more.
async fn serve_several(
    accessor: &Accessor<Context>,
    guest: &Guest<'_>,
    jobs: &mut Jobs,
) -> Result<(), InstanceFailure> {
    let concurrent = jobs.concurrent;
    let mut running = FuturesUnordered::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            job = jobs.next(), if open && running.len() < concurrent => match job {
                Some(job) => running.push(guest.serve(accessor, job)),
                None => open = false,
            },
            Some(served) = running.next(), if !running.is_empty() => served?,
        }
    }
    Ok(())
}
