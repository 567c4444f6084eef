//! The instance pool of one endpoint: who gets an instance, and who waits for one. How many come at a time is bounded by whoever calls; an
//! instance may outlast its call, and the engine's pool is shared, so even those may have to wait.

use super::context::{Current, Identity};
use super::engine::Runtime;
use super::error::InvokeError;
use super::fault::Fault;
use super::invocation::{self, Lease};
use super::parcel::Parcel;
use super::revision::Revision;
use super::settings::{Isolation, Limits};
use super::slots::Class;
use super::warm::{Ticket, Warm};
use super::worker::{Job, Worker};
use crate::base::{Body, CallContext, Digest, ErrorKind};
use crate::contract::FunctionName;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// Numbers instances since the host started.
static NEXT_INSTANCE: AtomicU64 = AtomicU64::new(1);

/// The instances of one revision at one endpoint, bounded by the service's limits.
pub struct InstancePool {
    runtime: Arc<Runtime>,
    revision: Arc<Revision>,
    limits: Limits,
    free: Arc<Semaphore>,
    /// Where typed calls find instances that were used before; `None` gives each an instance of its own.
    warm: Option<Arc<Warm>>,
}

impl InstancePool {
    /// An empty pool: instances are made when they are asked for.
    pub fn new(runtime: Arc<Runtime>, revision: Arc<Revision>, limits: Limits, isolation: &Isolation) -> Self {
        let free = Arc::new(Semaphore::new(limits.concurrency));
        let warm = match isolation {
            Isolation::Request => None,
            Isolation::Reuse(reuse) => Some(Warm::new(reuse.clone(), limits.concurrency)),
        };
        Self { runtime, revision, limits, free, warm }
    }

    /// The revision that its instances run.
    pub fn revision(&self) -> Digest {
        self.revision.digest()
    }

    /// Whether its instances answer HTTP by themselves.
    pub fn answers_http(&self) -> bool {
        self.revision.answers_http
    }

    /// Instances that serve a request now.
    pub fn in_use(&self) -> usize {
        self.limits.concurrency - self.free.available_permits()
    }

    /// Has a fresh instance answer `request`; the answer's body streams.
    ///
    /// Dropping the future, or the body before its end, ends the instance: the client went away.
    ///
    /// # Errors
    /// The instance's fault; [`ErrorKind::Overloaded`] when none became free before the deadline.
    pub async fn invoke(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, InvokeError> {
        if !self.answers_http() {
            let detail = "the component answers no HTTP: its functions are called by typed routes";
            return Err(InvokeError::new(ErrorKind::NoEndpoint, detail));
        }
        self.revision.ready(&self.runtime, context.deadline).await?;
        let deadline = Instant::from_std(context.deadline);
        let asked = Instant::now();
        let lease = self.lease(&self.free, Class::of(context.depth), deadline).await?;
        let leased = Instant::now();
        let revision = Arc::clone(&self.revision);
        let guest = invocation::Guest { revision, identity: self.identity(context), memory: self.limits.memory };
        let started = invocation::start(&self.runtime, guest, context, self.limits.timeout, lease, request);
        started.answer(deadline).await.map_err(|error| fairly(error, leased - asked, leased.elapsed()))
    }

    /// Calls `function`. A stream or a future among the results keeps the instance until it is read to its end or dropped.
    ///
    /// Dropping the future ends the call, and the instance when no other call is under way on it.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`]; [`ErrorKind::NoEndpoint`] when the component exports no such function.
    pub async fn call(
        &self,
        function: &FunctionName,
        arguments: Parcel,
        context: &CallContext,
    ) -> Result<Parcel, InvokeError> {
        self.revision.ready(&self.runtime, context.deadline).await?;
        let export = self
            .revision
            .export(function)
            .ok_or_else(|| InvokeError::new(ErrorKind::NoEndpoint, format!("the component exports no {function}")))?;
        let deadline = Instant::from_std(context.deadline);
        let (answer, answered) = oneshot::channel();
        let warm = self.warm.as_ref().filter(|_| !export.streams);
        let job = Job { export, arguments, context: context.clone(), answer };
        match warm {
            Some(warm) => self.call_warm(warm, job, answered, deadline).await,
            None => self.call_fresh(job, answered, deadline).await,
        }
    }

    /// The call on an instance of its own.
    async fn call_fresh(
        &self,
        job: Job,
        answered: oneshot::Receiver<Parcel>,
        deadline: Instant,
    ) -> Result<Parcel, InvokeError> {
        let asked = Instant::now();
        let lease = self.lease(&self.free, Class::of(job.context.depth), deadline).await?;
        let leased = Instant::now();
        let worker = self.worker(lease, 1, &job.context);
        // An instance that could not even take the job has a fault, which is found below.
        let _ = worker.jobs.try_send(job);
        let Worker { jobs, task, fault, .. } = worker;
        drop(jobs);
        let mut leash = Leash { task, whole: false };
        let outcome = timeout_at(deadline, answered).await;
        leash.whole = matches!(outcome, Ok(Ok(_)));
        settle(outcome, &fault).await.map_err(|error| fairly(error, leased - asked, leased.elapsed()))
    }

    /// The call on an instance that is kept.
    async fn call_warm(
        &self,
        warm: &Arc<Warm>,
        job: Job,
        answered: oneshot::Receiver<Parcel>,
        deadline: Instant,
    ) -> Result<Parcel, InvokeError> {
        let asked = Instant::now();
        let mut leased = asked;
        let _place = match try_acquire(&self.free) {
            Some(place) => place,
            None => {
                let place = wait_for_place(&self.free, deadline).await?;
                leased = Instant::now();
                place
            }
        };
        let mut ticket = match warm.send(job) {
            Ok(ticket) => ticket,
            Err(job) => {
                let ticket = self.call_another(warm, job, deadline).await?;
                leased = Instant::now();
                ticket
            }
        };
        let outcome = timeout_at(deadline, answered).await;
        ticket.answered = matches!(outcome, Ok(Ok(_)));
        let fault = ticket.worker().fault.clone();
        drop(ticket);
        settle(outcome, &fault).await.map_err(|error| fairly(error, leased - asked, leased.elapsed()))
    }

    /// A new instance for `job`, or one that has room for it before a new one may be made.
    async fn call_another(&self, warm: &Arc<Warm>, mut job: Job, deadline: Instant) -> Result<Ticket, InvokeError> {
        // One wait for all rounds: who begins anew goes to the end of the queue.
        let class = Class::of(job.context.depth);
        let mut lease = pin!(self.lease(&warm.places, class, deadline));
        loop {
            // Listens before it looks: what comes free after the look rings for this call, and what came before is found.
            let mut freed = pin!(warm.freed());
            freed.as_mut().enable();
            job = match warm.send(job) {
                Ok(ticket) => return Ok(ticket),
                Err(back) => back,
            };
            tokio::select! {
                lease = &mut lease => {
                    let worker = self.worker(lease?, warm.concurrent(), &job.context);
                    return Ok(warm.add(worker, class, job));
                }
                () = freed => {}
            }
        }
    }

    fn worker(&self, lease: Lease, concurrent: usize, context: &CallContext) -> Worker {
        let identity = self.identity(context);
        Worker::start(&self.runtime, &self.revision, &self.limits, identity, lease, concurrent, context)
    }

    /// Instantiates once, answers nothing, and lets the instance go: shows that the revision starts within its limits.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`], before the request.
    pub async fn rehearse(&self, context: &CallContext) -> Result<(), InvokeError> {
        self.revision.ready(&self.runtime, context.deadline).await?;
        let deadline = Instant::from_std(context.deadline);
        let _lease = self.lease(&self.free, Class::of(context.depth), deadline).await?;
        let identity = self.identity(context);
        let instantiated =
            invocation::instantiate(&self.runtime, &self.revision, identity, self.limits.memory, context.clone());
        match timeout_at(deadline, instantiated).await {
            Ok(instantiated) => instantiated,
            Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "it did not start before the deadline")),
        }
    }

    fn identity(&self, context: &CallContext) -> Identity {
        Identity {
            grants: Arc::clone(&self.revision.grants),
            revision: self.revision.digest(),
            instance: NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed),
            request: Current::new(context.request_id.clone()),
        }
    }

    /// One of the endpoint's `places` first, then slots of the engine's pool; both within the deadline.
    async fn lease(&self, places: &Arc<Semaphore>, class: Class, deadline: Instant) -> Result<Lease, InvokeError> {
        let (pool, count) = (&self.runtime.slots, self.revision.slots);
        let (place, slots) = (try_acquire(places), || pool.try_take(class, count));
        let place = match place.map(|place| (slots(), place)) {
            Some((Some(slots), place)) => return Ok(Lease { _place: place, _slots: slots }),
            Some((None, place)) => Some(place),
            None => None,
        };
        let place = match place {
            Some(place) => place,
            None => wait_for_place(places, deadline).await?,
        };
        let slots = timeout_at(deadline, pool.take(class, count)).await;
        let slots = slots.map_err(|_| used_up("the pool's `instances`"))?;
        Ok(Lease { _place: place, _slots: slots })
    }
}

/// The caller's hold on an instance that serves it alone: dropped before the answer is whole, it ends the instance.
struct Leash {
    task: AbortHandle,
    whole: bool,
}

impl Drop for Leash {
    fn drop(&mut self) {
        if !self.whole {
            self.task.abort();
        }
    }
}

/// What became of a call. An answer that was dropped means that the instance failed, and it says how when its store has gone.
async fn settle(
    outcome: Result<Result<Parcel, oneshot::error::RecvError>, Elapsed>,
    fault: &Fault,
) -> Result<Parcel, InvokeError> {
    match outcome {
        Ok(Ok(parcel)) => Ok(parcel),
        Ok(Err(_)) => Err(fault.known().await),
        Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "no answer before the deadline")),
    }
}

fn try_acquire(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).try_acquire_owned().ok()
}

async fn wait_for_place(places: &Arc<Semaphore>, deadline: Instant) -> Result<OwnedSemaphorePermit, InvokeError> {
    match timeout_at(deadline, Arc::clone(places).acquire_owned()).await {
        Ok(place) => Ok(place.expect("the semaphores are never closed")),
        Err(_) => Err(used_up("the service's `concurrency`")),
    }
}

fn used_up(what: &str) -> InvokeError {
    InvokeError::new(ErrorKind::Overloaded, format!("{what} was used up until the deadline"))
}

/// Whoever waits until just before its deadline gets an instance with no time left for it: that is a full pool, not a slow service,
/// and must not count against it.
fn fairly(error: InvokeError, waited: Duration, served: Duration) -> InvokeError {
    if error.kind == ErrorKind::Timeout && waited > served {
        let detail = format!("waited {waited:?} for an instance, and {served:?} were left for the answer");
        return InvokeError::new(ErrorKind::Overloaded, detail);
    }
    error
}
