//! `cache` of `[[route]]`: which of its answers are kept, and for how long.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{FlagKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DAY, DurationKind};
use super::reader::section::Section;
use super::route_auth::RouteAuth;
use super::route_call::RouteCall;
use super::service::ServiceConfig;
use crate::cache::{CachePolicy, KeyPart};
use http::{HeaderName, Method};
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

/// A part of a route's key.
struct KeyPartKind;

impl ValueKind for KeyPartKind {
    type Value = KeyPart;

    fn accepts(&self) -> String {
        "`header:NAME`, `cookie:NAME` or `subject`".into()
    }

    fn help(&self) -> String {
        "write \"header:X-Tenant\" for the value of a header, or one of the other words".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<KeyPart, Vec<KindError>> {
        let token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
        let part = value.get_ref().as_str().and_then(|text| match text.split_once(':') {
            None => (text == "subject").then_some(KeyPart::Subject),
            Some(("header", name)) => name.parse::<HeaderName>().ok().map(KeyPart::Header),
            // The name of a cookie is a token, as that of a header is, but its case matters (RFC 6265, section 4.1.1).
            Some(("cookie", name)) => token(name).then(|| KeyPart::Cookie(name.into())),
            Some(_) => None,
        });
        part.ok_or_else(|| refused(self, value))
    }
}

/// What a route says of its cache in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CacheWord {
    Off,
    AsAnswersAllow,
    ByState,
}

/// A flag, or a word.
struct CacheWordKind;

impl ValueKind for CacheWordKind {
    type Value = CacheWord;

    fn accepts(&self) -> String {
        "true, false or \"state\"".into()
    }

    fn help(&self) -> String {
        "write true or \"state\", or a table: cache = { ttl = \"30s\" }".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<CacheWord, Vec<KindError>> {
        match (value.get_ref().as_bool(), value.get_ref().as_str()) {
            (Some(true), _) => Ok(CacheWord::AsAnswersAllow),
            (Some(false), _) => Ok(CacheWord::Off),
            (None, Some("state")) => Ok(CacheWord::ByState),
            _ => Err(refused(self, value)),
        }
    }
}

static CACHE: ManifestKey<CacheWordKind> = ManifestKey::new(
    "cache",
    CacheWordKind,
    "false",
    "Whether answers to GET are kept, as they allow it (RFC 9111). A table in place of true says more. With \
     `\"state\"`, on a route with `call`, an answer is kept for as long as nothing has changed that its call has read \
     of the services' stores.",
);
/// The longest time that a route can add to what answers say: a year.
const LONGEST: u64 = 365 * DAY;
static TTL: ManifestKey<DurationKind> = ManifestKey::without_default(
    "ttl",
    DurationKind { min: 100, max: LONGEST },
    "How long an answer is fresh that says nothing of it and may be kept by its status. A typed route needs it. \
     Absent: a tenth of the time since `Last-Modified`, at most 24h.",
);
static WHILE_REVALIDATE: ManifestKey<DurationKind> = ManifestKey::without_default(
    "stale_while_revalidate",
    DurationKind { min: 100, max: LONGEST },
    "For how long a stale answer is given while a new one is fetched behind the request's back, if the answer does not \
     say. Absent: not at all.",
);
static IF_ERROR: ManifestKey<DurationKind> = ManifestKey::without_default(
    "stale_if_error",
    DurationKind { min: 100, max: LONGEST },
    "For how long a stale answer is given where the call fails, or is answered with 500, 502, 503 or 504, if the \
     answer does not say. Absent: not at all.",
);
static KEY: ManifestKey<ListKind<KeyPartKind>> = ManifestKey::new(
    "key",
    ListKind { of: KeyPartKind, max: 8 },
    "[]",
    "What tells requests apart, beside scheme, host, path, query, and what `Vary` of the answer names. With `subject`, \
     each caller has answers of his own, which then may be kept although the request has credentials.",
);
static CLIENT: ManifestKey<FlagKind> = ManifestKey::new(
    "client_directives",
    FlagKind,
    "false",
    "Whether `no-cache`, `max-age`, `min-fresh` and `max-stale` of a request count. With false, no client can have the \
     service asked more often.",
);

/// What a route says of its cache, and where; `None`: it has none.
pub(super) struct CacheKeys {
    policy: CachePolicy,
    origin: ValueOrigin,
}

/// Reads `cache` of a route.
pub(super) fn read(parent: &mut Section<'_>) -> Option<CacheKeys> {
    if !parent.is_table(CACHE.name) {
        let found = parent.find(&CACHE).filter(|found| found.value != CacheWord::Off)?;
        let by_state = found.value == CacheWord::ByState;
        return Some(CacheKeys { policy: CachePolicy { by_state, ..CachePolicy::default() }, origin: found.origin });
    }
    let mut section = parent.section(CACHE.name);
    let policy = CachePolicy {
        ttl: section.find(&TTL).map(|found| found.value),
        stale_while_revalidate: section.find(&WHILE_REVALIDATE).map(|found| found.value),
        stale_if_error: section.find(&IF_ERROR).map(|found| found.value),
        key: section.get(&KEY).into_iter().map(Spanned::into_inner).collect(),
        client_directives: section.get(&CLIENT),
        by_state: false,
    };
    let origin = ValueOrigin::Text(section.span.clone());
    section.close();
    Some(CacheKeys { policy, origin })
}

impl CacheKeys {
    /// The policy of a route with this call of this service, and these callers. What cannot work is reported.
    pub(super) fn finish(
        self,
        section: &Section<'_>,
        (service, call): (Option<&ServiceConfig>, Option<&RouteCall>),
        auth: Option<&RouteAuth>,
    ) -> Arc<CachePolicy> {
        let Self { mut policy, origin } = self;
        let refuse = |message: &str, help: &str| section.report.push_if_whole(origin.clone(), message, help);
        if auth.is_none() && policy.keeps_by_subject() {
            refuse("`subject` in `key` of `cache` needs `auth`", "add auth, or leave `subject` out");
        }
        if policy.by_state {
            if call.is_none() {
                let help = "name a function: call = \"NAME/function\", or write cache = true";
                refuse("only what a function reads is known, and this route calls none", help);
            }
            if service.is_some_and(|service| service.keeps_instances()) {
                let help = "leave `isolation` out, or write cache = { ttl = \"30s\" }";
                refuse("its service has isolation = \"reuse\", and nobody knows what an instance remembers", help);
            }
        }
        if let Some(call) = call {
            if call.method != Method::GET {
                refuse("answers to GET alone are kept, and this route calls by another method", "leave `cache` out");
            }
            if policy.ttl.is_none() && !policy.by_state {
                let help = "write cache = { ttl = \"30s\" }";
                refuse("a function does not say how long its answer is fresh", help);
            }
            if auth.is_some() && !policy.keeps_by_subject() && !policy.by_state {
                let help = "add key = [\"subject\"]: each caller then has answers of his own";
                refuse("nothing says that callers may share the answers of this route", help);
            }
            // The function gets these fields as arguments.
            let fields = call.from_header.values().filter_map(|name| name.parse::<HeaderName>().ok());
            policy.key.extend(fields.map(KeyPart::Header));
        }
        Arc::new(policy)
    }
}
