//! How long an answer is fresh, and how old it is (RFC 9111, section 4.2).

use super::cache_control::CacheControl;
use super::cache_policy::CachePolicy;
use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};
use std::time::{Duration, Instant, SystemTime};

/// The part of an answer's time since its last change for which it is taken to be fresh, if it says nothing (section
/// 4.2.2 calls 10 % typical), and the longest such time.
const HEURISTIC_PART: u32 = 10;
const LONGEST_HEURISTIC: Duration = Duration::from_secs(24 * 3600);

/// The statuses that may be kept without being told so (RFC 9110, section 15.1), but for 206.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// Whether an answer of this status may be kept although it says nothing of it.
pub(super) fn is_heuristic(status: StatusCode) -> bool {
    HEURISTIC.contains(&status.as_u16())
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub struct AnswerMoment {
    /// When its request was sent.
    pub asked: Instant,
    /// When its head had come.
    pub received: Instant,
    /// The same moment on the calendar.
    pub received_at: SystemTime,
}

/// The lifetime of an answer, and what may be done when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    received: Instant,
    initial_age: Duration,
    lifetime: Duration,
    while_revalidate: Duration,
    if_error: Duration,
    /// It is never given without a validation.
    always_validated: bool,
    /// Whether the answer itself or the route says how long it lives.
    explicit: bool,
}

impl Freshness {
    /// The freshness of an answer with this status and these headers, and whether its lifetime is one that the answer
    /// states itself.
    pub(super) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        control: &CacheControl,
        policy: &CachePolicy,
        moment: AnswerMoment,
    ) -> Self {
        let wall = moment.received_at;
        let sent = date(headers, &DATE).and_then(Result::ok).unwrap_or(wall);
        let stated = stated_lifetime(headers, control, sent);
        let by_route = || policy.ttl.filter(|_| is_heuristic(status));
        let heuristic = || {
            let may = is_heuristic(status) || control.public;
            let changed = date(headers, &LAST_MODIFIED).and_then(Result::ok).filter(|_| may)?;
            let since = sent.duration_since(changed).ok()?;
            Some((since / HEURISTIC_PART).min(LONGEST_HEURISTIC))
        };
        let explicit = stated.is_some() || by_route().is_some();
        let lifetime = stated.or_else(by_route).or_else(heuristic).unwrap_or_default();
        // Section 4.2.3. Dates are whole seconds, so the clock is cut to a second, too.
        let apparent = whole(wall).saturating_sub(whole(sent));
        let delay = moment.received.saturating_duration_since(moment.asked);
        let (told, lifetime) = match age(headers) {
            Some(age) => (age, lifetime),
            None => (Duration::ZERO, Duration::ZERO),
        };
        let initial_age = Duration::from_secs(apparent).max(told + delay);
        let strict = control.must_revalidate || control.proxy_revalidate || control.no_cache;
        // `s-maxage` forbids stale answers as `proxy-revalidate` does (section 5.2.2.10), unless the same answer says
        // for how long they are welcome.
        let grace = |own: Option<u64>, by_route: Option<Duration>| match own {
            _ if strict => Duration::ZERO,
            Some(own) => Duration::from_secs(own),
            None if control.s_maxage.is_some() => Duration::ZERO,
            None => by_route.unwrap_or_default(),
        };
        Self {
            received: moment.received,
            initial_age,
            lifetime,
            while_revalidate: grace(control.stale_while_revalidate, policy.stale_while_revalidate),
            if_error: grace(control.stale_if_error, policy.stale_if_error),
            always_validated: control.no_cache,
            explicit,
        }
    }

    /// The freshness of an answer that nobody's clock ends.
    pub(super) fn without_end(moment: AnswerMoment) -> Self {
        Self {
            received: moment.received,
            initial_age: Duration::ZERO,
            lifetime: Duration::MAX,
            while_revalidate: Duration::ZERO,
            if_error: Duration::ZERO,
            always_validated: false,
            explicit: true,
        }
    }

    /// How old the answer is at `now`.
    pub fn age(&self, now: Instant) -> Duration {
        self.initial_age + now.saturating_duration_since(self.received)
    }

    /// How long it is fresh from its making on.
    pub fn lifetime(&self) -> Duration {
        if self.always_validated { Duration::ZERO } else { self.lifetime }
    }

    /// Whether it may be given at `now` without asking anybody.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.lifetime() > self.age(now)
    }

    /// For how long it has been stale at `now`; `None` while it is fresh.
    pub fn staleness(&self, now: Instant) -> Option<Duration> {
        if self.is_fresh(now) { None } else { Some(self.age(now).saturating_sub(self.lifetime())) }
    }

    /// Whether it may be given at `now`, although stale, while it is validated.
    pub fn may_be_refreshed_behind(&self, now: Instant) -> bool {
        self.staleness(now).is_some_and(|stale| stale < self.while_revalidate)
    }

    /// Whether it may be given at `now`, although stale, in place of an error.
    pub fn may_replace_error(&self, now: Instant) -> bool {
        self.staleness(now).is_none_or(|stale| stale < self.if_error)
    }

    /// Whether it may be given stale at all, if the client wants that.
    pub(super) fn may_be_stale(&self, control: &CacheControl) -> bool {
        !(self.always_validated || control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some())
    }

    /// Whether it can be given at some time without asking for another answer.
    pub(super) fn is_of_use(&self) -> bool {
        self.lifetime() > self.initial_age || self.while_revalidate > Duration::ZERO || self.if_error > Duration::ZERO
    }

    /// Whether the answer or the route says how long it lives.
    pub(super) fn is_explicit(&self) -> bool {
        self.explicit
    }
}

/// The lifetime that the answer states (section 4.2.1).
pub(super) fn stated_lifetime(headers: &HeaderMap, control: &CacheControl, sent: SystemTime) -> Option<Duration> {
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(Duration::from_secs(seconds));
    }
    // A date that cannot be read, like `0`, is in the past (section 5.3).
    let expires = date(headers, &EXPIRES)?;
    Some(expires.ok().and_then(|expires| expires.duration_since(sent).ok()).unwrap_or_default())
}

/// What `Age` says; `None` if it cannot be read as one number. RFC 9111, section 5.1, would have such a field ignored;
/// an answer whose age nobody knows is taken for stale here, which costs a validation.
fn age(headers: &HeaderMap) -> Option<Duration> {
    let mut lines = headers.get_all(AGE).iter();
    let Some(line) = lines.next() else { return Some(Duration::ZERO) };
    let text = line.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    if lines.next().is_some() {
        return None;
    }
    // A number beyond 64 bits is an age beyond every lifetime.
    Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX))))
}

/// The date in a field; an error if the field is there and is no date, or is there twice.
pub(super) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Result<SystemTime, ()>> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    let date = line.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
    Some(date.filter(|_| lines.next().is_none()).ok_or(()))
}

/// Whole seconds since 1970.
fn whole(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
