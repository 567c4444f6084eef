//! What a route changes in the header sections of its requests and answers.

use crate::base::{CallContext, RequestId, header_tokens};
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, TRAILER, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields of one header section that are removed, set and added, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// The fields that go.
    pub remove: Vec<HeaderName>,
    /// The fields that have one value, whatever they had.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// The fields that get one value more.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderEdits {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

/// What a route changes in the header sections of its answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerEdits {
    /// The fields that the manifest names.
    pub edits: HeaderEdits,
    /// Whether the fields of [`SECURITY`] are there.
    pub security: bool,
}

/// What tells browsers to be careful with a page, as OWASP advises
/// (<https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html>). A field that the service has sent
/// itself is better than these: it knows its pages.
pub const SECURITY: [(HeaderName, HeaderValue); 5] = [
    // The type is what `Content-Type` says: no text becomes a script.
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // No other site shows the page in a frame. The second one is for browsers that do not know the first.
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'self'")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
    // Other sites learn the host that a link stands at, and not the path.
    (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    // A page of another site that opens this one has no hold of its window.
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

impl AnswerEdits {
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        if self.security {
            for (name, value) in SECURITY {
                headers.entry(name).or_insert(value);
            }
        }
        let varies: Vec<HeaderValue> = headers.get_all(VARY).into_iter().cloned().collect();
        self.edits.apply(headers);
        // What an answer depends on is a fact: a cache that was not told would give one client's answer to another.
        for line in varies {
            let members: Vec<&[u8]> = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect();
            let is_told = |member: &&[u8]| header_tokens(headers, &VARY).any(|told| told.eq_ignore_ascii_case(member));
            if !members.iter().all(is_told) {
                headers.append(VARY, line);
            }
        }
    }
}

/// Why no route may change the field `name` of a request (or of an answer, if `of_answer`); `None`: it may.
pub fn why_fixed(name: &HeaderName, of_answer: bool) -> Option<&'static str> {
    const CONNECTION: &str = "it belongs to one connection, and ends at the gateway";
    const FRAMING: &str = "it says how the content is read: with another value it would be another message";
    const HOST: &str = "the gateway writes it";
    let connection =
        ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "trailer", "expect"];
    let framing = ["content-length", "content-encoding", "content-range"];
    let text = name.as_str();
    let told = text == "forwarded" || text.starts_with("x-forwarded-") || text.starts_with("x-atoll-");
    let own = [CallContext::TIMEOUT_HEADER, CallContext::DEPTH_HEADER];
    if connection.contains(&text)
        || *name == TRAILER
        || text.starts_with("proxy-auth")
        || text.starts_with("sec-websocket-")
    {
        Some(CONNECTION)
    } else if framing.contains(&text) || (text == "host" && !of_answer) {
        Some(FRAMING)
    } else if *name == RequestId::HEADER || own.contains(&text) || (told && !of_answer) {
        Some(HOST)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    #[test]
    fn fields_are_removed_set_and_added_in_this_order() {
        let edits = HeaderEdits {
            remove: vec![HeaderName::from_static("a"), HeaderName::from_static("b")],
            set: vec![pair("b", "1"), pair("c", "2")],
            add: vec![pair("c", "3"), pair("d", "4")],
        };
        let mut found = headers(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("c", "y"), ("d", "x")]);
        edits.apply(&mut found);
        assert_eq!(found, headers(&[("b", "1"), ("c", "2"), ("c", "3"), ("d", "x"), ("d", "4")]));
    }

    #[test]
    fn the_fields_of_security_are_there_unless_the_service_has_its_own() {
        let edits = AnswerEdits { security: true, edits: HeaderEdits::default() };
        let mut found = headers(&[("content-security-policy", "default-src 'self'")]);
        edits.apply(&mut found);
        assert_eq!(found.len(), 5);
        assert_eq!(found["content-security-policy"], "default-src 'self'");
        assert_eq!(found["x-content-type-options"], "nosniff");
    }

    #[test]
    fn what_an_answer_depends_on_stays_said() {
        for (edits, expected) in [
            (HeaderEdits { remove: vec![VARY], ..HeaderEdits::default() }, vec!["Origin, accept-encoding"]),
            (
                HeaderEdits { set: vec![pair("vary", "Cookie")], ..HeaderEdits::default() },
                vec!["Cookie", "Origin, accept-encoding"],
            ),
            (
                HeaderEdits { set: vec![pair("vary", "Accept-Encoding, origin")], ..HeaderEdits::default() },
                vec!["Accept-Encoding, origin"],
            ),
        ] {
            let mut found = headers(&[("vary", "Origin, accept-encoding")]);
            AnswerEdits { security: false, edits }.apply(&mut found);
            assert_eq!(found.get_all(VARY).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn fields_of_the_connection_of_the_framing_and_of_the_host_are_fixed() {
        for name in [
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "proxy-authorization",
            "proxy-authenticate",
            "sec-websocket-key",
            "expect",
            "content-length",
            "content-encoding",
            "content-range",
            "x-request-id",
        ] {
            let name = HeaderName::from_static(name);
            assert!(why_fixed(&name, true).is_some() && why_fixed(&name, false).is_some(), "{name}");
        }
        for name in ["host", "forwarded", "x-forwarded-for", "x-atoll-subject"] {
            let name = HeaderName::from_static(name);
            assert!(why_fixed(&name, true).is_none() && why_fixed(&name, false).is_some(), "{name}");
        }
        for name in ["x-env", "cache-control", "server", "vary", "authorization", "set-cookie"] {
            let name = HeaderName::from_static(name);
            assert!(why_fixed(&name, true).is_none() && why_fixed(&name, false).is_none(), "{name}");
        }
    }
}
