//! The room against naive models, and tables of the RFCs' own cases.

mod directives;
mod lifetimes;
mod ranges_and_conditions;
mod selections;
mod store;

use super::*;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::{Duration, Instant, SystemTime};

/// Header fields: each a name and a value.
type Fields<'a> = &'a [(&'static str, &'a str)];

/// Header fields, in order.
fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
    };
    let mut all = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        all.append(name, value);
    }
    all
}

/// A moment of the calendar: Sun, 06 Nov 1994 08:49:37 GMT and so many seconds more.
fn wall(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds)
}

/// An answer that came at once, at the moment `wall(0)`.
fn moment() -> AnswerMoment {
    let now = Instant::now();
    AnswerMoment { asked: now, received: now, received_at: wall(0) }
}

/// Keeps a 200 with these headers, of a request with those, for the policy of `cache = true`.
fn kept(answer: &[(&'static str, &str)], request: &[(&'static str, &str)]) -> Result<KeptAnswer, Unkept> {
    kept_by(&CachePolicy::default(), answer, request)
}

fn kept_by(
    policy: &CachePolicy,
    answer: &[(&'static str, &str)],
    request: &[(&'static str, &str)],
) -> Result<KeptAnswer, Unkept> {
    keep(StatusCode::OK, &headers(answer), (&headers(request), false), policy, moment())
}

/// A kept answer of so many bytes.
fn of_bytes(length: usize) -> KeptAnswer {
    let kept = kept(&[("cache-control", "max-age=60")], &[]).expect("it may be kept");
    KeptAnswer { content: KeptContent::Memory(Bytes::from(vec![7; length])), ..kept }
}
