//! What one route permits to pages of other origins, and the fields by which its answers say so.

use super::origin_pattern::OriginPattern;
use crate::base::{Body, empty_body, header_tokens};
use crate::gateway::problem::Problem;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use std::time::Duration;

const TRUE: HeaderValue = HeaderValue::from_static("true");
const WILDCARD: HeaderValue = HeaderValue::from_static("*");

/// What the answer to a preflight depends on, for caches that keep it all the same.
const PREFLIGHT_VARIES: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// The fields of an answer that are CORS. Those that a service wrote are dropped where its route has a policy: two
/// values of one of them make a browser refuse the answer.
const ANSWER_FIELDS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Which origins may use a route, and how. Made by [`CorsPolicy::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicy {
    origins: Vec<OriginPattern>,
    /// Whether every origin gets the same answer.
    any: bool,
    /// `None`: the methods of the route.
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl CorsPolicy {
    /// A policy for `origins`. Pages may send `methods` (empty: those of the route) and `headers` beside those that
    /// need no permission, and read the fields `expose` of an answer beside those that every page may read. The names
    /// are tokens, or `*`. `credentials`: pages may send cookies and the like; then a
    /// `*` among the origins permits none, and in the lists it is a name. A browser may keep the answer to a preflight
    /// for `max_age`.
    pub fn new(
        origins: Vec<OriginPattern>,
        methods: &[String],
        headers: &[String],
        expose: &[String],
        credentials: bool,
        max_age: Duration,
    ) -> Self {
        let any = !credentials && origins.contains(&OriginPattern::Any);
        let origins = origins.into_iter().filter(|origin| !credentials || *origin != OriginPattern::Any).collect();
        let (methods, headers, expose) = (listed(methods), listed(headers), listed(expose));
        Self { origins, any, methods, headers, expose, credentials, max_age: HeaderValue::from(max_age.as_secs()) }
    }

    /// Whether it permits any origin.
    pub fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// What the answer to a request with these headers says.
    pub(in crate::gateway) fn grant(&self, headers: &HeaderMap) -> CorsGrant<'_> {
        CorsGrant { policy: self, origin: self.permitted(headers) }
    }

    /// The answer to the preflight of a request with the method `requested`, on a route with these methods (empty: any
    /// method). `None` if the origin is not permitted.
    pub(in crate::gateway) fn preflight(
        &self,
        headers: &HeaderMap,
        requested: &Method,
        methods: &[Method],
    ) -> Option<Response<Body>> {
        let origin = self.permitted(headers)?;
        let mut answer = Response::new(empty_body());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let fields = answer.headers_mut();
        fields.insert(VARY, PREFLIGHT_VARIES);
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // What is not permitted is missing in the lists, and the browser tells the page's author.
        let of_route = || listed(if methods.is_empty() { std::slice::from_ref(requested) } else { methods });
        let lists = [
            (ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone().or_else(of_route)),
            (ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, self.credentials.then_some(TRUE)),
            (ACCESS_CONTROL_MAX_AGE, Some(self.max_age.clone())),
        ];
        fields.extend(lists.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Some(answer)
    }

    /// The value of `Access-Control-Allow-Origin` for a request with these headers; `None` if it names no origin, or
    /// one that is not permitted.
    fn permitted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut sent = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (sent.next(), sent.next()) else { return None };
        let text = origin.to_str().ok()?;
        let permits = self.origins.iter().any(|pattern| pattern.permits(text));
        permits.then(|| if self.any { WILDCARD } else { origin.clone() })
    }
}

/// The answer to a preflight of an origin that is not permitted. Without the fields of CORS any answer would do; this
/// one tells the page's author why.
pub(in crate::gateway) fn refusal() -> Problem {
    let detail = "this route permits no requests of pages of this origin (`cors`)";
    let problem = Problem::new(StatusCode::FORBIDDEN, "cors-refused", "The origin is not permitted", detail);
    problem.with_header(VARY, PREFLIGHT_VARIES)
}

/// A list of tokens as the value of a field; `None` for an empty one.
fn listed(names: &[impl AsRef<str>]) -> Option<HeaderValue> {
    let text = names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    (!text.is_empty()).then(|| HeaderValue::from_str(&text).expect("tokens are visible ASCII"))
}

/// What the answer to one request says to the page that sent it.
pub(in crate::gateway) struct CorsGrant<'a> {
    policy: &'a CorsPolicy,
    origin: Option<HeaderValue>,
}

impl CorsGrant<'_> {
    /// Replaces the CORS fields of an answer, a problem too. The answer says that it depends on the origin even if
    /// there is none: otherwise a cache would give it to pages (Fetch, "CORS protocol and HTTP caches").
    pub(in crate::gateway) fn write(self, answer: &mut HeaderMap) {
        for name in &ANSWER_FIELDS {
            answer.remove(name);
        }
        if !header_tokens(answer, &VARY).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin")) {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.policy.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = &self.policy.expose {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// The method of the request that a browser asks for, if the request with this head is a preflight (Fetch, "CORS
/// protocol: HTTP requests").
pub(in crate::gateway) fn requested_method(head: &Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    let mut named = head.headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter();
    match (named.next(), named.next()) {
        (Some(method), None) => Method::from_bytes(method.as_bytes()).ok(),
        _ => None,
    }
}
