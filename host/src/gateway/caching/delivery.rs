//! Answers made from what is kept.

use crate::base::{Body, empty_body, full_body};
use crate::cache::{CacheStatus, KeptAnswer, RangeChoice, is_not_modified};
use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::time::Instant;

/// The answer to a GET or HEAD with the headers `request` from `kept`, with its age, and what the cache says of it.
pub(super) fn deliver(kept: &KeptAnswer, request: &HeaderMap, status: CacheStatus, now: Instant) -> Response<Body> {
    let mut headers = kept.headers.clone();
    // What is kept by state is as the service would make it now, so it has no age (RFC 9111, section 5.1).
    if kept.basis.is_none() {
        headers.insert(AGE, HeaderValue::from(kept.freshness.age(now).as_secs()));
    }
    status.write(&mut headers);
    if is_not_modified(request, kept.status, &kept.headers) {
        return not_modified(headers);
    }
    let length = kept.body.len();
    match RangeChoice::of(request, kept.status, &kept.headers, length) {
        RangeChoice::Whole => {
            // Said here: for HEAD, hyper drops the content and sets no length (hyperium/hyper#2836).
            if kept.status != StatusCode::NO_CONTENT {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            answer(kept.status, headers, kept.body.clone())
        }
        RangeChoice::Part(range) => {
            let part = kept.body.slice(range.first..=range.last);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
            headers.insert(CONTENT_RANGE, text(format!("bytes {}-{}/{length}", range.first, range.last)));
            answer(StatusCode::PARTIAL_CONTENT, headers, part)
        }
        RangeChoice::Unsatisfiable => {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_ENCODING);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            headers.insert(CONTENT_RANGE, text(format!("bytes */{length}")));
            answer(StatusCode::RANGE_NOT_SATISFIABLE, headers, Bytes::new())
        }
    }
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

fn answer(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(full_body(body));
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("words and numbers")
}
