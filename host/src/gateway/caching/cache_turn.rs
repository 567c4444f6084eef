//! The cache's turn at a request: give an answer, or let the pipeline fetch one.

use super::cache_change::CacheChange;
use super::cache_fetch::{CacheFetch, FetchPart};
use super::cached_request::CachedRequest;
use super::delivery::deliver;
use super::fetch_table::{FetchEnd, FetchRole, SpoolingAnswer, ended};
use super::open_answer::OpenAnswer;
use super::shared_cache::SharedCache;
use crate::base::Body;
use crate::cache::{
    CacheControl, CacheDecision, CacheKey, CachePolicy, CacheStatus, ForwardReason, KeyDigest, StoreLookup,
    asks_for_part, decide, is_conditional,
};
use crate::gateway::problem::Problem;
use crate::telemetry::CacheOutcome;
use http::{Method, Response, StatusCode};
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout_at;

/// How often a request waits for the fetch of another one, before it fetches by itself.
const MOST_WAITS: usize = 3;

/// What the cache does with a request.
pub(in crate::gateway) enum CacheTurn {
    /// Nothing: neither does its route have a cache, nor can it change what is kept.
    Nothing,
    /// It has its answer.
    Found(Response<Body>),
    /// The service is asked, and [`CacheFetch::settle`] gets the outcome.
    Fetch(Box<CacheFetch>),
    /// The service is asked, and [`CacheChange::settle`] gets the answer.
    Change(CacheChange),
}

impl CacheTurn {
    /// The answer, if the request has one; or else its fetch and its change, if it has these.
    pub(in crate::gateway) fn into_parts(self) -> (Option<Response<Body>>, Option<Box<CacheFetch>>, CacheEffect) {
        match self {
            Self::Found(answer) => (Some(answer), None, CacheEffect(None)),
            Self::Fetch(fetch) => (None, Some(fetch), CacheEffect(None)),
            Self::Change(change) => (None, None, CacheEffect(Some(change))),
            Self::Nothing => (None, None, CacheEffect(None)),
        }
    }
}

/// What a request changes of what is kept, if it changes anything.
pub(in crate::gateway) struct CacheEffect(Option<CacheChange>);

impl CacheEffect {
    /// The request goes to its service now.
    pub(in crate::gateway) fn send(&mut self) {
        if let Some(change) = &mut self.0 {
            change.send();
        }
    }

    /// The request has this answer.
    pub(in crate::gateway) fn inspect_answer(self, answer: &Response<Body>) {
        if let Some(change) = self.0 {
            change.settle(answer);
        }
    }
}

impl SharedCache {
    /// The turn at `request`, on a route with this policy, if it has a cache.
    ///
    /// # Errors
    /// 504 if the client wants nothing but a kept answer, and there is none (RFC 9111, section 5.2.1.7).
    pub(in crate::gateway) async fn turn(
        self: &Arc<Self>,
        request: &CachedRequest<'_>,
        policy: Option<&Arc<CachePolicy>>,
    ) -> Result<CacheTurn, Problem> {
        if !request.head.method.is_safe() {
            return Ok(CacheTurn::Change(CacheChange::new(Arc::clone(self), request.key())));
        }
        let Some(policy) = policy else { return Ok(CacheTurn::Nothing) };
        let (key, digest) = (request.key(), request.digest(policy));
        let look = CacheLook { cache: self, request, policy, key, digest };
        if !matches!(request.head.method, Method::GET | Method::HEAD) {
            return Ok(look.bypass(ForwardReason::Method));
        }
        if !request.is_bare || is_conditional(&request.head.headers) {
            return Ok(look.bypass(ForwardReason::Bypass));
        }
        // Boxed: requests to other routes would pay for the size of this future.
        Box::pin(look.turn()).await
    }
}

/// One look of a GET or HEAD at the store.
struct CacheLook<'a> {
    cache: &'a Arc<SharedCache>,
    request: &'a CachedRequest<'a>,
    policy: &'a Arc<CachePolicy>,
    key: CacheKey,
    digest: KeyDigest,
}

/// What a look has found.
enum Found {
    Answer(OpenAnswer),
    /// No answer, but perhaps what is known of its URI.
    Nothing(StoreLookup),
}

impl CacheLook<'_> {
    async fn turn(&self) -> Result<CacheTurn, Problem> {
        let (headers, mut collapsed) = (&self.request.head.headers, false);
        let is_head = self.request.head.method == Method::HEAD;
        for waits in 0.. {
            let now = Instant::now();
            let found = self.find(now).await;
            let (kept, reason, variant) = match found {
                Found::Answer(open) if self.policy.by_state => {
                    // The one look that makes a hit: what ends the basis comes before the change can be seen.
                    if open.kept.basis.as_ref().is_some_and(|basis| basis.stands(self.cache.table())) {
                        return Ok(self.give(open, collapsed, now));
                    }
                    self.cache.drop_answer(&self.key, &open.kept);
                    (None, ForwardReason::Stale, None)
                }
                Found::Answer(open) => match decide(&open.kept, headers, self.policy, now) {
                    CacheDecision::Give => return Ok(self.give(open, collapsed, now)),
                    CacheDecision::GiveAndRefresh if is_head => return Ok(self.give(open, collapsed, now)),
                    CacheDecision::GiveAndRefresh => return Ok(self.give_and_refresh(open, now)),
                    CacheDecision::Personal => return Ok(self.bypass(ForwardReason::Bypass)),
                    CacheDecision::Asked => return Ok(self.fetch(Some(open), ForwardReason::Request)),
                    CacheDecision::Validate => {
                        let variant = open.kept.selection.clone();
                        (Some(open), ForwardReason::Stale, Some(variant))
                    }
                },
                Found::Nothing(StoreLookup::OtherVariants(variant)) => (None, ForwardReason::VaryMiss, variant),
                Found::Nothing(StoreLookup::Pass) => (None, ForwardReason::Bypass, None),
                Found::Nothing(_) => (None, ForwardReason::UriMiss, None),
            };
            if CacheControl::of(headers).only_if_cached {
                return Err(not_cached());
            }
            // The answer to a HEAD or to a range is not kept, so nobody need wait for it. A range of what is kept is
            // cut from it after the validation.
            if is_head || (kept.is_none() && asks_for_part(headers)) {
                return Ok(self.bypass(if is_head { reason } else { ForwardReason::Bypass }));
            }
            // Nobody waits either where each request asks the service anyway.
            let alone = reason == ForwardReason::Bypass
                || kept.as_ref().is_some_and(|open| open.kept.freshness.lifetime().is_zero())
                || waits == MOST_WAITS;
            if alone {
                return Ok(self.fetch(kept, reason));
            }
            match self.cache.fetches.join((self.key.clone(), self.digest, variant)) {
                FetchRole::Leads(lead) => return Ok(self.fetch_by(CacheFetch::leading(lead), kept, reason)),
                FetchRole::Waits(waiting) => {
                    collapsed = true;
                    match timeout_at(self.request.context.deadline.into(), ended(waiting)).await {
                        Ok(FetchEnd::Kept | FetchEnd::GivenUp) => {}
                        Ok(FetchEnd::Spooling(spooling)) => match self.read_along(&spooling) {
                            Some(open) => return Ok(self.give(open, collapsed, Instant::now())),
                            None => return Ok(self.fetch(kept, reason)),
                        },
                        Ok(FetchEnd::NotKept | FetchEnd::Open) | Err(_) => return Ok(self.fetch(kept, reason)),
                    }
                }
            }
        }
        unreachable!("the loop ends at MOST_WAITS")
    }

    /// What is kept for the request, with its content.
    async fn find(&self, now: Instant) -> Found {
        match self.cache.find(&self.key, self.digest, &self.request.head.headers, now) {
            StoreLookup::Found(kept) => match self.cache.open(&self.key, &kept).await {
                Some(open) => Found::Answer(open),
                None => Found::Nothing(StoreLookup::Nothing),
            },
            other => Found::Nothing(other),
        }
    }

    /// An answer on its way to the disk, if it is one for this request.
    fn read_along(&self, spooling: &SpoolingAnswer) -> Option<OpenAnswer> {
        let SpoolingAnswer { kept, spool, begun } = spooling;
        let headers = &self.request.head.headers;
        let is_for_it = kept.selection.selects(headers)
            && decide(kept, headers, self.policy, Instant::now()) == CacheDecision::Give
            && self.cache.is_current(&self.key, *begun);
        let reader = if is_for_it { spool.join() } else { None };
        reader.map(|reader| OpenAnswer::spooled(Arc::clone(kept), reader))
    }

    fn give(&self, open: OpenAnswer, collapsed: bool, now: Instant) -> CacheTurn {
        let kept = &open.kept;
        let (freshness, scope) = (&kept.freshness, self.request.at.route);
        let left = seconds(freshness.lifetime().as_secs()) - seconds(freshness.age(now).as_secs());
        let forwarded = collapsed.then_some(ForwardReason::UriMiss);
        // What is kept by state lives for no time that anybody could tell.
        let (ttl, detail) = if kept.basis.is_some() { (None, Some("state")) } else { (Some(left), None) };
        let status = CacheStatus { forwarded, ttl, collapsed, detail, ..CacheStatus::default() };
        let outcome = match (collapsed, freshness.is_fresh(now)) {
            (true, _) => CacheOutcome::Collapsed,
            (false, true) => CacheOutcome::Hit,
            (false, false) => CacheOutcome::Stale,
        };
        self.cache.count(scope, outcome);
        CacheTurn::Found(deliver(open, &self.request.head.headers, status, now))
    }

    /// Gives a stale answer, and has it validated if nobody does that.
    fn give_and_refresh(&self, open: OpenAnswer, now: Instant) -> CacheTurn {
        let given = self.give(open.clone(), false, now);
        let CacheTurn::Found(answer) = given else { return given };
        let key = (self.key.clone(), self.digest, Some(open.kept.selection.clone()));
        let lead = self.cache.begin_refresh().map(|permit| (permit, self.cache.fetches.join(key)));
        match lead {
            Some((permit, FetchRole::Leads(lead))) => {
                self.fetch_by(CacheFetch::behind(lead, permit, answer), Some(open), ForwardReason::Stale)
            }
            _ => CacheTurn::Found(answer),
        }
    }

    fn fetch(&self, kept: Option<OpenAnswer>, reason: ForwardReason) -> CacheTurn {
        self.fetch_by(CacheFetch::alone(), kept, reason)
    }

    fn fetch_by(&self, role: FetchPart, kept: Option<OpenAnswer>, reason: ForwardReason) -> CacheTurn {
        CacheTurn::Fetch(Box::new(CacheFetch::new(
            self.cache,
            (self.request, self.key.clone(), self.digest),
            self.policy,
            role,
            kept,
            reason,
        )))
    }

    /// The request goes to its service as it is, and its answer is not kept.
    fn bypass(&self, reason: ForwardReason) -> CacheTurn {
        self.fetch_by(CacheFetch::past(), None, reason)
    }
}

fn seconds(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn not_cached() -> Problem {
    let detail = "`only-if-cached` was asked for, and no answer is kept that can be given";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "not-cached", "There is no kept answer", detail)
}
