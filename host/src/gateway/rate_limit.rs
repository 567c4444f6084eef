//! The step that admits a request by the rate limits of its route.
//!
//! The fields are those of the draft `draft-ietf-httpapi-ratelimit-headers`: `RateLimit-Policy` says what the limits
//! are, `RateLimit` what is left of them, and `Retry-After` is never earlier than the `t` of `RateLimit`.

use super::problem::Problem;
use crate::base::{Identity, ProofKind};
use crate::limit::{Allowance, Limiter, Rate, admit_all};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What a limit counts by: requests with the same key share a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// The address of the client; an IPv6 address by the first 64 bits, since a client has all that begin with them.
    Client,
    /// The API key.
    ApiKey,
    /// Who calls, however that was proved.
    Subject,
    /// The value of a claim.
    Claim(String),
    /// The value of a header field. Clients choose it: it limits those who are honest.
    Header(HeaderName),
    /// All requests of the route together.
    Route,
}

/// A limit, and what it counts by.
#[derive(Debug)]
pub struct RateLimit {
    limiter: Limiter,
    by: LimitKey,
}

/// The limits of one route; all of them must admit a request.
#[derive(Debug, Clone)]
pub struct RouteLimits {
    limits: Arc<[Arc<RateLimit>]>,
    policy: HeaderValue,
}

/// Whose request it is.
pub(super) struct LimitedRequest<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) client: IpAddr,
    pub(super) identity: Option<&'a Identity>,
    /// The position of its route.
    pub(super) route: usize,
}

impl RateLimit {
    /// A limit of `limiter` for each key.
    pub fn new(limiter: Limiter, by: LimitKey) -> Self {
        Self { limiter, by }
    }
}

impl RouteLimits {
    /// These limits together; `None` without any. Their names are 1 to 64 letters, digits, `_` and `-`.
    pub fn new(limits: Vec<Arc<RateLimit>>) -> Option<Self> {
        let policies = limits.iter().map(|limit| policy(&limit.limiter)).collect::<Vec<_>>().join(", ");
        let policy = HeaderValue::from_str(&policies).expect("names and numbers");
        (!limits.is_empty()).then(|| Self { limits: limits.into(), policy })
    }

    /// Takes the request out of the buckets of all limits. Returns the fields of its answer.
    ///
    /// # Errors
    /// 429 with the limit that is used up, and the time until it admits the next request. No bucket has lost anything.
    pub(super) fn admit(
        &self,
        request: &LimitedRequest<'_>,
        hasher: &RandomState,
        now: Instant,
    ) -> Result<[(HeaderName, HeaderValue); 2], Problem> {
        let buckets: Vec<_> =
            self.limits.iter().map(|limit| (&limit.limiter, key(&limit.by, request, hasher))).collect();
        let (left, refusal) = match admit_all(&buckets, now) {
            Ok(allowances) => {
                let names = self.limits.iter().map(|limit| limit.limiter.name());
                (names.zip(allowances).map(|(name, left)| entry(name, &left)).collect::<Vec<_>>().join(", "), None)
            }
            Err((at, left)) => {
                let limiter = &self.limits[at].limiter;
                (entry(limiter.name(), &left), Some(refusal(limiter, &left)))
            }
        };
        let left = HeaderValue::from_str(&left).expect("names and numbers");
        let fields = [(POLICY, self.policy.clone()), (LEFT, left)];
        match refusal {
            None => Ok(fields),
            Some(problem) => {
                Err(fields.into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value)))
            }
        }
    }
}

/// The key of the request's bucket, as a hash that nobody outside can foresee. A request without an identity counts by
/// its client where the limit counts by identities, and so does one without the claim or header: otherwise all such
/// requests would share a bucket, or have none.
fn key(by: &LimitKey, request: &LimitedRequest<'_>, hasher: &RandomState) -> u64 {
    let of = |identity: &Identity| hasher.hash_one(("identity", &identity.policy, &identity.subject));
    let found = match by {
        LimitKey::Client => None,
        LimitKey::ApiKey => request.identity.filter(|identity| identity.proof == ProofKind::ApiKey).map(of),
        LimitKey::Subject => request.identity.map(of),
        LimitKey::Claim(name) => request.identity.and_then(|identity| {
            let claims: serde_json::Value = serde_json::from_str(&identity.claims).ok()?;
            Some(hasher.hash_one(("claim", claims.get(name)?.to_string())))
        }),
        LimitKey::Header(name) => request.headers.get(name).map(|value| hasher.hash_one(("header", value.as_bytes()))),
        LimitKey::Route => Some(hasher.hash_one(("route", request.route))),
    };
    found.unwrap_or_else(|| match request.client {
        IpAddr::V4(address) => hasher.hash_one(("client", address.octets())),
        IpAddr::V6(address) => hasher.hash_one(("client", &address.octets()[..8])),
    })
}

/// The limit as an item of `RateLimit-Policy`: `"name";q=100;w=10`. A window is a number of whole seconds; a period
/// that is not is rounded up, with as many requests more.
fn policy(limiter: &Limiter) -> String {
    let rate: &Rate = limiter.rate();
    let window = whole_seconds(rate.period());
    let period = rate.period().as_millis().max(1);
    let quota = u128::from(rate.count()) * u128::from(window) * 1000 / period;
    format!("\"{}\";q={quota};w={window}", limiter.name())
}

/// What is left of a limit as an item of `RateLimit`: `"name";r=50;t=30`.
fn entry(name: &str, left: &Allowance) -> String {
    format!("\"{name}\";r={};t={}", left.remaining, whole_seconds(left.reset))
}

fn refusal(limiter: &Limiter, left: &Allowance) -> Problem {
    let (rate, seconds) = (limiter.rate(), whole_seconds(left.reset));
    let mut detail = String::new();
    let (name, count, period) = (limiter.name(), rate.count(), rate.period());
    // Writing into a text cannot fail.
    let _ =
        write!(detail, "limit `{name}` ({count} in {period:?}) is used up; the next request may come in {seconds} s");
    let violated = serde_json::to_vec(&[name]).expect("a text is always JSON");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Too many requests", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
        .with_member("violated-policies", &violated)
}

/// A time in whole seconds, rounded up: a client that comes back too early is refused again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn limits(rates: &[(&str, u32, u64, u32, LimitKey)]) -> (RouteLimits, Instant) {
        let origin = Instant::now();
        let limit = |(name, count, millis, burst, by): &(&str, u32, u64, u32, LimitKey)| {
            let rate = Rate::new(*count, Duration::from_millis(*millis), *burst).expect("legal");
            Arc::new(RateLimit::new(Limiter::new(*name, rate, 64, origin), by.clone()))
        };
        (RouteLimits::new(rates.iter().map(limit).collect()).expect("one at least"), origin)
    }

    fn identity(subject: &str, proof: ProofKind) -> Identity {
        let claims = r#"{"tenant":"blue"}"#.to_owned();
        Identity { subject: subject.into(), policy: "staff".into(), proof, scopes: BTreeSet::new(), claims }
    }

    #[test]
    fn an_answer_says_what_is_left() {
        let (limits, now) =
            limits(&[("default", 100, 10_000, 20, LimitKey::Client), ("fast", 3, 500, 3, LimitKey::Route)]);
        let headers = HeaderMap::new();
        let client = "192.0.2.1".parse().expect("an address");
        let request = LimitedRequest { headers: &headers, client, identity: None, route: 0 };
        let hasher = RandomState::new();
        let fields = limits.admit(&request, &hasher, now).expect("admitted");
        assert_eq!(fields[0].1, "\"default\";q=100;w=10, \"fast\";q=6;w=1");
        assert_eq!(fields[1].1, "\"default\";r=19;t=1, \"fast\";r=2;t=1");
        for _ in 0..2 {
            limits.admit(&request, &hasher, now).expect("admitted");
        }
        let answer =
            limits.admit(&request, &hasher, now).expect_err("used up").answer(&crate::base::RequestId::from_random(1));
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            (&answer.headers()[RETRY_AFTER], &answer.headers()[LEFT]),
            (&HeaderValue::from(1), &HeaderValue::from_static("\"fast\";r=0;t=1"),)
        );
    }

    #[test]
    fn each_key_has_its_own_bucket() {
        let hasher = RandomState::new();
        let keys = |by: &LimitKey, client: &str, header: Option<&'static str>, identity: Option<&Identity>, route| {
            let headers = header.map(|value| (HeaderName::from_static("x-tenant"), HeaderValue::from_static(value)));
            let headers = headers.into_iter().collect();
            let client = client.parse().expect("an address");
            key(by, &LimitedRequest { headers: &headers, client, identity, route }, &hasher)
        };
        let (one, other) = ("2001:db8:0:1::1", "2001:db8:0:2::1");
        let by = LimitKey::Client;
        assert_eq!(keys(&by, one, None, None, 0), keys(&by, "2001:db8:0:1:ffff::9", None, None, 0), "one /64");
        assert_ne!(keys(&by, one, None, None, 0), keys(&by, other, None, None, 0));
        assert_ne!(keys(&by, "192.0.2.1", None, None, 0), keys(&by, "192.0.2.2", None, None, 0));
        let by = LimitKey::Header(HeaderName::from_static("x-tenant"));
        assert_eq!(keys(&by, one, Some("a"), None, 0), keys(&by, other, Some("a"), None, 1));
        assert_ne!(keys(&by, one, Some("a"), None, 0), keys(&by, one, Some("b"), None, 0));
        assert_ne!(keys(&by, one, None, None, 0), keys(&by, other, None, None, 0), "without the header, by client");
        let (key_a, token_a) = (identity("a", ProofKind::ApiKey), identity("a", ProofKind::Token));
        let b = identity("b", ProofKind::Token);
        assert_eq!(
            keys(&LimitKey::ApiKey, one, None, Some(&key_a), 0),
            keys(&LimitKey::ApiKey, other, None, Some(&key_a), 0)
        );
        assert_ne!(
            keys(&LimitKey::ApiKey, one, None, Some(&token_a), 0),
            keys(&LimitKey::ApiKey, other, None, Some(&token_a), 0)
        );
        assert_ne!(
            keys(&LimitKey::Subject, one, None, Some(&token_a), 0),
            keys(&LimitKey::Subject, one, None, Some(&b), 0)
        );
        let tenant = LimitKey::Claim("tenant".into());
        assert_eq!(keys(&tenant, one, None, Some(&token_a), 0), keys(&tenant, other, None, Some(&b), 0));
        assert_ne!(keys(&LimitKey::Route, one, None, None, 0), keys(&LimitKey::Route, one, None, None, 1));
    }
}
