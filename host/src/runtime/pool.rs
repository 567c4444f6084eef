//! The instance pool of one endpoint: who gets an instance, and who waits for one. How many come at a time is bounded by whoever calls; an
//! instance may outlast its call, and the engine's pool is shared, so even those may have to wait.

use super::body::{GuestBody, for_guest};
use super::context::{CurrentRequest, InstanceIdentity};
use super::engine::Runtime;
use super::error::InvokeError;
use super::fault::InstanceFault;
use super::job::{Ask, Awaited, Job, JobAnswer};
use super::leash::InstanceGuard;
use super::parcel::DetachedValues;
use super::revision::Revision;
use super::settings::{Isolation, Limits};
use super::slots::DepthClass;
use super::warm::{KeptInstances, Ticket};
use super::worker::{self, InstanceSpec, Lease, Worker};
use crate::base::{Body, CallContext, Digest, ErrorKind};
use crate::contract::FunctionName;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Numbers instances since the host started.
static NEXT_INSTANCE: AtomicU64 = AtomicU64::new(1);

/// A job that an instance has begun.
struct Begun {
    leash: InstanceGuard,
    fault: InstanceFault,
    /// When the instance was had.
    leased: Instant,
}

/// A job that was answered.
struct Served<T> {
    answer: T,
    leash: InstanceGuard,
    fault: InstanceFault,
}

/// The instances of one revision at one endpoint, bounded by the service's limits.
pub struct InstancePool {
    runtime: Arc<Runtime>,
    revision: Arc<Revision>,
    limits: Limits,
    free: Arc<Semaphore>,
    /// Where instances are found that were used before; `None` gives each request one of its own.
    warm: Option<Arc<KeptInstances>>,
}

impl InstancePool {
    /// An empty pool: instances are made when they are asked for.
    pub fn new(runtime: Arc<Runtime>, revision: Arc<Revision>, limits: Limits, isolation: &Isolation) -> Self {
        let free = Arc::new(Semaphore::new(limits.concurrency));
        let warm = match isolation {
            Isolation::Request => None,
            Isolation::Reuse(reuse) => {
                Some(KeptInstances::new(reuse.clone(), limits.concurrency, Arc::clone(&runtime.shortage)))
            }
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

    /// Has an instance answer `request`; the answer's body streams.
    ///
    /// Dropping the future, or the body before its end, ends the instance, or at least what it does for this request: the client went away.
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
        let asked = Instant::now();
        self.revision.ready(&self.runtime, context.deadline).await?;
        let bodiless = request.method() == http::Method::HEAD;
        let (ask, awaited) = Ask::request(for_guest(request, &self.revision.grants.service));
        let served = self.ask(Job { context: context.clone(), ask }, awaited, self.warm.as_ref(), asked).await?;
        let Served { answer, leash, fault } = served;
        answer.map(|response| {
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            let without_body = bodiless || matches!(response.status().as_u16(), 204 | 304);
            let length = if without_body { Some(0) } else { length };
            response.map(|body| GuestBody::new(body, length, leash, fault).boxed_unsync())
        })
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
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, InvokeError> {
        let asked = Instant::now();
        self.revision.ready(&self.runtime, context.deadline).await?;
        let export = self
            .revision
            .export(function)
            .ok_or_else(|| InvokeError::new(ErrorKind::NoEndpoint, format!("the component exports no {function}")))?;
        // A stream outlives its call, and would hold up those after it.
        let warm = self.warm.as_ref().filter(|_| !export.streams);
        let (ask, awaited) = Ask::call(export, arguments);
        let mut served = self.ask(Job { context: context.clone(), ask }, awaited, warm, asked).await?;
        served.leash.release();
        Ok(served.answer)
    }

    /// Has `job` done, by an instance of its own or one that `warm` keeps. `asked`: when its wait began.
    async fn ask<T: JobAnswer>(
        &self,
        job: Job,
        mut awaited: Awaited<T>,
        warm: Option<&Arc<KeptInstances>>,
        asked: Instant,
    ) -> Result<Served<T>, InvokeError> {
        let deadline = Instant::from_std(job.context.deadline);
        let mut look = |context: &mut Context<'_>| awaited.look(context);
        let Begun { leash, fault, leased } = match warm {
            Some(warm) => self.begin_warm(warm, job, asked, deadline, &mut look).await?,
            None => {
                let lease = self.lease(&self.free, DepthClass::of(job.context.depth), deadline).await?;
                let leased = Instant::now();
                let (leash, fault) = worker::serve_once(self.birth(lease, &job.context), job, &mut look);
                Begun { leash, fault, leased }
            }
        };
        let error = match awaited.by(deadline).await {
            Ok(Some(answer)) => return Ok(Served { answer, leash, fault }),
            // The instance says how it failed when its store has gone.
            Ok(None) => {
                drop(leash);
                fault.known().await
            }
            Err(_) => InvokeError::new(ErrorKind::Timeout, "no answer before the deadline"),
        };
        Err(fairly(error, leased - asked, leased.elapsed()))
    }

    /// Hands `job` to an instance that is kept.
    async fn begin_warm(
        &self,
        warm: &Arc<KeptInstances>,
        job: Job,
        asked: Instant,
        deadline: Instant,
        look: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<Begun, InvokeError> {
        let mut leased = asked;
        let place = match try_acquire(&self.free) {
            Some(place) => place,
            None => {
                let place = wait_for_place(&self.free, deadline).await?;
                leased = Instant::now();
                place
            }
        };
        let ticket = match warm.send(job, look) {
            Ok(ticket) => ticket,
            Err(job) => {
                // Boxed, as all that is rare in here: a call's future is moved about, and its size is that of its largest state.
                let ticket = Box::pin(self.send_another(warm, job, deadline, look)).await?;
                leased = Instant::now();
                ticket
            }
        };
        let fault = ticket.worker().fault.clone();
        Ok(Begun { leash: InstanceGuard::Kept { ticket, _place: place }, fault, leased })
    }

    /// A new instance for `job`, or one that has room for it before a new one may be made.
    async fn send_another(
        &self,
        warm: &Arc<KeptInstances>,
        mut job: Job,
        deadline: Instant,
        look: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<Ticket, InvokeError> {
        // One wait for all rounds: who begins anew goes to the end of the queue.
        let class = DepthClass::of(job.context.depth);
        if warm.is_full() {
            // Those that rest were looked through, and are for deeper calls: one of them makes room for one that is not.
            warm.give_up_one(DepthClass::LAST);
        }
        let mut lease = pin!(self.lease(&warm.places, class, deadline));
        loop {
            // Listens before it looks: what comes free after the look rings for this call, and what came before is found.
            let mut freed = pin!(warm.freed());
            freed.as_mut().enable();
            job = match warm.send(job, look) {
                Ok(ticket) => return Ok(ticket),
                Err(back) => back,
            };
            tokio::select! {
                lease = &mut lease => {
                    let worker = Worker::start(self.birth(lease?, &job.context), warm.concurrent(), &job.context);
                    return Ok(warm.add(worker, class, job, look));
                }
                () = freed => {}
            }
        }
    }

    /// Instantiates once, answers nothing, and lets the instance go: shows that the revision starts within its limits.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`], before the request.
    pub async fn rehearse(&self, context: &CallContext) -> Result<(), InvokeError> {
        self.revision.ready(&self.runtime, context.deadline).await?;
        let deadline = Instant::from_std(context.deadline);
        let lease = self.lease(&self.free, DepthClass::of(context.depth), deadline).await?;
        let rehearsed = worker::rehearse(self.birth(lease, context), context.clone());
        match timeout_at(deadline, rehearsed).await {
            Ok(rehearsed) => rehearsed,
            Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "it did not start before the deadline")),
        }
    }

    fn birth(&self, lease: Lease, context: &CallContext) -> InstanceSpec<'_> {
        let (runtime, revision, limits) = (&self.runtime, &self.revision, &self.limits);
        InstanceSpec { runtime, revision, limits, identity: self.identity(context), lease }
    }

    fn identity(&self, context: &CallContext) -> InstanceIdentity {
        InstanceIdentity {
            grants: Arc::clone(&self.revision.grants),
            revision: self.revision.digest(),
            instance: NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed),
            request: CurrentRequest::new(context.request_id.clone()),
        }
    }

    /// One of the endpoint's `places` first, then slots of the engine's pool; both within the deadline.
    async fn lease(&self, places: &Arc<Semaphore>, class: DepthClass, deadline: Instant) -> Result<Lease, InvokeError> {
        let (pool, count) = (&self.runtime.slots, self.revision.slots);
        let (place, slots) = (try_acquire(places), || pool.try_take(class, count));
        let place = match place.map(|place| (slots(), place)) {
            Some((Some(slots), place)) => return Ok(Lease { _place: place, _slots: slots }),
            Some((None, place)) => Some(place),
            None => None,
        };
        Box::pin(self.lease_late(place, places, class, deadline)).await
    }

    /// A lease that has to be waited for; `place`: the place at the endpoint, if it is there already.
    async fn lease_late(
        &self,
        place: Option<OwnedSemaphorePermit>,
        places: &Arc<Semaphore>,
        class: DepthClass,
        deadline: Instant,
    ) -> Result<Lease, InvokeError> {
        let place = match place {
            Some(place) => place,
            None => wait_for_place(places, deadline).await?,
        };
        let count = self.revision.slots;
        let pool = &self.runtime.slots;
        let slots = match pool.try_take(class, count) {
            Some(slots) => slots,
            None => {
                let _waiting = self.runtime.shortage.wait_for(class, count);
                timeout_at(deadline, pool.take(class, count)).await.map_err(|_| used_up("the pool's `instances`"))?
            }
        };
        Ok(Lease { _place: place, _slots: slots })
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
