//! One attempt at one endpoint, and the single place where its outcome is recorded.

use super::clock;
use super::endpoint::EndpointStats;
use crate::balance::LoadSample;
use crate::base::{Blame, ErrorKind};
use crate::breaker::{Outcome, Permit, Verdict};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An attempt under way. Dropped without a verdict it is neutral: the caller went away.
pub(super) struct TryGuard {
    stats: Arc<EndpointStats>,
    /// Taken by the verdict, so that there is one at most.
    permit: Option<Permit>,
    /// The verdict on the answer once it is whole.
    whole: Verdict,
    started: Instant,
    /// How long the head of the answer took, or what came in its place.
    took: Option<Duration>,
    retry_after: Option<Duration>,
    /// What the balancer learns of it, at the end.
    sample: Option<LoadSample>,
}

impl TryGuard {
    /// With a permit of the endpoint's breaker, and a place among its calls.
    pub(super) fn start(stats: &Arc<EndpointStats>, permit: Permit, now: Instant) -> Self {
        stats.metrics.request();
        Self {
            stats: Arc::clone(stats),
            permit: Some(permit),
            whole: Verdict::Success,
            started: now,
            took: None,
            retry_after: None,
            sample: None,
        }
    }

    /// The head came, or `error` in its place. A refusal says nothing about the service's speed.
    pub(super) fn answered(&mut self, error: Option<ErrorKind>) {
        let took = clock::now().saturating_duration_since(self.started);
        self.took = Some(took);
        if error.is_none_or(|kind| kind.blame() != Blame::Refusal) {
            self.stats.metrics.answered(took);
        }
    }

    /// What the status says: of the service itself, of another one that it called (`dependency_failed`), or of the client.
    pub(super) fn status(&mut self, status: StatusCode, headers: &HeaderMap, dependency_failed: bool) {
        self.whole = match status.as_u16() {
            502..=504 if dependency_failed => Verdict::Neutral,
            502..=504 => Verdict::EndpointFault,
            500.. => Verdict::RequestFault,
            429 => Verdict::Throttled,
            400..500 => Verdict::Neutral,
            _ => Verdict::Success,
        };
        if matches!(status.as_u16(), 429 | 503) {
            self.retry_after =
                headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        }
        let is_probe = self.permit.as_ref().is_some_and(Permit::is_probe);
        // A stream may outlast the lease of a probe, so that one is decided by its head. A fault is one already.
        if is_probe || matches!(self.whole, Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled) {
            self.record(self.whole);
        }
    }

    /// The answer is whole.
    pub(super) fn succeeded(&mut self) {
        self.record(self.whole);
    }

    /// The answer says that somebody else is at fault: whole, it neither counts nor clears.
    pub(super) fn blames_another(&mut self) {
        self.record(Verdict::Neutral);
    }

    /// The answer is the service's own admission of a fault.
    pub(super) fn admitted(&mut self, fault: Verdict) {
        self.record(fault);
    }

    /// There is no answer, or it broke off.
    ///
    /// `dependency_failed`: the trap of one that was let down by another is not its own fault, for a function that has no words for the failure of
    /// its own call is made to trap.
    pub(super) fn failed(&mut self, kind: ErrorKind, dependency_failed: bool) {
        let verdict = match kind.blame() {
            Blame::Service if dependency_failed && kind == ErrorKind::Trap => Verdict::Neutral,
            Blame::Service if kind.is_endpoint_fault() => Verdict::EndpointFault,
            Blame::Service => Verdict::RequestFault,
            // Nor does it say how fast the service is.
            Blame::Refusal | Blame::Client | Blame::Host => {
                self.sample = Some(LoadSample::Unused);
                Verdict::Neutral
            }
        };
        self.record(verdict);
    }

    /// The one verdict of this attempt; those after it change nothing.
    fn record(&mut self, verdict: Verdict) {
        let Some(permit) = self.permit.take() else { return };
        let now = clock::now();
        let took = self.took.unwrap_or_else(|| now.saturating_duration_since(self.started));
        let sample = match verdict {
            Verdict::Success | Verdict::Neutral => LoadSample::Answered { took },
            Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled => LoadSample::Failed { took },
        };
        self.sample.get_or_insert(sample);
        if matches!(verdict, Verdict::EndpointFault | Verdict::RequestFault) {
            self.stats.metrics.failure();
        }
        permit.record(Outcome { verdict, took, retry_after: self.retry_after }, now);
    }
}

impl Drop for TryGuard {
    fn drop(&mut self) {
        let now = clock::now();
        // The head came, and the caller wanted no more.
        let unfinished = || match self.took {
            Some(took) => LoadSample::Answered { took },
            None => LoadSample::GivenUp { after: now.saturating_duration_since(self.started) },
        };
        self.stats.load.end(self.sample.take().unwrap_or_else(unfinished), now);
    }
}
