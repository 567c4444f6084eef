//! How the answers of a route are compressed.

use super::answer_coding::AnswerCoding;
use crate::coding::{AcceptEncoding, ContentCoding};
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method};

/// How the answers of a route are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerCompression {
    codings: Vec<ContentCoding>,
}

impl AnswerCompression {
    /// By one of these codings. Of those that a client likes equally well, the first is taken.
    pub fn new(codings: Vec<ContentCoding>) -> Self {
        Self { codings }
    }

    /// What the answer to the request with this head is compressed by.
    pub(in crate::gateway) fn negotiate(&self, head: &Parts) -> AnswerCoding {
        let lines = head.headers.get_all(ACCEPT_ENCODING).into_iter().map(HeaderValue::as_bytes);
        AnswerCoding {
            coding: AcceptEncoding::parse(lines).choose(self.codings.iter().copied()),
            is_head: head.method == Method::HEAD,
            known: head.headers.get_all(IF_NONE_MATCH).into_iter().cloned().collect(),
        }
    }
}
