//! The framing of an answer ends at this hop.

use crate::base::{header_tokens, remove_hop_by_hop};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, Version};

/// Takes the version and the framing of one hop off an answer. The next hop gets its own.
///
/// # Errors
/// The answer has a transfer coding that is not decoded here.
pub(super) fn end<B>(answer: &mut Response<B>) -> Result<(), String> {
    // An intermediary sends its own version (RFC 9110, section 6.2). With that of an HTTP/1.0 server the next hop would
    // get no chunks, and could not tell a broken answer from a whole one.
    *answer.version_mut() = Version::HTTP_11;
    let headers = answer.headers_mut();
    if headers.contains_key(TRANSFER_ENCODING) {
        // hyper decodes one `chunked`, at the end of the list. With any other coding the body stays encoded, and must
        // not lose the name of its coding (RFC 9112, section 6.1).
        let codings: Vec<&[u8]> = header_tokens(headers, &TRANSFER_ENCODING).collect();
        if !matches!(codings[..], [coding] if coding.eq_ignore_ascii_case(b"chunked")) {
            let codings = codings.join(&b", "[..]);
            let codings = codings.escape_ascii();
            return Err(format!("its transfer coding is `{codings}`, and only `chunked` is decoded"));
        }
        // It does not count beside `Transfer-Encoding`, and would cut the decoded body (RFC 9112, section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    Ok(())
}
