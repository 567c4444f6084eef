//! The instance pool of one endpoint: which instance serves a call, and which calls wait for one.
//!
//! The mesh bounds how many calls reach an endpoint at a time. A call may still have to wait here, for two reasons: an
//! instance may run on after its call has ended, and all endpoints share the slots of the engine's pool.

use super::call_guard::CallGuard;
use super::guest_body::GuestBody;
use super::guest_span::GuestSpan;
use super::kept_instances::{KeptCall, KeptInstances};
use crate::base::{Body, CallContext, Digest, ErrorKind, SpanOwner, UnreadContent};
use crate::contract::{CrossingFunctions, FunctionName};
use crate::runtime::capacity::cpu::ServiceCpu;
use crate::runtime::capacity::depth_class::DepthClass;
use crate::runtime::capacity::pressure::IdleInstances;
use crate::runtime::capacity::slots::{PoolShare, ServiceSlots};
use crate::runtime::code::linked::Export;
use crate::runtime::code::revision::Revision;
use crate::runtime::context::identity::{CurrentRequest, InstanceIdentity};
use crate::runtime::engine::Runtime;
use crate::runtime::error::InvokeError;
use crate::runtime::fault::InstanceFault;
use crate::runtime::instance::job::{Job, JobAnswer, PendingAnswer, Work};
use crate::runtime::instance::serving::ServingCount;
use crate::runtime::instance::worker::{self, InstanceSpec, Lease, Worker};
use crate::runtime::settings::{Isolation, Limits};
use crate::runtime::tape::call_tape::CallTape;
use crate::runtime::tape::recorder::Recorder;
use crate::runtime::values::body::for_guest;
use crate::runtime::values::detached::DetachedValues;
use crate::telemetry::PoolMetrics;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Numbers instances from the start of the host.
static NEXT_INSTANCE: AtomicU64 = AtomicU64::new(1);

/// A job that an instance has taken.
struct StartedJob {
    guard: CallGuard,
    fault: InstanceFault,
    /// When the wait for the instance ended.
    leased: Instant,
}

/// A job that was answered.
struct AnsweredJob<T> {
    answer: T,
    guard: CallGuard,
    fault: InstanceFault,
    span: GuestSpan,
}

/// The instances of one revision at one endpoint, bounded by the service's limits.
pub struct InstancePool {
    pub(super) runtime: Arc<Runtime>,
    pub(super) revision: Arc<Revision>,
    pub(super) limits: Limits,
    /// The service's account of the engine's pool.
    slots: Arc<ServiceSlots>,
    /// The service's account of the processor.
    cpu: Arc<ServiceCpu>,
    /// One permit for each call that may be under way.
    permits: Arc<Semaphore>,
    /// The instances that are kept between calls. `None`: each request gets an instance of its own.
    kept: Option<Arc<KeptInstances>>,
    serving: ServingCount,
    /// What nobody reads: the counts of replays.
    unseen: Arc<PoolMetrics>,
    /// What records its calls; `None` where calls share instances.
    pub(super) recorder: Option<Arc<Recorder>>,
    /// Whose work the instances do, in traces.
    owner: Arc<SpanOwner>,
}

impl InstancePool {
    /// An empty pool: an instance is made when a call needs it.
    pub fn new(runtime: Arc<Runtime>, revision: Arc<Revision>, limits: Limits, isolation: &Isolation) -> Self {
        let permits = Arc::new(Semaphore::new(limits.concurrency));
        let serving = ServingCount::default();
        let kept = match isolation {
            Isolation::Request => None,
            Isolation::Reuse(reuse) => {
                let pressure = Arc::clone(&runtime.pressure);
                Some(KeptInstances::new(reuse.clone(), limits.concurrency, pressure, serving.clone()))
            }
        };
        let slots = runtime.slots.service(&revision.grants.service, limits.share, revision.slots);
        let cpu = runtime.cpu.service(&revision.grants.service, limits.share);
        let service = revision.grants.service.to_string();
        let owner = Arc::new(SpanOwner { service, revision: revision.digest().short() });
        Self {
            runtime,
            revision,
            limits,
            slots,
            cpu,
            permits,
            kept,
            serving,
            unseen: Arc::default(),
            recorder: None,
            owner,
        }
    }

    /// The same pool, whose calls `recorder` records if it wants any. Calls that share instances are never recorded.
    #[must_use]
    pub fn recorded_by(self, recorder: Arc<Recorder>) -> Self {
        let recorder = self.kept.is_none().then_some(recorder);
        Self { recorder, ..self }
    }

    /// What the service has of the engine's pool: all of its replicas and revisions together.
    pub fn share(&self) -> PoolShare {
        self.slots.share()
    }

    /// How long the service's calls have waited for the engine's pool.
    pub fn pool_metrics(&self) -> &Arc<PoolMetrics> {
        self.slots.metrics()
    }

    /// Whether the service has data of its own.
    pub fn keeps_state(&self) -> bool {
        self.revision.grants.state.is_some()
    }

    /// The processor time of whole slices that the service's guests have used up: that of requests which compute for
    /// long.
    pub fn computed(&self) -> Duration {
        self.cpu.computed()
    }

    /// The component file of its revision.
    pub fn digest(&self) -> Digest {
        self.revision.digest()
    }

    /// The functions of its revision, as other nodes know them.
    pub fn crossing(&self) -> &Arc<CrossingFunctions> {
        self.revision.crossing()
    }

    /// Whether its instances answer HTTP by themselves.
    pub fn answers_http(&self) -> bool {
        self.revision.answers_http
    }

    /// The number of instances that serve requests or calls now. Calls that wait for an instance do not count; an
    /// instance that serves several calls counts once.
    pub fn serving(&self) -> usize {
        self.serving.get()
    }

    /// Has an instance answer `request`; the answer's body streams.
    ///
    /// Drop the future, or the body before its end, when the client goes away: that ends the instance, or, if it serves
    /// other calls too, lets it take no further call.
    ///
    /// # Errors
    /// The instance's fault; [`ErrorKind::Overloaded`] when no instance became free before the deadline.
    pub async fn invoke(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, InvokeError> {
        let tape = self.tape_of_request(&request, context);
        if tape.is_off() {
            return self.invoke_on(request, context, tape).await;
        }
        // Boxed: most calls are not recorded, and would pay for the size of the future.
        Box::pin(self.invoke_recorded(request, context, tape)).await
    }

    /// [`InstancePool::invoke`] with a tape.
    pub(super) async fn invoke_on(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
        tape: CallTape,
    ) -> Result<http::Response<Body>, InvokeError> {
        if !self.answers_http() {
            let detail = "the component answers no HTTP: its functions are called by typed routes";
            return Err(InvokeError::not_begun(ErrorKind::NoEndpoint, detail));
        }
        let arrived = Instant::now();
        self.revision.ready(&self.runtime, context.deadline).await?;
        let unread = UnreadContent::follows(&request);
        let (work, answer) = Work::request(for_guest(request, &self.revision.grants.service));
        let (context, span) = GuestSpan::begin(context, &self.owner, arrived);
        let job = (Job { context, work }, span, tape);
        let AnsweredJob { answer, guard, fault, span } = self.run_job(job, answer, self.kept.as_ref(), arrived).await?;
        answer.map(|response| {
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            let without_body = unread || matches!(response.status().as_u16(), 204 | 304);
            if without_body {
                // Nobody reads it, so the guest must not wait for a reader.
                response.body().abandon();
            }
            let length = if without_body { Some(0) } else { length };
            response.map(|body| GuestBody::new(body, length, guard, fault).traced(span).boxed_unsync())
        })
    }

    /// Calls `function`. A stream or a future among the results keeps the instance until it is read to its end or
    /// dropped.
    ///
    /// Dropping the future ends the call, and the instance too when it serves no other call.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`]; [`ErrorKind::NoEndpoint`] when the component exports no such function.
    pub async fn call(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, InvokeError> {
        let recorder = self.recorder.as_ref().filter(|recorder| recorder.is_on());
        let Some(_) = recorder else { return self.call_on(function, arguments, context, CallTape::default()).await };
        // Boxed: most calls are not recorded, and would pay for the size of the future.
        Box::pin(self.call_recorded(function, arguments, context)).await
    }

    pub(super) fn export(&self, function: &FunctionName) -> Result<Arc<Export>, InvokeError> {
        let absent = || InvokeError::not_begun(ErrorKind::NoEndpoint, format!("the component exports no {function}"));
        self.revision.export(function).ok_or_else(absent)
    }

    /// [`InstancePool::call`] with a tape.
    pub(super) async fn call_on(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
        tape: CallTape,
    ) -> Result<DetachedValues, InvokeError> {
        let arrived = Instant::now();
        self.revision.ready(&self.runtime, context.deadline).await?;
        let export = self.export(function)?;
        // A stream outlives its call, and would hold up later calls on a kept instance.
        let kept = self.kept.as_ref().filter(|_| !export.streams);
        let (context, mut span) = GuestSpan::begin(context, &self.owner, arrived);
        span.describe(|| Arc::clone(&export.name).into());
        let (work, answer) = Work::call(export, arguments);
        let mut answered = self.run_job((Job { context, work }, span, tape), answer, kept, arrived).await?;
        answered.guard.release();
        Ok(answered.answer)
    }

    /// Runs `job` on an instance of its own, or on one that `kept` keeps. `arrived`: when the call came.
    async fn run_job<T: JobAnswer>(
        &self,
        (mut job, mut span, tape): (Job, GuestSpan, CallTape),
        mut answer: PendingAnswer<T>,
        kept: Option<&Arc<KeptInstances>>,
        arrived: Instant,
    ) -> Result<AnsweredJob<T>, InvokeError> {
        let (deadline, is_played) = (Instant::from_std(job.context.deadline), tape.is_played());
        let mut after_each_poll = |context: &mut Context<'_>| answer.poll_answer(context);
        let StartedJob { guard, fault, leased } = match kept {
            Some(kept) => self.start_on_kept(kept, job, arrived, deadline, &mut after_each_poll).await?,
            None => {
                // Where instances are kept, the growth of those is judged, and the size of this one is something else.
                job.context.memory.take_if(|_| self.kept.is_some());
                let class = DepthClass::of(job.context.depth);
                let lease = self.lease(&self.permits, class, deadline, self.limits.wait).await?;
                let lease = lease.serving(&self.serving);
                let leased = Instant::now();
                let (guard, fault) =
                    worker::serve_once(self.spec(lease, &job.context, tape), job, &mut after_each_poll);
                StartedJob { guard: CallGuard::Own(guard), fault, leased }
            }
        };
        span.leased(arrived, leased);
        let error = match answer.wait_until(deadline).await {
            Ok(Some(answer)) => {
                if !is_played {
                    self.slots.metrics().worked(leased.elapsed());
                }
                return Ok(AnsweredJob { answer, guard, fault, span });
            }
            // Drop the guard first: the fault is recorded when the instance ends.
            Ok(None) => {
                drop(guard);
                fault.known().await
            }
            Err(_) => InvokeError::new(ErrorKind::Timeout, "no answer before the deadline"),
        };
        span.fail(error.kind);
        Err(blame_the_wait(error, leased - arrived, leased.elapsed()))
    }

    /// Submits `job` to a kept instance, or to a new one that is kept from now on.
    async fn start_on_kept(
        &self,
        kept: &Arc<KeptInstances>,
        job: Job,
        arrived: Instant,
        deadline: Instant,
        after_each_poll: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<StartedJob, InvokeError> {
        let mut leased = arrived;
        let permit = match try_acquire(&self.permits) {
            Some(permit) => permit,
            None => {
                let permit = acquire_until(&self.permits, deadline).await?;
                leased = Instant::now();
                permit
            }
        };
        let call = match kept.submit(job, after_each_poll) {
            Ok(call) => {
                self.slots.metrics().reused();
                call
            }
            Err(job) => {
                // Boxed, as everything rare in this file is: a call's future is moved, and it is as large as its
                // largest state.
                let call = Box::pin(self.submit_when_possible(kept, job, deadline, after_each_poll)).await?;
                leased = Instant::now();
                call
            }
        };
        let fault = call.worker().fault.clone();
        Ok(StartedJob { guard: CallGuard::Kept { call, _permit: permit }, fault, leased })
    }

    /// Waits until a new instance may be made or a kept one has room, whichever comes first, and submits `job` to it.
    async fn submit_when_possible(
        &self,
        kept: &Arc<KeptInstances>,
        mut job: Job,
        deadline: Instant,
        after_each_poll: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<KeptCall, InvokeError> {
        let class = DepthClass::of(job.context.depth);
        if kept.is_full() {
            // `submit` found none of the idle instances, so they are for deeper calls. One of them makes room for an
            // instance for this call.
            kept.give_up_one(DepthClass::LAST, true);
        }
        // One wait for all rounds of the loop: a new wait would begin at the end of the queue.
        let mut lease = pin!(self.lease(&kept.permits, class, deadline, self.limits.wait));
        loop {
            // Enable the notification before `submit` reads the list. It races with `KeptInstances::end_call`: an
            // instance that gets room after the read notifies this call, and one that got it before is found by the
            // read. The other order could miss both.
            let mut has_room = pin!(kept.has_room());
            has_room.as_mut().enable();
            job = match kept.submit(job, after_each_poll) {
                Ok(call) => {
                    self.slots.metrics().reused();
                    return Ok(call);
                }
                Err(back) => back,
            };
            tokio::select! {
                lease = &mut lease => {
                    let lease = lease?;
                    let reserved = lease.slots.is_reserved();
                    let spec = self.spec(lease, &job.context, CallTape::default());
                    let worker = Worker::start(spec, kept.concurrent(), &job.context);
                    return Ok(kept.add(worker, class, reserved, job, after_each_poll));
                }
                () = has_room => {}
            }
        }
    }

    /// Instantiates once, serves no call, and drops the instance: shows that the revision starts within its limits.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`] before the request is sent.
    pub async fn rehearse(&self, context: &CallContext) -> Result<(), InvokeError> {
        self.revision.ready(&self.runtime, context.deadline).await?;
        let deadline = Instant::from_std(context.deadline);
        // It may wait until its deadline: a swap under load is not worth less than one call.
        let lease = self.lease(&self.permits, DepthClass::of(context.depth), deadline, Duration::MAX).await?;
        let rehearsed = worker::rehearse(self.spec(lease, context, CallTape::default()), context.clone());
        match timeout_at(deadline, rehearsed).await {
            Ok(rehearsed) => rehearsed,
            Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "it did not start before the deadline")),
        }
    }

    fn spec(&self, lease: Lease, context: &CallContext, tape: CallTape) -> InstanceSpec<'_> {
        let (runtime, revision, limits, cpu) = (&self.runtime, &self.revision, &self.limits, &self.cpu);
        let metrics = if tape.is_played() { &self.unseen } else { self.slots.metrics() };
        metrics.made();
        InstanceSpec { runtime, revision, limits, cpu, metrics, identity: self.identity(context, tape), lease }
    }

    fn identity(&self, context: &CallContext, tape: CallTape) -> InstanceIdentity {
        InstanceIdentity {
            grants: Arc::clone(&self.revision.grants),
            revision: self.revision.digest(),
            instance: NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed),
            request: CurrentRequest::new(context.request_id.clone()),
            tape,
        }
    }

    /// What one more instance needs: first a permit of the endpoint, from `permits`, and then slots of the engine's
    /// pool. Waits for both until `deadline` at the latest, and for the slots no longer than `wait`.
    async fn lease(
        &self,
        permits: &Arc<Semaphore>,
        class: DepthClass,
        deadline: Instant,
        wait: Duration,
    ) -> Result<Lease, InvokeError> {
        let permit = match try_acquire(permits) {
            Some(permit) => match self.slots.try_take(class, self.revision.slots) {
                Some(slots) => return Ok(Lease::new(permit, slots)),
                None => Some(permit),
            },
            None => None,
        };
        Box::pin(self.lease_late(permit, permits, class, deadline, wait)).await
    }

    /// A lease that is not free at once. `permit`: the endpoint's permit, if it was free.
    async fn lease_late(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        permits: &Arc<Semaphore>,
        class: DepthClass,
        deadline: Instant,
        wait: Duration,
    ) -> Result<Lease, InvokeError> {
        let permit = match permit {
            Some(permit) => permit,
            None => acquire_until(permits, deadline).await?,
        };
        let now = Instant::now();
        let until = now.checked_add(wait).map_or(deadline, |end| end.min(deadline));
        match self.slots.take_until(class, self.revision.slots, until, &self.runtime.pressure).await {
            Ok(slots) => Ok(Lease::new(permit, slots)),
            Err(_) => {
                let (waited, PoolShare { held, waiting, .. }) = (now.elapsed(), self.slots.share());
                let detail = format!(
                    "the pool's `instances` were used up for {waited:?}: the service holds {held} of them, and \
                     {waiting} calls of it wait"
                );
                Err(InvokeError::not_begun(ErrorKind::Overloaded, detail))
            }
        }
    }
}

fn try_acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(permits).try_acquire_owned().ok()
}

async fn acquire_until(permits: &Arc<Semaphore>, deadline: Instant) -> Result<OwnedSemaphorePermit, InvokeError> {
    match timeout_at(deadline, Arc::clone(permits).acquire_owned()).await {
        Ok(permit) => Ok(permit.expect("the semaphores are never closed")),
        Err(_) => {
            let detail = "the service's `concurrency` was used up until the deadline";
            Err(InvokeError::not_begun(ErrorKind::Overloaded, detail))
        }
    }
}

/// Turns the timeout of a call that waited longer for its instance than the instance had for the answer into
/// [`ErrorKind::Overloaded`]. A call that gets its instance just before its deadline leaves no time to answer: that is
/// a full pool, not a slow service, and must not count against the service. The instance has begun it all the same.
fn blame_the_wait(error: InvokeError, waited: Duration, served: Duration) -> InvokeError {
    if error.kind == ErrorKind::Timeout && waited > served {
        let detail = format!("waited {waited:?} for an instance, and {served:?} were left for the answer");
        return InvokeError::new(ErrorKind::Overloaded, detail);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_ran_is_begun_though_its_wait_is_to_blame() {
        let late = || InvokeError::new(ErrorKind::Timeout, "no answer before the deadline");
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let told = [(long, short), (short, long)].map(|(waited, served)| blame_the_wait(late(), waited, served));
        assert_eq!(told.each_ref().map(|error| error.kind), [ErrorKind::Overloaded, ErrorKind::Timeout]);
        assert!(told.iter().all(|error| !error.not_begun));
    }
}
