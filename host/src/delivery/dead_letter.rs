//! An event that was given up, with its history.

use crate::events::{DamagedRecord, EventRecord};
use serde::{Deserialize, Serialize};

/// The most failed tries that a history keeps: the latest ones.
const KEPT: usize = 20;
/// The longest reason of a failed try, in bytes.
const LONGEST: usize = 500;

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTry {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Why, for the operator. It may have what the function answered.
    pub reason: String,
}

/// The failed tries of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailureHistory {
    /// How many there were.
    pub(super) tries: u32,
    /// The latest ones.
    pub(super) latest: Vec<FailedTry>,
}

impl FailureHistory {
    /// One more.
    pub(super) fn add(&mut self, at: u64, reason: &str) {
        let end = (0..=LONGEST.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        self.tries = self.tries.saturating_add(1);
        if self.latest.len() == KEPT {
            self.latest.remove(0);
        }
        self.latest.push(FailedTry { at, reason: reason[..end].to_owned() });
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// An event that a subscription has given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number in the topic.
    pub number: u64,
    /// How often it was tried.
    pub tries: u32,
    /// The latest failed tries.
    pub latest: Vec<FailedTry>,
    /// The event, if its bytes are those that were written.
    pub record: Result<EventRecord, DamagedRecord>,
}

impl DeadLetter {
    /// The bytes of a dead letter: the length of its history, the history, and the record as it was written.
    pub(super) fn encode(history: &FailureHistory, record: &[u8]) -> Vec<u8> {
        let history = history.encode();
        let length = u32::try_from(history.len()).expect("a history is bounded");
        [&length.to_be_bytes()[..], &history, record].concat()
    }

    /// The dead letter `number` of these bytes. Where they are damaged, so is its record.
    pub(super) fn decode(number: u64, bytes: &[u8]) -> Self {
        let split = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            rest.split_at_checked(length)
        });
        let (history, record) = split.unwrap_or_default();
        let FailureHistory { tries, latest } = FailureHistory::decode(history).unwrap_or_default();
        Self { number, tries, latest, record: EventRecord::decode(record) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_keeps_its_event_and_the_latest_of_its_history() {
        let mut history = FailureHistory::default();
        for at in 0..25 {
            history.add(at, &"é".repeat(300));
        }
        let event =
            EventRecord { time: 1, source: "orders".into(), key: Some("k".into()), payload: "{}".into(), trace: None };
        let bytes = DeadLetter::encode(&history, &event.encode());
        let read = DeadLetter::decode(7, &bytes);
        assert_eq!((read.number, read.tries, read.latest.len(), read.latest[0].at), (7, 25, KEPT, 5));
        assert_eq!((read.latest[0].reason.len(), read.record), (LONGEST, Ok(event)));
        for damaged in [&bytes[..3], &bytes[..40], &bytes[..bytes.len() - 1]] {
            assert_eq!(DeadLetter::decode(7, damaged).record, Err(DamagedRecord));
        }
    }
}
