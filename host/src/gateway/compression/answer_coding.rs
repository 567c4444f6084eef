//! The coding of one answer.

use super::compressed_body::CompressedBody;
use crate::base::{Body, header_tokens};
use crate::coding::{ContentCoding, is_compressible};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

/// A shorter content is not compressed: it fits into one packet anyway.
const LEAST: u64 = 1 << 10;

/// Digests and signatures over the bytes as they are sent, or over fields that compression changes (RFC 9530, RFC 9421;
/// `Digest` and `Content-MD5` are older). What has one of them stays as it is.
const SEALS: [HeaderName; 6] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
];

/// The coding of one answer, as its client wants it.
pub(in crate::gateway) struct AnswerCoding {
    /// `None`: the client takes none.
    pub(super) coding: Option<ContentCoding>,
    /// Whether the answer has no content, though the fields of one.
    pub(super) is_head: bool,
    /// The entity tags that the client knows: the lines of `If-None-Match`.
    pub(super) known: Vec<HeaderValue>,
}

impl AnswerCoding {
    /// Compresses `answer` if the client takes a coding and it is worth it.
    pub(in crate::gateway) fn apply(self, mut answer: Response<Body>) -> Response<Body> {
        if answer.status() == StatusCode::NOT_MODIFIED {
            // Nothing tells here whether the content would have been compressed. A cache that has it compressed has it
            // with this field, and needs the field again (RFC 9110, section 15.4.5).
            add_vary(answer.headers_mut());
            self.weaken_known_tag(answer.headers_mut());
            return answer;
        }
        if !self.may_be_compressed(&answer) {
            return answer;
        }
        // Also where this client takes no coding: another one does, and gets other bytes.
        add_vary(answer.headers_mut());
        let Some(coding) = self.coding else { return answer };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        headers.remove(CONTENT_LENGTH);
        // The service's ranges are of the bytes before the compression.
        headers.remove(ACCEPT_RANGES);
        if let Some(tag) = headers.get(ETAG).and_then(weakened) {
            headers.insert(ETAG, tag);
        }
        if self.is_head { answer } else { answer.map(|body| CompressedBody::new(body, coding).boxed_unsync()) }
    }

    /// Whether an answer is compressed for a client that takes a coding.
    fn may_be_compressed(&self, answer: &Response<Body>) -> bool {
        let (status, headers) = (answer.status(), answer.headers());
        let without_content = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT);
        if without_content || headers.contains_key(CONTENT_RANGE) {
            return false;
        }
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = announced.or_else(|| if self.is_head { None } else { answer.body().size_hint().exact() });
        let is_text = headers.get(CONTENT_TYPE).is_some_and(|content_type| is_compressible(content_type.as_bytes()));
        is_text
            && length.is_none_or(|length: u64| length >= LEAST)
            && header_tokens(headers, &CONTENT_ENCODING).all(|coding| coding.eq_ignore_ascii_case(b"identity"))
            && !header_tokens(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
            && !SEALS.iter().any(|seal| headers.contains_key(seal))
    }

    /// Makes the tag of a 304 the weak one that the client has, if it has that: the content that it keeps was
    /// compressed here. With the strong tag of the service a cache would not find what the answer is about (RFC 9111,
    /// section 4.3.4).
    fn weaken_known_tag(&self, headers: &mut HeaderMap) {
        let Some(weak) = headers.get(ETAG).and_then(weakened) else { return };
        let knows = |line: &HeaderValue| line.as_bytes().windows(weak.len()).any(|part| part == weak.as_bytes());
        if self.known.iter().any(knows) {
            headers.insert(ETAG, weak);
        }
    }
}

/// The weak form of a strong entity tag: the compressed bytes are other ones at each version of an encoder. `None` for
/// one that is weak already, or no tag.
fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let strong = tag.as_bytes().starts_with(b"\"").then_some(tag.as_bytes())?;
    HeaderValue::from_bytes(&[b"W/", strong].concat()).ok()
}

/// Says that the content depends on `Accept-Encoding`.
pub(super) fn add_vary(headers: &mut HeaderMap) {
    let is_said = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding");
    if !header_tokens(headers, &VARY).any(is_said) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}
