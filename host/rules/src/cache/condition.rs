//! Conditions of requests: those of clients, answered from a kept answer, and those that the gateway sends (RFC 9110,
//! section 13; RFC 9111, section 4.3).

use super::freshness::date;
use super::kept_answer::KeptAnswer;
use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, StatusCode};

/// Whether a request has a condition that a kept answer cannot settle: one that only the service may judge.
pub fn is_conditional(request: &HeaderMap) -> bool {
    request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE)
}

/// Whether a GET with the headers `request` is answered with 304 if its answer has this status and these headers.
pub fn is_not_modified(request: &HeaderMap, status: StatusCode, answer: &HeaderMap) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        // It goes before the date, also where it does not fit (RFC 9110, section 13.2.2).
        let mut lines = request.get_all(IF_NONE_MATCH).iter().map(|line| line.as_bytes());
        let own = answer.get(ETAG).map(|tag| opaque(tag.as_bytes()));
        return lines.any(|line| line.trim_ascii() == b"*" || own.is_some_and(|own| tags(line).any(|tag| tag == own)));
    }
    let Some(Ok(since)) = date(request, &IF_MODIFIED_SINCE) else { return false };
    // Without a date of its last change, that of its making counts (RFC 9111, section 4.3.2).
    let changed = date(answer, &LAST_MODIFIED).or_else(|| date(answer, &DATE));
    changed.and_then(Result::ok).is_some_and(|changed| changed <= since)
}

/// Makes the request that asks whether `kept` still holds, or one without any condition. What the client asked by its
/// own conditions is judged by the kept answer.
pub fn set_validators(request: &mut HeaderMap, kept: Option<&KeptAnswer>) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        request.remove(name);
    }
    let Some(kept) = kept else { return };
    for (field, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = kept.headers.get(field) {
            request.insert(condition, value.clone());
        }
    }
}

/// Whether `If-Range` of a request still names the kept answer, so that a part of it can be given; true without it.
pub(super) fn range_holds(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(named) = request.get(IF_RANGE).map(|value| value.as_bytes()) else { return true };
    let own = |name| answer.get(name).map(|value: &http::HeaderValue| value.as_bytes());
    if named.starts_with(b"\"") {
        return own(ETAG) == Some(named);
    }
    // A weak tag identifies no bytes (RFC 9110, section 13.1.5); a date must be the very one.
    !named.starts_with(b"W/") && own(LAST_MODIFIED) == Some(named)
}

/// A tag without the mark of weakness: conditions of GET compare so (section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tags of a list, without the mark of weakness. Quotes part them: a tag may have a comma. What is no tag is left
/// out.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| *byte == b'"')?;
        let length = rest[begin + 1..].iter().position(|byte| *byte == b'"')?;
        let (tag, after) = rest[begin..].split_at(length + 2);
        rest = after;
        Some(tag)
    })
}
