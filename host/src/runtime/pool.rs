//! The instance pool of one endpoint: who gets an instance, who waits, who is refused.

use super::component::Revision;
use super::context::Identity;
use super::engine::Runtime;
use super::error::InvokeError;
use super::invocation::{self, Lease};
use super::settings::Limits;
use crate::base::{Body, CallContext, Digest, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Numbers instances since the host started.
static NEXT_INSTANCE: AtomicU64 = AtomicU64::new(1);

/// The instances of one revision at one endpoint, bounded by the service's limits.
pub struct InstancePool {
    runtime: Arc<Runtime>,
    revision: Arc<Revision>,
    limits: Limits,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl InstancePool {
    /// An empty pool: instances are made when they are asked for.
    pub fn new(runtime: Arc<Runtime>, revision: Arc<Revision>, limits: Limits) -> Self {
        let free = Arc::new(Semaphore::new(limits.concurrency));
        Self { runtime, revision, limits, free, waiting: AtomicUsize::new(0) }
    }

    /// The revision that its instances run.
    pub fn revision(&self) -> Digest {
        self.revision.digest()
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
    /// The instance's fault; [`ErrorKind::Overloaded`] when none became free before the deadline or too many wait already.
    pub async fn invoke(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, InvokeError> {
        let deadline = Instant::from_std(context.deadline);
        let asked = Instant::now();
        let lease = self.lease(deadline).await?;
        let leased = Instant::now();
        let identity = self.identity(context);
        let started = invocation::start(&self.runtime, &self.revision, &self.limits, identity, lease, request);
        started.answer(deadline).await.map_err(|error| fairly(error, leased - asked, leased.elapsed()))
    }

    /// Instantiates once, answers nothing, and lets the instance go: shows that the revision starts within its limits.
    ///
    /// # Errors
    /// As [`InstancePool::invoke`], before the request.
    pub async fn rehearse(&self, context: &CallContext) -> Result<(), InvokeError> {
        let deadline = Instant::from_std(context.deadline);
        let _lease = self.lease(deadline).await?;
        let identity = self.identity(context);
        match timeout_at(deadline, invocation::instantiate(&self.runtime, &self.revision, &self.limits, identity)).await
        {
            Ok(instantiated) => instantiated,
            Err(_) => Err(InvokeError::new(ErrorKind::Timeout, "it did not start before the deadline")),
        }
    }

    fn identity(&self, context: &CallContext) -> Identity {
        Identity {
            grants: Arc::clone(&self.revision.grants),
            revision: self.revision.digest(),
            instance: NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed),
            request: context.request_id.clone(),
        }
    }

    /// One of the endpoint's places first, then slots of the engine's pool; both within the deadline, from one seat of the queue.
    async fn lease(&self, deadline: Instant) -> Result<Lease, InvokeError> {
        let (place, slots) = (try_acquire(&self.free, 1), || try_acquire(&self.runtime.slots, self.revision.slots));
        let place = match place.map(|place| (slots(), place)) {
            Some((Some(slots), place)) => return Ok(Lease { _place: place, _slots: slots }),
            Some((None, place)) => Some(place),
            None => None,
        };
        let _seat = Seat::take(&self.waiting, self.limits.waiting).ok_or_else(|| {
            let detail = format!("{} requests wait for an instance already", self.limits.waiting);
            InvokeError::new(ErrorKind::Overloaded, detail)
        })?;
        let place = match place {
            Some(place) => place,
            None => wait(&self.free, 1, deadline, "the service's `concurrency`").await?,
        };
        let slots = wait(&self.runtime.slots, self.revision.slots, deadline, "the pool's `instances`").await?;
        Ok(Lease { _place: place, _slots: slots })
    }
}

fn try_acquire(semaphore: &Arc<Semaphore>, permits: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_many_owned(permits).ok()
}

async fn wait(
    semaphore: &Arc<Semaphore>,
    permits: u32,
    deadline: Instant,
    what: &str,
) -> Result<OwnedSemaphorePermit, InvokeError> {
    match timeout_at(deadline, Arc::clone(semaphore).acquire_many_owned(permits)).await {
        Ok(permit) => Ok(permit.expect("the semaphores are never closed")),
        Err(_) => Err(InvokeError::new(ErrorKind::Overloaded, format!("{what} was used up until the deadline"))),
    }
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

/// A place in the queue, given back when it is dropped.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        // Count first, look then: two that come at once can both be refused at the last seat, never both be seated.
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let seat = Self(waiting);
        (before < most).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_given_back() {
        let waiting = AtomicUsize::new(0);
        let first = Seat::take(&waiting, 1);
        assert!(first.is_some() && Seat::take(&waiting, 1).is_none());
        drop(first);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
        assert!(Seat::take(&waiting, 1).is_some());
    }
}
