//! What an answer brings back from another node: the service's own answer, or why there is none.

use super::call_head::{strip, text};
use crate::base::{Blame, ErrorKind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Whether the service answered: `answered`, or the kind of its failure. Each answer of a node has it, and nothing else
/// that speaks HTTP does.
const OUTCOME: HeaderName = HeaderName::from_static("atoll-peer-outcome");
const ANSWERED: &str = "answered";
const DETAIL: HeaderName = HeaderName::from_static("atoll-peer-detail");
/// When another call may succeed, in milliseconds.
const RETRY_AFTER: HeaderName = HeaderName::from_static("atoll-peer-retry-after");
/// Whether a call of the service's own has failed.
const DEPENDENCY: HeaderName = HeaderName::from_static("atoll-peer-dependency");
/// Of a failure: `no` if the service has not begun the call. Without it the service may have.
const BEGUN: HeaderName = HeaderName::from_static("atoll-peer-begun");
const NOT_BEGUN: &str = "no";

/// The most bytes of a failure's detail that cross.
const LONGEST: usize = 2048;

/// Why the other node's service has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFailure {
    /// What happened there.
    pub kind: ErrorKind,
    /// For the log, in the words of the other node.
    pub detail: String,
    /// When another call may succeed, where that is known.
    pub retry_after: Option<Duration>,
    /// Whether the service may have begun the call: the other node does not know that it has not.
    pub is_begun: bool,
}

/// What an answer says of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAnswer {
    /// Why there is no answer of the service; `None`: the rest of the message is its answer.
    pub failure: Option<PeerFailure>,
    /// Whether a call of the service's own has failed. Then a failure need not be its fault.
    pub dependency_failed: bool,
}

impl PeerAnswer {
    /// Writes it into the head of an answer. Fields that only a node writes, and that the service put there, are
    /// removed first.
    pub fn write(&self, headers: &mut HeaderMap) {
        strip(headers);
        let outcome = self.failure.as_ref().map_or(ANSWERED, |failure| failure.kind.as_str());
        headers.insert(OUTCOME, HeaderValue::from_static(outcome));
        if self.dependency_failed {
            headers.insert(DEPENDENCY, HeaderValue::from_static("failed"));
        }
        let Some(PeerFailure { detail, retry_after, is_begun, .. }) = &self.failure else { return };
        if !is_begun {
            headers.insert(BEGUN, HeaderValue::from_static(NOT_BEGUN));
        }
        let detail = &detail[..detail.floor_char_boundary(LONGEST)];
        let detail = HeaderValue::try_from(URL_SAFE_NO_PAD.encode(detail)).expect("Base64 is visible ASCII");
        headers.insert(DETAIL, detail);
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
        }
    }

    /// Takes it out of the head of an answer; `None` if no node wrote that.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let failure = match text(headers, &OUTCOME)? {
            ANSWERED => None,
            kind => {
                let detail = text(headers, &DETAIL).and_then(|detail| URL_SAFE_NO_PAD.decode(detail).ok());
                let detail = String::from_utf8_lossy(&detail.unwrap_or_default()).into_owned();
                let after = text(headers, &RETRY_AFTER).and_then(|after| after.parse().ok());
                // A kind that only a later version knows is a failure all the same.
                let kind = ErrorKind::named(kind).unwrap_or(ErrorKind::Host);
                let is_begun = text(headers, &BEGUN) != Some(NOT_BEGUN);
                Some(PeerFailure { kind, detail, retry_after: after.map(Duration::from_millis), is_begun })
            }
        };
        let dependency_failed = headers.contains_key(DEPENDENCY);
        strip(headers);
        Some(Self { failure, dependency_failed })
    }
}

impl PeerFailure {
    /// Whether another node may get the call: this one's service has not begun it, and the reason is the node's. A call
    /// that is too deep, or whose caller lacks a scope, is so everywhere.
    pub fn may_go_elsewhere(&self) -> bool {
        !self.is_begun && self.kind.blame() == Blame::Refusal && self.kind != ErrorKind::TooDeep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_on_the_other_side_what_it_said_here() {
        let failure = |kind, detail: &str, after: Option<u64>| PeerFailure {
            kind,
            detail: detail.into(),
            retry_after: after.map(Duration::from_millis),
            is_begun: kind != ErrorKind::Starting,
        };
        let answers = [
            PeerAnswer { failure: None, dependency_failed: false },
            PeerAnswer { failure: None, dependency_failed: true },
            PeerAnswer { failure: Some(failure(ErrorKind::Trap, "näïve\nlines", None)), dependency_failed: true },
            PeerAnswer { failure: Some(failure(ErrorKind::Starting, "", Some(2000))), dependency_failed: false },
        ];
        for answer in answers {
            let mut headers = HeaderMap::new();
            headers.insert("atoll-peer-dependency", HeaderValue::from_static("the service wrote this"));
            headers.insert("x", HeaderValue::from_static("1"));
            answer.write(&mut headers);
            assert_eq!(PeerAnswer::take(&mut headers), Some(answer));
            assert_eq!(headers.len(), 1, "the service's own fields are left");
        }
    }

    #[test]
    fn what_no_node_wrote_is_no_answer() {
        let mut headers = HeaderMap::new();
        assert_eq!(PeerAnswer::take(&mut headers), None);
        headers.insert(OUTCOME, HeaderValue::from_static("a-kind-of-later"));
        let later = PeerAnswer::take(&mut headers).unwrap();
        assert_eq!(later.failure.map(|failure| failure.kind), Some(ErrorKind::Host));
    }

    #[test]
    fn a_call_goes_elsewhere_only_if_the_other_node_says_that_it_was_not_begun() {
        let told = |kind, is_begun| {
            let failure = PeerFailure { kind, detail: String::new(), retry_after: None, is_begun };
            let mut headers = HeaderMap::new();
            PeerAnswer { failure: Some(failure), dependency_failed: false }.write(&mut headers);
            PeerAnswer::take(&mut headers).unwrap().failure.unwrap().may_go_elsewhere()
        };
        // The pool's timeout of a call that has run is `overloaded` too.
        assert!(!told(ErrorKind::Overloaded, true));
        assert!(told(ErrorKind::Overloaded, false));
        for everywhere in [ErrorKind::TooDeep, ErrorKind::Forbidden, ErrorKind::BodyTooLarge] {
            assert!(!told(everywhere, false), "{everywhere}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(OUTCOME, HeaderValue::from_static("overloaded"));
        assert!(!PeerAnswer::take(&mut headers).unwrap().failure.unwrap().may_go_elsewhere(), "it does not say");
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let detail = "ä".repeat(LONGEST);
        let (kind, detail) = (ErrorKind::Trap, format!("x{detail}"));
        let failure = PeerFailure { kind, detail, retry_after: None, is_begun: true };
        let mut headers = HeaderMap::new();
        PeerAnswer { failure: Some(failure), dependency_failed: false }.write(&mut headers);
        let read = PeerAnswer::take(&mut headers).unwrap().failure.unwrap().detail;
        assert!(read.len() < LONGEST && read.ends_with('ä'), "{}", read.len());
    }
}
