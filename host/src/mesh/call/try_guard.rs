//! The guard of one try: the only code that records the outcome of a try.

use super::try_trace;
use crate::balance::LoadSample;
use crate::base::{Blame, ErrorKind, OpenSpan, ServiceName};
use crate::breaker::{Outcome, Permit, State, Verdict};
use crate::mesh::clock;
use crate::mesh::table::canary_watch::TossedCall;
use crate::mesh::table::endpoint::EndpointStats;
use crate::telemetry::{ChangeKind, note_change};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A try under way. A guard that is dropped without a verdict is neutral: the caller went away.
pub(super) struct TryGuard {
    service: ServiceName,
    stats: Arc<EndpointStats>,
    /// The first verdict takes it, so that there is one verdict at most.
    permit: Option<Permit>,
    /// The verdict if the answer comes whole.
    verdict_if_whole: Verdict,
    /// What kind of failure it is if the verdict is a fault.
    failure: &'static str,
    started: Instant,
    /// How long the try may wait for the head, if its caller left it clearly less than the service may take. `None`
    /// from the head on: what follows it is bounded by the service's own `timeout`.
    cut: Option<Duration>,
    /// How long it took until the head of the answer came, or a failure in its place.
    took: Option<Duration>,
    retry_after: Option<Duration>,
    /// What the balancer learns at the end of the try.
    sample: Option<LoadSample>,
    /// When the answer was found to be whole. The guard is dropped right after that.
    whole: Option<Instant>,
    /// How the coin fell, if a canary is judged: whose the outcome is.
    tossed: Option<Box<TossedCall>>,
    /// Its span, if the request is traced. It ends with the guard.
    span: Option<OpenSpan>,
}

impl TryGuard {
    /// A try that begins at `now`, with a permit of the endpoint's breaker. The endpoint's load counts it already; the
    /// guard's drop ends that. `cut`: the time that it has, if that is clearly less than the service may take.
    pub(super) fn start(
        service: &ServiceName,
        stats: &Arc<EndpointStats>,
        permit: Permit,
        now: Instant,
        cut: Option<Duration>,
    ) -> Self {
        stats.metrics.request();
        Self {
            service: service.clone(),
            stats: Arc::clone(stats),
            permit: Some(permit),
            verdict_if_whole: Verdict::Success,
            failure: "answered-5xx",
            started: now,
            cut,
            took: None,
            retry_after: None,
            sample: None,
            whole: None,
            tossed: None,
            span: None,
        }
    }

    /// The same try, whose outcome the judge of a rollout learns.
    pub(super) fn on_trial(mut self, tossed: Box<TossedCall>) -> Self {
        self.tossed = Some(tossed);
        self
    }

    /// The judge of a rollout learns how the service crashed.
    pub(super) fn crashed(&mut self, kind: ErrorKind, detail: &str) {
        if let Some(tossed) = &mut self.tossed {
            tossed.crashed(kind, detail);
        }
    }

    /// What becomes of the try is written into `span`.
    pub(super) fn trace(&mut self, span: OpenSpan) {
        self.span = Some(span);
    }

    /// The try's span, if the request is traced.
    pub(super) fn span(&mut self) -> Option<&mut OpenSpan> {
        self.span.as_mut()
    }

    /// The try failed, whoever is to blame.
    pub(super) fn note_failure(&mut self, kind: ErrorKind) {
        if let Some(span) = &mut self.span {
            try_trace::note_failure(span, kind);
        }
    }

    /// The head came, or a failure of the kind `error`. A refusal by this host says nothing about the service's speed.
    pub(super) fn answered(&mut self, error: Option<ErrorKind>) {
        let took = clock::now().saturating_duration_since(self.started);
        self.took = Some(took);
        if error.is_none_or(|kind| kind.blame() != Blame::Refusal) {
            self.stats.metrics.answered(took);
            self.stats.recent_latency.note(took);
        }
    }

    /// Reads what the status says of the service, of a service that it called (`dependency_failed`), or of the client.
    pub(super) fn status(&mut self, status: StatusCode, headers: &HeaderMap, dependency_failed: bool) {
        self.verdict_if_whole = match status.as_u16() {
            502..=504 if dependency_failed => Verdict::Neutral,
            // The service has learnt how long its caller waits, and has given up when that time was over.
            504 if self.has_used_up_cut() => Verdict::Neutral,
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
        if let Some(span) = &mut self.span {
            try_trace::note_status(span, status.as_u16());
        }
        let is_probe = self.permit.as_ref().is_some_and(Permit::is_probe);
        // The head decides a probe, since the body may outlast the probe's lease. A fault is a fault, however the body
        // ends.
        let is_fault =
            matches!(self.verdict_if_whole, Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled);
        if matches!(self.verdict_if_whole, Verdict::EndpointFault | Verdict::RequestFault) {
            self.stats.note_failure(self.failure, &format!("answered {status}"));
        }
        if is_probe || is_fault {
            self.record(self.verdict_if_whole);
        }
        self.cut = None;
    }

    /// Whether the answer came when the time that the caller had cut was over. The service may stop sooner than this
    /// host: it learns that time in whole milliseconds, and keeps a part of it for its own report.
    fn has_used_up_cut(&self) -> bool {
        let took = self.took.unwrap_or_default() + Duration::from_millis(1);
        self.cut.is_some_and(|cut| took >= cut - cut / 10)
    }

    /// The answer is whole.
    pub(super) fn succeeded(&mut self) {
        let now = clock::now();
        self.whole = Some(now);
        self.record_at(self.verdict_if_whole, now);
    }

    /// The answer is whole, and itself reports who is at fault. `what`: which function did, and how; it is asked only
    /// if the service is at fault, since most errors of functions are answers like others.
    pub(super) fn reported(&mut self, verdict: Verdict, what: impl FnOnce() -> String) {
        self.failure = "function-error";
        if verdict != Verdict::Neutral {
            self.stats.note_failure(self.failure, &what());
        }
        self.record(verdict);
    }

    /// There is no answer, or no whole one, and that says nothing of the endpoint.
    pub(super) fn excused(&mut self) {
        self.sample = Some(LoadSample::Unused);
        self.record(Verdict::Neutral);
    }

    /// Whether the answer that came refuses the request: a 4xx.
    pub(super) fn is_refused(&self) -> bool {
        self.verdict_if_whole == Verdict::Neutral
    }

    /// There is no answer, or it broke off.
    ///
    /// `detail` is for operators. `dependency_failed`: a call of the service's own has failed. Then a trap is not its
    /// fault: if the error type of a function lacks `unavailable`, the host traps the function when a call of its own
    /// fails.
    pub(super) fn failed(&mut self, kind: ErrorKind, dependency_failed: bool, detail: &str) {
        if kind.blame() == Blame::Service {
            self.failure = kind.as_str();
            self.stats.note_failure(self.failure, detail);
        }
        let verdict = match kind.blame() {
            Blame::Service if dependency_failed && kind == ErrorKind::Trap => Verdict::Neutral,
            // The caller stopped waiting before the service's own time was over. All that is known of the service's
            // speed is that it needs longer than that.
            Blame::Service if kind == ErrorKind::Timeout && self.cut.is_some() => {
                self.sample = self.took.map(|after| LoadSample::GivenUp { after });
                Verdict::Neutral
            }
            Blame::Service if kind.is_endpoint_fault() => Verdict::EndpointFault,
            Blame::Service => Verdict::RequestFault,
            // Not the service's fault, and it says nothing about the service's speed.
            Blame::Refusal | Blame::Client | Blame::Host => return self.excused(),
        };
        self.record(verdict);
    }

    fn record(&mut self, verdict: Verdict) {
        self.record_at(verdict, clock::now());
    }

    /// Records the verdict. Only the first one counts: later ones change nothing.
    fn record_at(&mut self, verdict: Verdict, now: Instant) {
        let Some(permit) = self.permit.take() else { return };
        let took = self.took.unwrap_or_else(|| now.saturating_duration_since(self.started));
        let sample = match verdict {
            Verdict::Success | Verdict::Neutral => LoadSample::Answered { took },
            Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled => LoadSample::Failed { took },
        };
        self.sample.get_or_insert(sample);
        if matches!(verdict, Verdict::EndpointFault | Verdict::RequestFault) {
            self.stats.metrics.failure(self.failure);
        }
        if let Some(tossed) = self.tossed.take() {
            tossed.conclude(verdict, took);
        }
        let is_probe = permit.is_probe();
        let changed = permit.record(Outcome { verdict, took, retry_after: self.retry_after }, now);
        if let Some(state) = changed {
            self.note_circuit(state, is_probe, verdict);
        }
    }

    /// Logs and remembers that an outcome has changed the state of the endpoint's circuit.
    fn note_circuit(&self, state: State, is_probe: bool, verdict: Verdict) {
        let (service, endpoint, kind) = (&self.service, &*self.stats.id, self.failure);
        match state {
            State::Closed => {
                tracing::info!(target: "circuit", %service, endpoint, %state, "the circuit is closed: calls pass");
                note_change(ChangeKind::CircuitClosed, service.as_str(), Some(endpoint), "a probe succeeded");
            }
            // It is no news: the circuit was open before the probe.
            _ if is_probe => {
                tracing::debug!(target: "circuit", %service, endpoint, %state, ?verdict, "the probe failed");
            }
            _ => {
                tracing::warn!(
                    target: "circuit", %service, endpoint, %state, ?verdict, kind, "the circuit is open: no call passes"
                );
                let last = self.stats.metrics.last_failure().map(|last| format!("{}: {}", last.kind, last.detail));
                let reason = format!("too many failures, the last one: {}", last.as_deref().unwrap_or(kind));
                note_change(ChangeKind::CircuitOpened, service.as_str(), Some(endpoint), &reason);
            }
        }
    }
}

impl Drop for TryGuard {
    fn drop(&mut self) {
        let now = self.whole.unwrap_or_else(clock::now);
        // No verdict: the caller went away, after the head or before it.
        let unfinished = || match self.took {
            Some(took) => LoadSample::Answered { took },
            None => LoadSample::GivenUp { after: now.saturating_duration_since(self.started) },
        };
        self.stats.load.end(self.sample.take().unwrap_or_else(unfinished), now);
        if let Some(span) = self.span.take() {
            span.end_at(now);
        }
    }
}
