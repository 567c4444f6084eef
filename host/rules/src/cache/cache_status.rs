//! `Cache-Status` (RFC 9211): what the cache did with a request.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;

const FIELD: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went to its service (section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardReason {
    /// No answer for its URI is kept.
    UriMiss,
    /// One is kept for its URI, but for other fields or another key.
    VaryMiss,
    /// The one that is kept is stale.
    Stale,
    /// The client wants a newer one.
    Request,
    /// Its method is none that an answer is kept for.
    Method,
    /// The cache was not asked: for a part of content, for a condition, or since such answers are not kept.
    Bypass,
}

/// One member of the field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the request went to its service; `None`: it did not, it was a hit.
    pub forwarded: Option<ForwardReason>,
    /// The status of the service's answer, where the client got another one.
    pub status: Option<u16>,
    /// How many seconds the answer is still fresh; less than 0: it is stale.
    pub ttl: Option<i64>,
    /// Whether the answer is kept now.
    pub stored: bool,
    /// Whether the request waited for the answer to another one.
    pub collapsed: bool,
    /// What else there is to say: why an answer is not kept, that it stands in for an error.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Adds the member behind those of the caches nearer to the service (section 2).
    pub fn write(&self, headers: &mut HeaderMap) {
        let mut text = String::from("atoll");
        match self.forwarded {
            None => text.push_str("; hit"),
            Some(reason) => {
                text.push_str("; fwd=");
                text.push_str(match reason {
                    ForwardReason::UriMiss => "uri-miss",
                    ForwardReason::VaryMiss => "vary-miss",
                    ForwardReason::Stale => "stale",
                    ForwardReason::Request => "request",
                    ForwardReason::Method => "method",
                    ForwardReason::Bypass => "bypass",
                });
            }
        }
        // Writing into a text cannot fail.
        if let Some(status) = self.status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(detail) = self.detail {
            let _ = write!(text, "; detail={detail}");
        }
        headers.append(FIELD, HeaderValue::try_from(text).expect("words and numbers"));
    }
}
