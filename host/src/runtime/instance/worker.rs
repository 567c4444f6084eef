//! An instance that serves jobs: one job for its only caller, or several over a queue.
//!
//! The instance's future owns the store. Dropping a call does not stop a guest, and dropping its store does. When no
//! more jobs will come and every answer is whole, the guest may finish what it does besides, for a grace period as long
//! as its timeout. Then the instance ends.

use super::guard::InstanceGuard;
use super::inline_poll::{self, InlinePoll};
use super::job::Job;
use super::job_queue::{JobFeed, JobIntake, job_queue};
use super::serve::Guest;
use super::serving::{ServingCount, ServingInstance};
use super::store::new_store;
use crate::base::{CallContext, ErrorKind};
use crate::runtime::capacity::compute_future::ComputeFuture;
use crate::runtime::capacity::cpu::ServiceCpu;
use crate::runtime::capacity::slots::SlotPermit;
use crate::runtime::code::revision::Revision;
use crate::runtime::context::context::Context;
use crate::runtime::context::identity::InstanceIdentity;
use crate::runtime::context::memory::MemoryLimit;
use crate::runtime::engine::Runtime;
use crate::runtime::error::InvokeError;
use crate::runtime::fault::{InstanceFailure, InstanceFault};
use crate::runtime::settings::Limits;
use crate::telemetry::PoolMetrics;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{AbortHandle, unconstrained};
use tokio::time::sleep;
use wasmtime::Store;
use wasmtime::component::Accessor;

/// The right to have one instance. All of it goes back when the instance is gone.
pub(crate) struct Lease {
    /// One of the endpoint's instances.
    _permit: OwnedSemaphorePermit,
    /// The instance's slots of the engine's pool.
    pub(crate) slots: SlotPermit,
    /// Counts an instance that serves one call and ends with it. A kept instance is counted by its calls.
    _serving: Option<ServingInstance>,
}

impl Lease {
    pub(crate) fn new(permit: OwnedSemaphorePermit, slots: SlotPermit) -> Self {
        Self { _permit: permit, slots, _serving: None }
    }

    /// The same lease, for an instance that serves as long as it lives.
    pub(crate) fn serving(self, count: &ServingCount) -> Self {
        Self { _serving: Some(count.instance()), ..self }
    }
}

/// What an instance is made of, and for which call.
pub(crate) struct InstanceSpec<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) revision: &'a Arc<Revision>,
    pub(crate) limits: &'a Limits,
    /// The account of its service.
    pub(crate) cpu: &'a Arc<ServiceCpu>,
    /// What is counted of its instances.
    pub(crate) metrics: &'a Arc<PoolMetrics>,
    pub(crate) identity: InstanceIdentity,
    pub(crate) lease: Lease,
}

/// The callers' end of an instance that is kept between calls.
pub(crate) struct Worker {
    jobs: JobIntake,
    task: AbortHandle,
    inline: InlinePoll,
    pub(crate) fault: InstanceFault,
    has_begun: Arc<AtomicBool>,
    /// Dropped with the worker: it tells the instance that no more jobs will come.
    _in_use: oneshot::Sender<()>,
}

impl Worker {
    /// Starts an instance that serves up to `concurrent` jobs at a time, the first of them for `first`.
    pub(crate) fn start(spec: InstanceSpec<'_>, concurrent: usize, first: &CallContext) -> Self {
        let (jobs, feed) = job_queue(concurrent);
        let grace = spec.limits.timeout;
        let mut task = InstanceTask::new(spec, first.clone(), Jobs { first: None, more: Some(feed), concurrent });
        let (fault, has_begun) = (task.fault.clone(), Arc::default());
        task.has_begun = Some(Arc::clone(&has_begun));
        let (_in_use, in_use) = oneshot::channel();
        let (inline, task) = InlinePoll::spawn(task.start(AnswersEnd::Told(in_use), grace));
        Self { jobs, task, inline, fault, has_begun, _in_use }
    }

    /// Submits `job` to the instance and polls the instance here at once, if it may run here, with `after_each_poll`
    /// after each poll. The job may be answered when this returns. The job comes back if the instance cannot take it.
    #[expect(clippy::result_large_err, reason = "no error: the job comes back, to be submitted to another instance")]
    pub(crate) fn submit(&self, job: Job, after_each_poll: impl FnMut(&mut task::Context<'_>)) -> Result<(), Job> {
        if job.is_nested() && !self.has_begun.load(Relaxed) {
            return self.jobs.submit(job);
        }
        self.inline.submit(|| self.jobs.submit(job), after_each_poll)
    }

    /// Ends the instance, whatever it is doing.
    pub(crate) fn end(&self) {
        self.task.abort();
    }
}

/// Starts an instance for `job` alone and polls it here at once, if it may begin here, with `after_each_poll` after
/// each poll. The instance may have ended when this returns.
pub(crate) fn serve_once(
    spec: InstanceSpec<'_>,
    job: Job,
    after_each_poll: impl FnMut(&mut task::Context<'_>),
) -> (InstanceGuard, InstanceFault) {
    let grace = spec.limits.timeout;
    let (first, nested, streams) = (job.context.clone(), job.is_nested(), job.has_streams());
    let mut task = InstanceTask::new(spec, first, Jobs { first: Some(job), more: None, concurrent: 1 });
    let fault = task.fault.clone();
    let (answer_pending, end) = if streams {
        // A stream outlives its call: then the instance lives until its streams are read.
        (None, task.until_read())
    } else {
        let (answer_pending, answered) = oneshot::channel();
        (Some(answer_pending), AnswersEnd::Told(answered))
    };
    let run = task.start(end, grace);
    let task =
        if nested { Some(tokio::spawn(run).abort_handle()) } else { inline_poll::start_inline(run, after_each_poll) };
    (InstanceGuard::new(task, answer_pending), fault)
}

/// Instantiates once and drops the instance again.
pub(crate) async fn rehearse(spec: InstanceSpec<'_>, context: CallContext) -> Result<(), InvokeError> {
    let InstanceSpec { runtime, revision, limits, cpu, metrics, identity, lease } = spec;
    let memory = MemoryLimit::new(limits.memory, Arc::clone(metrics));
    let mut store = new_store(runtime, cpu, identity, memory, context, InstanceFault::default());
    let (slice, revision) = (store.data().slice.clone(), Arc::clone(revision));
    let (done, rehearsed) = oneshot::channel();
    let rehearsal = async move {
        let _lease = lease;
        let result = revision.pre().instantiate_async(&mut store).await.map(drop);
        let denied = store.data().memory.denied;
        drop(store);
        let _ = done.send(result.map_err(|error| InstanceFailure::Instantiation(error).explain(denied)));
    };
    ComputeFuture::new(rehearsal, slice, Arc::clone(cpu)).await;
    rehearsed.await.expect("the rehearsal has ended, and sends its result before its end")
}

/// The jobs of one instance.
struct Jobs {
    first: Option<Job>,
    /// `None` if the first job is the only one.
    more: Option<JobFeed>,
    /// How many jobs are served at a time.
    concurrent: usize,
}

impl Jobs {
    /// The next job; `None` when no more will come.
    async fn next(&mut self) -> Option<Job> {
        match (self.first.take(), &mut self.more) {
            (Some(first), _) => Some(first),
            (None, Some(more)) => poll_fn(|context| more.poll_next(context)).await,
            (None, None) => None,
        }
    }
}

/// How an instance learns that every answer is whole and no more jobs will come.
enum AnswersEnd {
    /// By the end of this channel.
    Told(oneshot::Receiver<()>),
    /// Its streams are read. First the job is served, and then no reader of a stream of the instance is left.
    Read { served: oneshot::Receiver<()>, readers: mpsc::Receiver<Infallible> },
}

/// The future of an instance, with all that the instance owns. Fields are dropped in this order. The lease is the last:
/// when a waiting call gets its slot, the engine has freed the memory of that slot already.
struct InstanceTask {
    store: Store<Context>,
    revision: Arc<Revision>,
    cpu: Arc<ServiceCpu>,
    jobs: Jobs,
    fault: InstanceFault,
    /// Where it is noted that the engine has let the instance begin its work, if somebody asks.
    has_begun: Option<Arc<AtomicBool>>,
    /// Where it is told that all jobs were served, if somebody waits for that.
    served: Option<oneshot::Sender<()>>,
    /// The instance ended by itself, and its fault is recorded if it has one.
    ended: bool,
    _lease: Lease,
}

impl Drop for InstanceTask {
    /// Records a fault if the task was dropped early. Otherwise a panic of the host in here would look like the end of
    /// an answer to a caller that waits for it or reads its stream. Then settles the bodies, while the store is there.
    fn drop(&mut self) {
        if !self.ended {
            self.fault.set(InvokeError::new(ErrorKind::Host, "the instance's task was lost"));
        }
        self.store.data_mut().settle_bodies();
        self.store.data().slice.meter().end();
    }
}

impl InstanceTask {
    /// The task of an instance that is not instantiated yet.
    fn new(spec: InstanceSpec<'_>, first: CallContext, jobs: Jobs) -> Self {
        let InstanceSpec { runtime, revision, limits, cpu, metrics, identity, lease } = spec;
        let fault = InstanceFault::default();
        let memory = MemoryLimit::new(limits.memory, Arc::clone(metrics));
        // An instance that is kept has the memory that other calls have needed: each call learns of its growth.
        let memory = memory.noted_in(first.memory.clone().filter(|_| jobs.more.is_none()));
        let store = new_store(runtime, cpu, identity, memory, first, fault.clone());
        if jobs.more.is_some() {
            store.data().slice.meter().keep();
        }
        let (revision, cpu) = (Arc::clone(revision), Arc::clone(cpu));
        Self { store, revision, cpu, jobs, fault, has_begun: None, served: None, ended: false, _lease: lease }
    }

    /// What runs the instance to its end. See [`InstanceTask::run`].
    fn start(self, end: AnswersEnd, grace: Duration) -> ComputeFuture {
        let (slice, cpu) = (self.store.data().slice.clone(), Arc::clone(&self.cpu));
        ComputeFuture::new(self.run(end, grace), slice, cpu)
    }

    /// Has the instance live until its streams are read. The readers' ends are the store's `reader_token` and its
    /// clones.
    fn until_read(&mut self) -> AnswersEnd {
        let (reader_token, readers) = mpsc::channel(1);
        let (told, served) = oneshot::channel();
        self.store.data_mut().reader_token = Some(reader_token);
        self.served = Some(told);
        AnswersEnd::Read { served, readers }
    }

    /// Runs the instance to its end. A guest that still works after `end`, perhaps in a function that never returns, is
    /// ended after `grace`.
    async fn run(mut self, end: AnswersEnd, grace: Duration) {
        // Unconstrained: the guest and this future share the task's budget of tokio. A guest that awaits what is ready
        // already uses up the budget in each poll; then this future would never make progress, and the guest would
        // never be ended.
        let overtime = unconstrained(async {
            match end {
                AnswersEnd::Told(answered) => {
                    let _ = answered.await;
                }
                AnswersEnd::Read { served, mut readers } => {
                    if served.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    while readers.recv().await.is_some() {}
                }
            }
            // Boxed: most guests have ended by now.
            Box::pin(sleep(grace)).await;
        });
        let (begun, served) = (self.has_begun.as_deref(), self.served.take());
        let work = serve_jobs(&mut self.store, &self.revision, &mut self.jobs, begun, served);
        let result = tokio::select! {
            biased;
            result = work => result,
            () = overtime => Err(InstanceFailure::overtime()),
        };
        if let Err(failure) = result {
            let exited = failure.is_exit();
            let error = failure.explain(self.store.data().memory.denied);
            if !exited {
                self.store.data().report_failure(&error);
            }
            self.fault.set(error);
        }
        self.ended = true;
    }
}

/// Instantiates, and serves jobs until no more will come.
async fn serve_jobs(
    store: &mut Store<Context>,
    revision: &Revision,
    jobs: &mut Jobs,
    has_begun: Option<&AtomicBool>,
    served: Option<oneshot::Sender<()>>,
) -> Result<(), InstanceFailure> {
    let instance = revision.pre().instantiate_async(&mut *store).await.map_err(InstanceFailure::Instantiation)?;
    let guest = Guest::new(instance, revision.handler());
    store
        .run_concurrent(async |accessor| {
            if let Some(has_begun) = has_begun {
                has_begun.store(true, Relaxed);
            }
            if jobs.concurrent == 1 {
                while let Some(job) = jobs.next().await {
                    guest.serve(accessor, job).await?;
                }
            } else {
                serve_several(accessor, &guest, jobs).await?;
            }
            if let Some(served) = served {
                accessor.with(|mut access| access.data_mut().reader_token = None);
                let _ = served.send(());
            }
            // The bodies and streams of the answers, and what the guest does after its answers, go on in here.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}

/// Serves as many jobs at a time as the instance may, until no more will come.
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
