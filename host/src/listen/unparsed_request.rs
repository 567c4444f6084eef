//! What arrived on a connection and could not be parsed as a request.

use super::peer::Peer;
use crate::base::RequestId;
use hyper::Error;

/// What arrived on a connection, could not be parsed as a request, and was answered here, by hyper or by h2.
#[derive(Debug, Clone)]
pub struct UnparsedRequest {
    /// Who sent it.
    pub peer: Peer,
    /// The status of the answer: 400, 408, 414 or 431.
    pub status: u16,
    /// The reason: `malformed`, `slow-headers`, `target-too-long` or `headers-too-large`.
    pub kind: &'static str,
    /// The id in the answer. The answers of hyper and h2 have none.
    pub request_id: Option<RequestId>,
}

/// Is told of each, and must not block.
pub(super) type UnparsedRequestObserver = dyn Fn(UnparsedRequest) + Send + Sync;

impl UnparsedRequest {
    /// A header list beyond h2's bound, which it has answered with 431.
    pub(super) fn of_h2(peer: Peer) -> Self {
        Self { peer, status: 431, kind: "headers-too-large", request_id: None }
    }

    /// What hyper answered by itself before it gave up the connection with this error; `None` if it answered nothing.
    pub(super) fn of_parser(peer: Peer, error: &Error) -> Option<Self> {
        // A preface of HTTP/2 gets no answer in HTTP/1.1.
        if !error.is_parse() || error.is_parse_version_h2() {
            return None;
        }
        // hyper 1.12 has one predicate for both, and tells them apart only in its text.
        let (status, kind) = match error.is_parse_too_large() {
            true if error.to_string().contains("URI") => (414, "target-too-long"),
            true => (431, "headers-too-large"),
            false => (400, "malformed"),
        };
        Some(Self { peer, status, kind, request_id: None })
    }
}
