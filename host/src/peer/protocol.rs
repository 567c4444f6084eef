//! The versions of the wire between nodes, and in which one another node is called.
//!
//! During a rolling upgrade nodes of two builds call each other. A node understands a range of versions, and says in
//! each answer which is its newest; one of the first version says nothing. So a call begins in the oldest version,
//! which both understand, and those after the first answer go in the newest that both do.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Of an answer: the newest version that the node understands.
const SPEAKS: HeaderName = HeaderName::from_static("atoll-peer-speaks");

/// A version of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerProtocol(u8);

impl PeerProtocol {
    /// The oldest version that this build understands.
    pub const OLDEST: Self = Self(1);
    /// The version that has what is left, the depth and the request in one field.
    pub(super) const JOINED: Self = Self(2);
    /// The newest version that this build understands.
    pub const NEWEST: Self = Self::JOINED;

    /// The version with this number; `None`: this build does not understand it.
    pub fn new(number: u8) -> Option<Self> {
        (Self::OLDEST.0..=Self::NEWEST.0).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The version of a field's text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).and_then(Self::new)
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from(u16::from(self.0))
    }

    /// Says in an answer that this is the newest version here. The first one was never said.
    pub fn tell(self, headers: &mut HeaderMap) {
        if self > Self(1) {
            headers.insert(SPEAKS, self.header());
        }
    }
}

impl fmt::Display for PeerProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In which version one other node is called.
#[derive(Debug)]
pub(super) struct SpokenProtocol {
    newest: PeerProtocol,
    now: AtomicU8,
}

impl SpokenProtocol {
    /// Nothing was heard of it yet. This node speaks `newest` at most.
    pub(super) fn up_to(newest: PeerProtocol) -> Self {
        Self { newest, now: AtomicU8::new(PeerProtocol::OLDEST.0) }
    }

    pub(super) fn now(&self) -> PeerProtocol {
        PeerProtocol(self.now.load(Relaxed))
    }

    /// What an answer of the node says counts for the calls after it.
    pub(super) fn hear(&self, answer: &HeaderMap) {
        let theirs = answer.get(&SPEAKS).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(1);
        let both = self.newest.0.min(theirs).max(PeerProtocol::OLDEST.0);
        if both != self.now.load(Relaxed) {
            self.now.store(both, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_speak_the_newest_version_that_both_understand() {
        for (own, theirs, both) in [(2, Some("2"), 2), (2, Some("9"), 2), (2, None, 1), (1, Some("2"), 1)] {
            let spoken = SpokenProtocol::up_to(PeerProtocol::new(own).unwrap());
            assert_eq!(spoken.now(), PeerProtocol::OLDEST, "nothing was heard yet");
            let mut answer = HeaderMap::new();
            if let Some(theirs) = theirs {
                answer.insert(SPEAKS, HeaderValue::from_static(theirs));
            }
            spoken.hear(&answer);
            assert_eq!(spoken.now().number(), both, "{own} and {theirs:?}");
            // It has started again, as an older build.
            spoken.hear(&HeaderMap::new());
            assert_eq!(spoken.now(), PeerProtocol::OLDEST);
        }
        let mut told = HeaderMap::new();
        PeerProtocol::OLDEST.tell(&mut told);
        assert!(told.is_empty(), "the first builds said nothing");
        PeerProtocol::NEWEST.tell(&mut told);
        assert_eq!(told.len(), 1);
        for wrong in ["", "0", "3", "+1", "1.0", "99999"] {
            assert_eq!(PeerProtocol::parse(wrong), None, "{wrong}");
        }
    }
}
