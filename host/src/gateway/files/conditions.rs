//! The conditions of a request for a file (RFC 9110, section 13).

use super::file_range::FileRange;
use crate::base::header_tokens;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Its entity tag, a strong one.
    pub(super) tag: HeaderValue,
    /// When it was changed, in whole seconds since 1970.
    pub(super) modified: u64,
}

/// What a request gets by its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileVerdict {
    /// The file, or a part of it.
    Send(FileRange),
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD in the order of section 13.2.2. `length` is that of the file.
pub(super) fn evaluate(headers: &HeaderMap, file: &Validators, length: u64) -> FileVerdict {
    if headers.contains_key(IF_MATCH) {
        if !tags(headers, &IF_MATCH).any(|tag| tag == b"*" || tag == file.tag.as_bytes()) {
            return FileVerdict::Failed;
        }
    } else if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| file.modified > date) {
        return FileVerdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        let is_known = |tag: &[u8]| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == file.tag.as_bytes();
        if tags(headers, &IF_NONE_MATCH).any(is_known) {
            return FileVerdict::NotModified;
        }
    } else if date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| file.modified <= date) {
        return FileVerdict::NotModified;
    }
    let wanted = headers.get(RANGE).filter(|_| is_same(headers, file));
    FileVerdict::Send(wanted.map_or(FileRange::Whole, |range| FileRange::parse(range.as_bytes(), length)))
}

/// Whether the file is the one of which the client has other parts: `If-Range`, compared strongly (section 13.1.5). A
/// date counts only if it is exactly that of the file.
fn is_same(headers: &HeaderMap, file: &Validators) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else { return true };
    condition == file.tag || date(headers, &IF_RANGE) == Some(file.modified)
}

/// The entity tags of a list. Those of this host have no comma in them.
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    header_tokens(headers, name)
}

/// The date of a field, in seconds since 1970; `None` if there is none, or a broken one, which counts as none.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let time = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// A time as a field has it.
pub(super) fn http_date(seconds: u64) -> Option<HeaderValue> {
    let time: SystemTime = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    // The form has four digits for the year.
    const YEAR_9999: u64 = 253_402_300_799;
    (seconds <= YEAR_9999).then(|| HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn verdict(fields: &[(&'static str, &str)]) -> FileVerdict {
        let fields = fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")));
        let file = Validators { tag: HeaderValue::from_static("\"a\""), modified: 784_111_777 };
        evaluate(&fields.collect(), &file, 100)
    }

    #[test]
    fn conditions_are_evaluated_in_the_order_of_the_rfc() {
        let whole = FileVerdict::Send(FileRange::Whole);
        let part = FileVerdict::Send(FileRange::Part(0..10));
        let range = ("range", "bytes=0-9");
        let cases: [(&[(&'static str, &str)], &FileVerdict); 24] = [
            (&[], &whole),
            (&[("if-match", "\"a\"")], &whole),
            (&[("if-match", "\"b\", \"a\"")], &whole),
            (&[("if-match", "*")], &whole),
            (&[("if-match", "\"b\"")], &FileVerdict::Failed),
            (&[("if-match", "W/\"a\"")], &FileVerdict::Failed),
            (&[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)], &whole),
            (&[("if-unmodified-since", DATE)], &whole),
            (&[("if-unmodified-since", EARLIER)], &FileVerdict::Failed),
            (&[("if-none-match", "\"a\"")], &FileVerdict::NotModified),
            (&[("if-none-match", "\"b\", W/\"a\"")], &FileVerdict::NotModified),
            (&[("if-none-match", "*")], &FileVerdict::NotModified),
            (&[("if-none-match", "\"b\"")], &whole),
            (&[("if-none-match", "\"b\""), ("if-modified-since", LATER)], &whole),
            (&[("if-modified-since", DATE)], &FileVerdict::NotModified),
            (&[("if-modified-since", EARLIER)], &whole),
            (&[("if-modified-since", "yesterday")], &whole),
            (&[range], &part),
            (&[range, ("if-range", "\"a\"")], &part),
            (&[range, ("if-range", DATE)], &part),
            (&[range, ("if-range", LATER)], &whole),
            (&[range, ("if-range", "W/\"a\"")], &whole),
            (&[range, ("if-range", "\"b\"")], &whole),
            (&[range, ("if-none-match", "\"a\"")], &FileVerdict::NotModified),
        ];
        for (fields, expected) in cases {
            assert_eq!(verdict(fields), *expected, "{fields:?}");
        }
        assert_eq!(http_date(784_111_777).expect("a date"), DATE);
        assert_eq!(http_date(u64::MAX), None);
    }
}
