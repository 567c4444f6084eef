//! What a request is given from a kept answer (RFC 9111, section 4).

use super::cache_control::CacheControl;
use super::cache_policy::CachePolicy;
use super::kept_answer::KeptAnswer;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use std::time::{Duration, Instant};

/// What is done with a kept answer that a request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheDecision {
    /// It is given.
    Give,
    /// It is given, and validated behind the request's back.
    GiveAndRefresh,
    /// The service is asked first, since the answer is stale.
    Validate,
    /// The service is asked first, since the client wants that.
    Asked,
    /// The request is somebody's own, and only the route says that the answer may be kept: the service is asked, as if
    /// there were no answer.
    Personal,
}

/// What a GET with the headers `request` gets, to which `kept` was found, at `now`.
pub fn decide(kept: &KeptAnswer, request: &HeaderMap, policy: &CachePolicy, now: Instant) -> CacheDecision {
    let freshness = &kept.freshness;
    let personal = (request.contains_key(COOKIE) && !policy.keeps_by_cookie())
        || (request.contains_key(AUTHORIZATION) && !policy.keeps_by_subject());
    if personal && !kept.is_stated {
        return CacheDecision::Personal;
    }
    if policy.client_directives {
        let asked = CacheControl::of_request(request);
        let age = freshness.age(now);
        let too_old = asked.max_age.is_some_and(|most| age > Duration::from_secs(most));
        let left = freshness.lifetime().saturating_sub(age);
        let too_short = asked.min_fresh.is_some_and(|least| left < Duration::from_secs(least));
        if asked.no_cache || too_old || too_short {
            return CacheDecision::Asked;
        }
        let patient = |stale: Duration| asked.max_stale.is_some_and(|most| stale.as_secs() <= most);
        if freshness.may_be_stale(&kept.control) && freshness.staleness(now).is_some_and(patient) {
            return CacheDecision::Give;
        }
    }
    if freshness.is_fresh(now) {
        CacheDecision::Give
    } else if freshness.may_be_refreshed_behind(now) {
        CacheDecision::GiveAndRefresh
    } else {
        CacheDecision::Validate
    }
}

/// Whether `kept` may be given in place of the failure of a call, or of an answer with this status: RFC 5861, section
/// 4, names 500, 502, 503 and 504.
pub fn may_stand_in(kept: &KeptAnswer, status: u16, now: Instant) -> bool {
    matches!(status, 500 | 502 | 503 | 504) && kept.freshness.may_replace_error(now)
}
