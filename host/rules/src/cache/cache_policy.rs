//! What a route says of its cache.

use http::HeaderName;
use std::time::Duration;

/// What a route says of its cache, beside what its answers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachePolicy {
    /// How long an answer is fresh that says nothing of it; `None`: as RFC 9111, section 4.2.2, guesses.
    pub ttl: Option<Duration>,
    /// For how long a stale answer is given while it is validated, if the answer does not say.
    pub stale_while_revalidate: Option<Duration>,
    /// For how long a stale answer is given in place of an error, if the answer does not say.
    pub stale_if_error: Option<Duration>,
    /// What tells requests apart, beside their URI and what `Vary` names.
    pub key: Vec<KeyPart>,
    /// Whether `no-cache`, `max-age`, `min-fresh` and `max-stale` of a request count.
    pub client_directives: bool,
    /// Whether answers are kept without a time, for as long as all stands that their calls have read. Nothing else of
    /// the policy counts then but the key, to which the whole identity of the caller belongs.
    pub by_state: bool,
}

/// One part of a route's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The value of a header field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// Who calls, by policy and subject.
    Subject,
}

impl CachePolicy {
    /// Whether the route's key tells callers apart.
    pub fn keeps_by_subject(&self) -> bool {
        self.key.contains(&KeyPart::Subject)
    }

    /// Whether the route's key has a cookie.
    pub(super) fn keeps_by_cookie(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Cookie(_)))
    }
}
