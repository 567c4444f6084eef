//! A request that goes to its service, and what becomes of its answer.

use super::cached_request::CachedRequest;
use super::collected_body::{CollectedBody, collect};
use super::delivery::{deliver, in_the_range, not_modified};
use super::fetch_table::{FetchEnd, FetchLead};
use super::open_answer::OpenAnswer;
use super::read_tracker::ReadTracker;
use super::shared_cache::{RefreshPermit, SharedCache};
use crate::base::{Body, InputWatch, remove_hop_by_hop};
use crate::cache::{
    AnswerMoment, CacheKey, CachePolicy, CacheStatus, ForwardReason, KeptAnswer, KeyDigest, Unkept, is_not_modified,
    keep, keep_by_state, may_stand_in, set_validators,
};
use crate::gateway::problem::Problem;
use crate::telemetry::CacheOutcome;
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A fetch: what is known of its request, and the answer that it may freshen.
pub(in crate::gateway) struct CacheFetch {
    pub(super) cache: Arc<SharedCache>,
    policy: Arc<CachePolicy>,
    pub(super) key: CacheKey,
    pub(super) digest: KeyDigest,
    /// The headers of the client's request.
    request: HeaderMap,
    authenticated: bool,
    pub(super) scope: usize,
    pub(super) part: FetchPart,
    kept: Option<OpenAnswer>,
    reason: ForwardReason,
    asked: Instant,
    /// The invalidations before the fetch.
    pub(super) begun: u64,
    /// Watches the call, if the answer shall be kept by state.
    tracker: Option<Arc<ReadTracker>>,
}

/// What a fetch is to other requests.
pub(super) struct FetchPart {
    pub(super) lead: Option<FetchLead>,
    /// Whether it goes on though no client waits for it.
    pub(super) unattended: bool,
    /// The answer that the client gets at once.
    behind: Option<Response<Body>>,
    pub(super) permit: Option<RefreshPermit>,
    /// Whether its answer may be kept.
    keeps: bool,
}

impl CacheFetch {
    pub(super) fn leading(lead: FetchLead) -> FetchPart {
        FetchPart { lead: Some(lead), unattended: false, behind: None, permit: None, keeps: true }
    }

    pub(super) fn behind(lead: FetchLead, permit: RefreshPermit, answer: Response<Body>) -> FetchPart {
        FetchPart { lead: Some(lead), unattended: true, behind: Some(answer), permit: Some(permit), keeps: true }
    }

    pub(super) fn alone() -> FetchPart {
        FetchPart { lead: None, unattended: false, behind: None, permit: None, keeps: true }
    }

    pub(super) fn past() -> FetchPart {
        FetchPart { keeps: false, ..Self::alone() }
    }

    pub(super) fn new(
        cache: &Arc<SharedCache>,
        (request, key, digest): (&CachedRequest<'_>, CacheKey, KeyDigest),
        policy: &Arc<CachePolicy>,
        part: FetchPart,
        kept: Option<OpenAnswer>,
        reason: ForwardReason,
    ) -> Self {
        let tracked = policy.by_state && part.keeps;
        // Before the call: what is swapped from now on makes this an answer of another table.
        let tracker = tracked.then(|| Arc::new(ReadTracker::new(cache.table(), request.context.watch.clone())));
        Self {
            begun: cache.epoch(),
            tracker,
            cache: Arc::clone(cache),
            policy: Arc::clone(policy),
            key,
            digest,
            request: request.head.headers.clone(),
            authenticated: request.context.identity.is_some(),
            scope: request.at.route,
            part,
            kept,
            reason,
            asked: Instant::now(),
        }
    }

    /// Who has to watch the call; `None`: nobody has.
    pub(in crate::gateway) fn watch(&self) -> Option<Arc<dyn InputWatch>> {
        self.tracker.clone().map(|tracker| tracker as Arc<dyn InputWatch>)
    }

    /// Makes the service's request one whose answer can be kept: with the validators of the answer that is kept, and
    /// without the conditions and ranges of the client, which are judged here.
    pub(in crate::gateway) fn condition(&self, request: &mut HeaderMap) {
        if self.part.keeps {
            set_validators(request, self.kept.as_ref().map(|open| &*open.kept));
        }
    }

    /// Asks the service, and keeps what may be kept. If the client gets its answer at once, that is done behind its
    /// back.
    pub(in crate::gateway) async fn finish(
        mut self: Box<Self>,
        ask: impl Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let Some(answer) = self.part.behind.take() else { return self.settle(ask.await).await };
        tokio::spawn(async move { self.settle(ask.await).await });
        Ok(answer)
    }

    /// What the client gets after the service has answered, or has not.
    async fn settle(mut self, outcome: Result<Response<Body>, Problem>) -> Result<Response<Body>, Problem> {
        let received = Instant::now();
        let moment = AnswerMoment { asked: self.asked, received, received_at: SystemTime::now() };
        let mut answer = match outcome {
            Ok(answer) => answer,
            Err(problem) => {
                let given = self.stand_in(problem.status.as_u16(), received);
                // Whoever waits asks for himself: in turn, each would wait for the failure of the one before.
                self.end(FetchEnd::NotKept);
                return given.ok_or(problem);
            }
        };
        if !self.part.keeps {
            self.cache.count(self.scope, CacheOutcome::Pass);
            self.status(None).write(answer.headers_mut());
            return Ok(answer);
        }
        remove_hop_by_hop(answer.headers_mut());
        if let Some(tracker) = self.tracker.take() {
            return Ok(self.settle_by_state(&tracker, answer, moment).await);
        }
        if answer.status() == StatusCode::NOT_MODIFIED
            && let Some(open) = self.kept.take()
        {
            return Ok(self.freshen(open, answer.headers(), moment));
        }
        if let Some(given) = self.stand_in(answer.status().as_u16(), received) {
            return Ok(given);
        }
        let request = (&self.request, self.authenticated);
        match keep(answer.status(), answer.headers(), request, &self.policy, moment) {
            Ok(kept) => Ok(self.keep_whole(kept, answer).await),
            Err(reason) => Ok(self.leave(answer, reason, received)),
        }
    }

    /// Keeps an answer for as long as all stands that its call has read.
    async fn settle_by_state(
        &mut self,
        tracker: &ReadTracker,
        answer: Response<Body>,
        moment: AnswerMoment,
    ) -> Response<Body> {
        let kept = tracker.basis(self.cache.table());
        let kept = kept.and_then(|basis| keep_by_state(answer.status(), answer.headers(), moment, basis));
        match kept {
            Ok(kept) => self.keep_whole(kept, answer).await,
            Err(reason) => self.leave(answer, reason, moment.received),
        }
    }

    /// The kept answer in place of an error, if it may be given.
    fn stand_in(&mut self, status: u16, now: Instant) -> Option<Response<Body>> {
        let open = self.kept.as_ref().filter(|open| may_stand_in(&open.kept, status, now))?.clone();
        self.cache.count(self.scope, CacheOutcome::Stale);
        let status = CacheStatus { status: Some(status), detail: Some("stale-if-error"), ..self.status(None) };
        let given = deliver(open, &self.request, status, now);
        self.end(FetchEnd::NotKept);
        Some(given)
    }

    /// The kept answer after the service has said that it still holds.
    fn freshen(&mut self, open: OpenAnswer, update: &HeaderMap, moment: AnswerMoment) -> Response<Body> {
        let kept = &open.kept;
        let (fresh, outcome) = kept.freshened(update, &self.request, &self.policy, moment);
        let fresh = Arc::new(fresh);
        let stored = outcome.is_ok() && self.cache.insert(&self.key, self.digest, Arc::clone(&fresh), self.begun);
        if !stored || fresh.selection != kept.selection {
            self.cache.drop_answer(&self.key, kept);
        }
        self.cache.count(self.scope, CacheOutcome::Validated);
        self.end(if stored { FetchEnd::Kept } else { FetchEnd::NotKept });
        let status = CacheStatus { status: Some(304), stored, ..self.status(outcome.err()) };
        deliver(open.with(fresh), &self.request, status, moment.received)
    }

    /// Reads the content of an answer that may be kept, and keeps it.
    async fn keep_whole(&mut self, kept: KeptAnswer, answer: Response<Body>) -> Response<Body> {
        let (head, body) = answer.into_parts();
        let body = match collect(body, self.cache.bounds().object).await {
            CollectedBody::Stream(body) => body,
            CollectedBody::Whole(body) => {
                let open = OpenAnswer::in_memory(kept, body);
                let stored = self.cache.insert(&self.key, self.digest, Arc::clone(&open.kept), self.begun);
                self.cache.count(self.scope, CacheOutcome::Miss);
                self.end(if stored { FetchEnd::Kept } else { FetchEnd::NotKept });
                let status = CacheStatus { stored, ..self.status(None) };
                return deliver(open, &self.request, status, Instant::now());
            }
        };
        // Boxed: all other answers would pay for the size of this future.
        match Box::pin(self.spool(kept, body)).await {
            Ok(open) => deliver(open, &self.request, self.status(None), Instant::now()),
            Err((reason, body)) => self.leave(Response::from_parts(head, body), reason, Instant::now()),
        }
    }

    /// An answer that is not kept.
    fn leave(&mut self, mut answer: Response<Body>, reason: Unkept, now: Instant) -> Response<Body> {
        if !answer.status().is_server_error() {
            if let Some(open) = &self.kept {
                self.cache.drop_answer(&self.key, &open.kept);
            }
            // The next answer may be kept where this one was only overtaken by a change, or found no room.
            if !matches!(reason, Unkept::Changed | Unkept::DiskBusy) {
                self.cache.pass(&self.key, self.digest, now);
            }
        }
        self.cache.count(self.scope, CacheOutcome::Pass);
        self.cache.count_unkept(self.scope, reason);
        // After a change one of those who wait asks again for all of them.
        self.end(if reason == Unkept::Changed { FetchEnd::GivenUp } else { FetchEnd::NotKept });
        CacheStatus { detail: Some(reason.as_str()), ..self.status(None) }.write(answer.headers_mut());
        // The client's conditions were not passed on.
        if is_not_modified(&self.request, answer.status(), answer.headers()) {
            return not_modified(std::mem::take(answer.headers_mut()));
        }
        in_the_range(&self.request, answer)
    }

    fn status(&self, reason: Option<Unkept>) -> CacheStatus {
        CacheStatus { forwarded: Some(self.reason), detail: reason.map(Unkept::as_str), ..CacheStatus::default() }
    }

    fn end(&mut self, end: FetchEnd) {
        if let Some(lead) = self.part.lead.take() {
            lead.end(end);
        }
    }
}
