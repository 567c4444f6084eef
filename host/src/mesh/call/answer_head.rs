//! Whether an answer's head is valid. An invalid answer is a failure, like no answer.

use crate::base::Body;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;

/// Checks the head of an answer. `unread`: nobody reads its content, as with HEAD.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn check(answer: &Response<Body>, unread: bool) -> Result<(), &'static str> {
    let status = answer.status();
    let switched = status == StatusCode::SWITCHING_PROTOCOLS && answer.extensions().get::<OnUpgrade>().is_some();
    if status.is_informational() && !switched {
        return Err("an informational status cannot be the last, and no upgrade was asked for");
    }
    let without_body = unread || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let Some(length) = content_length(answer.headers())? else { return Ok(()) };
    let body = answer.body();
    let actual = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    match actual {
        // The client would read the rest of the body as the next answer on the connection.
        Some(actual) if actual != length && !without_body => Err("its Content-Length is not the length of its body"),
        // A body of unknown length is counted on its way out, and broken off if it is too short.
        _ => Ok(()),
    }
}

/// The one `Content-Length`, if there is one.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok()).map(Some).ok_or("its Content-Length is not a number")
        }
        (Some(_), Some(_)) => Err("it has two Content-Lengths"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::full_body;

    #[test]
    fn a_final_1xx_and_a_wrong_content_length_are_refused() {
        let answer = |status: u16, lengths: &[&str], body: &'static str| {
            let mut builder = Response::builder().status(status);
            for length in lengths {
                builder = builder.header(CONTENT_LENGTH, *length);
            }
            builder.body(full_body(body)).expect("an answer")
        };
        let bad = [
            answer(101, &[], ""),
            answer(103, &[], ""),
            answer(200, &["5"], "1234"),
            answer(200, &["5"], ""),
            answer(200, &["+4"], "1234"),
            answer(200, &["4", "4"], "1234"),
        ];
        for answer in bad {
            assert!(check(&answer, false).is_err(), "{answer:?}");
        }
        assert_eq!(check(&answer(200, &["4"], "1234"), false), Ok(()));
        assert_eq!(check(&answer(200, &["4"], ""), true), Ok(()), "HEAD has a length without a body");
    }
}
