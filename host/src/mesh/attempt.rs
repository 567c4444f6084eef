//! One attempt at one endpoint, and the single place where its outcome is recorded.

use super::endpoint::Endpoint;
use crate::base::{Blame, ErrorKind};
use crate::breaker::{Permit, Verdict};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// An attempt under way. Dropped without a verdict it is neutral: the caller went away.
pub(super) struct Attempt {
    endpoint: Arc<Endpoint>,
    /// Taken by the verdict, so that there is one at most.
    permit: Option<Permit>,
    /// The verdict on the answer once it is whole.
    whole: Verdict,
    started: Instant,
}

impl Attempt {
    pub(super) fn start(endpoint: &Arc<Endpoint>, permit: Permit, now: Instant) -> Self {
        endpoint.metrics.request();
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { endpoint: Arc::clone(endpoint), permit: Some(permit), whole: Verdict::Success, started: now }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The head came, or `error` in its place. A refusal says nothing about the service's speed.
    pub(super) fn answered(&self, error: Option<ErrorKind>) {
        if error.is_none_or(|kind| kind.blame() != Blame::Refusal) {
            self.endpoint.metrics.answered(self.started.elapsed());
        }
    }

    /// The answer is whole.
    pub(super) fn succeeded(&mut self) {
        self.record(self.whole);
    }

    /// The answer says that somebody else is at fault, the client (4xx) or a service that this one called: whole, it neither counts nor
    /// clears.
    pub(super) fn blames_another(&mut self) {
        self.whole = Verdict::Neutral;
    }

    /// There is no answer, or it broke off.
    pub(super) fn failed(&mut self, kind: ErrorKind) {
        match kind.blame() {
            Blame::Service => {
                if self.record(Verdict::Failure) {
                    self.endpoint.metrics.failure();
                }
            }
            Blame::Client | Blame::Host | Blame::Refusal => {
                self.record(Verdict::Neutral);
            }
        }
    }

    /// [`Attempt::failed`]; but the trap of one that was let down by another is not its own fault, for a function that has no words for
    /// the failure of its own call is made to trap.
    pub(super) fn failed_unless(&mut self, let_down: bool, kind: ErrorKind) {
        if let_down && kind == ErrorKind::Trap {
            self.record(Verdict::Neutral);
        } else {
            self.failed(kind);
        }
    }

    /// The answer is the service's own admission of a fault: a status of 5xx.
    pub(super) fn admitted_fault(&mut self) {
        if self.record(Verdict::Failure) {
            self.endpoint.metrics.failure();
        }
    }

    /// Whether this was the first verdict.
    fn record(&mut self, verdict: Verdict) -> bool {
        match self.permit.take() {
            Some(permit) => {
                permit.record(verdict, Instant::now());
                true
            }
            None => false,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
