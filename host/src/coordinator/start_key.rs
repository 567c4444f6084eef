//! The key with which a start can be repeated, and the id of the saga that it stands for.

use super::error::SagaError;
use crate::base::{Digest, hex};
use crate::events::EventRecord;
use ring::hmac;

/// The longest key of a start, in bytes.
const LONGEST_KEY: usize = 200;
/// The digits of an id: 128 bits, which nobody guesses.
const ID_DIGITS: usize = 32;

/// Who starts a saga. Two starters who take the same key start two sagas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SagaStarter<'a> {
    /// An operator.
    Operator,
    /// A caller whom a policy has proved. The subjects of two policies are two callers, even if they have one name.
    Caller {
        /// The policy.
        policy: &'a str,
        /// The subject.
        subject: &'a str,
    },
    /// Whoever calls a route without policies. All of these are one, for nothing tells them apart.
    Anybody,
}

/// Makes ids of keys. The id is what reads a saga from outside, so nobody may make it who knows the key alone, or
/// guesses it: it is a keyed hash, by a secret of this host's database.
pub(super) struct SagaIds(hmac::Key);

impl SagaIds {
    /// By this secret.
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The id of the saga `saga` that `starter` starts with `key`.
    ///
    /// # Errors
    /// The key is none.
    pub(super) fn of(&self, saga: &str, starter: SagaStarter<'_>, key: &str) -> Result<String, SagaError> {
        if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SagaError::Input(format!("the key must be 1 to {LONGEST_KEY} visible ASCII characters")));
        }
        let (kind, policy, subject) = match starter {
            SagaStarter::Operator => ("operator", "", ""),
            SagaStarter::Caller { policy, subject } => ("caller", policy, subject),
            SagaStarter::Anybody => ("anybody", "", ""),
        };
        Ok(self.digits(&[kind, policy, subject, saga, key]))
    }

    /// The id of the saga `saga` that an event begins. A broker that has lost the end of its log gives a number twice,
    /// so the event itself is part of it.
    pub(super) fn of_event(&self, saga: &str, topic: &str, number: u64, event: &EventRecord) -> String {
        let digest = Digest::of(&event.encode()).to_string();
        self.digits(&["event", topic, &number.to_string(), saga, &digest])
    }

    fn digits(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            // The length first, so that no two lists of parts are one text.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hex(context.sign().as_ref())[..ID_DIGITS].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_that_of_its_host_its_starter_and_its_saga() {
        let ids = SagaIds::new(b"one");
        let caller = |policy, subject| SagaStarter::Caller { policy, subject };
        let ada = ids.of("a", caller("staff", "ada"), "1").unwrap();
        assert_eq!(ada, ids.of("a", caller("staff", "ada"), "1").unwrap());
        assert!(ada.len() == 32 && ada.bytes().all(|digit| digit.is_ascii_hexdigit()), "{ada}");
        let others = [
            ids.of("b", caller("staff", "ada"), "1"),
            ids.of("a", caller("staff", "bob"), "1"),
            ids.of("a", caller("partner", "ada"), "1"),
            ids.of("a", caller("staffa", "da"), "1"),
            ids.of("a", caller("staff", "ada"), "2"),
            ids.of("a", SagaStarter::Anybody, "1"),
            ids.of("a", SagaStarter::Operator, "1"),
            SagaIds::new(b"other").of("a", caller("staff", "ada"), "1"),
        ];
        let mut all: Vec<_> = others.into_iter().map(Result::unwrap).chain([ada]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 9, "{all:?}");
    }

    #[test]
    fn the_id_of_an_event_is_that_of_its_topic_its_number_and_its_bytes() {
        let ids = SagaIds::new(b"one");
        let event = |payload: &str| EventRecord {
            time: 7,
            source: "orders".into(),
            key: None,
            payload: payload.into(),
            trace: None,
        };
        let first = ids.of_event("a", "t", 1, &event("1"));
        assert_eq!(first, ids.of_event("a", "t", 1, &event("1")));
        for other in [
            ids.of_event("b", "t", 1, &event("1")),
            ids.of_event("a", "u", 1, &event("1")),
            ids.of_event("a", "t", 2, &event("1")),
            ids.of_event("a", "t", 1, &event("2")),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_key_is_visible_ascii_of_a_bounded_length() {
        for wrong in ["", "a b", "é", &"x".repeat(201)] {
            assert!(SagaIds::new(b"").of("a", SagaStarter::Anybody, wrong).is_err(), "{wrong:?}");
        }
    }
}
