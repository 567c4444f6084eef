//! Answers made from what is kept.

use super::open_answer::OpenAnswer;
use crate::base::{Body, empty_body};
use crate::cache::{CacheStatus, RangeChoice, asks_for_part, is_not_modified};
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use std::sync::Arc;
use std::time::Instant;

/// The answer to a GET or HEAD with the headers `request` from `open`, with its age, and what the cache says of it.
pub(super) fn deliver(open: OpenAnswer, request: &HeaderMap, status: CacheStatus, now: Instant) -> Response<Body> {
    let kept = Arc::clone(&open.kept);
    let mut headers = kept.headers.clone();
    // What is kept by state is as the service would make it now, so it has no age (RFC 9111, section 5.1).
    if kept.basis.is_none() {
        headers.insert(AGE, HeaderValue::from(kept.freshness.age(now).as_secs()));
    }
    CacheStatus { detail: status.detail.or(open.place()), ..status }.write(&mut headers);
    if is_not_modified(request, kept.status, &kept.headers) {
        return not_modified(headers);
    }
    // Without a length nobody knows what a range is a part of: the client gets all of it, as it may (RFC 9110, section
    // 14.2).
    let Some(length) = open.length() else { return answer(kept.status, headers, open.body()) };
    match RangeChoice::of(request, kept.status, &kept.headers, length) {
        RangeChoice::Whole => {
            // Said here: for HEAD, hyper drops the content and sets no length (hyperium/hyper#2836).
            if kept.status != StatusCode::NO_CONTENT {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            answer(kept.status, headers, open.body())
        }
        RangeChoice::Part(range) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.last + 1 - range.first));
            headers.insert(CONTENT_RANGE, text(format!("bytes {}-{}/{length}", range.first, range.last)));
            answer(StatusCode::PARTIAL_CONTENT, headers, open.part(range.first..range.last + 1))
        }
        RangeChoice::Unsatisfiable => {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_ENCODING);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            headers.insert(CONTENT_RANGE, text(format!("bytes */{length}")));
            answer(StatusCode::RANGE_NOT_SATISFIABLE, headers, empty_body())
        }
    }
}

/// A whole `answer` that is not kept, as the client has asked for it: with 206, if that was from the first byte to the
/// last and the length is known. Players take from it that they may ask for parts.
pub(super) fn in_the_range(request: &HeaderMap, mut answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|_| !asks_for_part(request)) else { return answer };
    if let RangeChoice::Part(range) = RangeChoice::of(request, answer.status(), answer.headers(), length) {
        let all = text(format!("bytes {}-{}/{length}", range.first, range.last));
        answer.headers_mut().insert(CONTENT_RANGE, all);
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    answer
}

/// The 304 for an answer with these headers: what tells of its content goes, the rest is news to the client's own
/// cache (RFC 9110, section 15.4.5).
pub(super) fn not_modified(mut headers: HeaderMap) -> Response<Body> {
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let mut answer = Response::new(empty_body());
    (*answer.status_mut(), *answer.headers_mut()) = (StatusCode::NOT_MODIFIED, headers);
    answer
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("words and numbers")
}
