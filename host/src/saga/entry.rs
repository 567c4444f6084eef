//! The entries of a journal.

use super::definition::{StepDirection, bound};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What has happened to a saga. Each entry is on disk before anything follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JournalEntry {
    /// It was started, at this time, in milliseconds since 1970.
    Started {
        /// When.
        at: u64,
        /// The digest of its definition.
        definition: String,
        /// Its input, as JSON with the names of the contract.
        input: String,
    },
    /// After which numbers of these topics its waits look for their events. Only for a saga that waits for some.
    Following {
        /// The numbers by the names of the topics.
        topics: BTreeMap<String, u64>,
    },
    /// It has its lock from this time on, in milliseconds since 1970.
    Locked {
        /// When.
        at: u64,
    },
    /// A step begins. From here on its action may have been called, so it is undone if the saga turns.
    Begun {
        /// The position of the step.
        step: usize,
        /// When, in milliseconds since 1970.
        at: u64,
    },
    /// The action of a step has returned this, as JSON with the names of the contract.
    Done {
        /// The position of the step.
        step: usize,
        /// Its result; `null` if it has none.
        result: String,
    },
    /// The event has come that a step waits for.
    Received {
        /// The position of the step.
        step: usize,
        /// The number of the event in its topic. Later waits look behind it.
        event: u64,
        /// Its payload, as JSON with the names of the contract: the result of the step.
        result: String,
    },
    /// A try has failed, and may have had an effect.
    Failed {
        /// The position of the step.
        step: usize,
        /// Which of its functions.
        direction: StepDirection,
        /// Why.
        reason: String,
    },
    /// From here on the saga goes backwards.
    Turned {
        /// Why.
        reason: String,
    },
    /// The compensation of a step has succeeded.
    Undone {
        /// The position of the step.
        step: usize,
    },
    /// A person has decided that the saga goes on as if the step were done, or undone.
    Skipped {
        /// The position of the step.
        step: usize,
    },
    /// A person wants the step tried again.
    Resumed {
        /// When, in milliseconds since 1970; 0 in journals of hosts that did not write it.
        at: u64,
    },
}

/// The bytes of an entry are damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the journal is damaged: {0}")]
pub struct DamagedEntry(String);

/// An entry as it is stored. `#[serde(tag)]` would read a result into a tree, and round its numbers.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredEntry {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<bool>,
    /// A reason, or the digest of a definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The input, or a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<BTreeMap<String, u64>>,
}

impl JournalEntry {
    /// The entry of a failed try.
    pub fn failed(step: usize, direction: StepDirection, reason: &str) -> Self {
        Self::Failed { step, direction, reason: shortened(reason) }
    }

    /// The entry of a turn.
    pub fn turned(reason: &str) -> Self {
        Self::Turned { reason: shortened(reason) }
    }

    /// The bytes that are stored: four of a checksum, and JSON. The database trusts the pages of a file that was closed
    /// cleanly, so a bit that flips in one is found here.
    pub fn encode(&self) -> Vec<u8> {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
        let stored = |kind: &str| StoredEntry { kind: kind.to_owned(), ..StoredEntry::default() };
        let entry = match self {
            Self::Started { at, definition, input } => {
                let (text, value) = (Some(definition.clone()), raw(input));
                StoredEntry { at: Some(*at), text, value, ..stored("started") }
            }
            Self::Following { topics } => StoredEntry { topics: Some(topics.clone()), ..stored("following") },
            Self::Locked { at } => StoredEntry { at: Some(*at), ..stored("locked") },
            Self::Received { step, event, result } => {
                StoredEntry { step: Some(*step), at: Some(*event), value: raw(result), ..stored("received") }
            }
            Self::Begun { step, at } => StoredEntry { step: Some(*step), at: Some(*at), ..stored("begun") },
            Self::Done { step, result } => StoredEntry { step: Some(*step), value: raw(result), ..stored("done") },
            Self::Failed { step, direction, reason } => {
                let undo = Some(*direction == StepDirection::Undo);
                StoredEntry { step: Some(*step), undo, text: Some(reason.clone()), ..stored("failed") }
            }
            Self::Turned { reason } => StoredEntry { text: Some(reason.clone()), ..stored("turned") },
            Self::Undone { step } => StoredEntry { step: Some(*step), ..stored("undone") },
            Self::Skipped { step } => StoredEntry { step: Some(*step), ..stored("skipped") },
            Self::Resumed { at } => StoredEntry { at: Some(*at), ..stored("resumed") },
        };
        let json = serde_json::to_vec(&entry).expect("texts, numbers and JSON are JSON");
        [&checksum(&json)[..], &json].concat()
    }

    /// The entry of these bytes.
    ///
    /// # Errors
    /// They are not those of [`JournalEntry::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DamagedEntry> {
        let damaged = |why: &str| DamagedEntry(why.to_owned());
        let (sum, json) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
        if *sum != checksum(json) {
            return Err(damaged("its checksum is wrong"));
        }
        let stored: StoredEntry = serde_json::from_slice(json).map_err(|error| DamagedEntry(error.to_string()))?;
        let StoredEntry { kind, step, at, undo, text, value, topics } = stored;
        let value = value.map(|value| value.get().to_owned());
        // JSON's null is an absent value to serde.
        let result = value.clone().unwrap_or_else(|| "null".to_owned());
        let entry = match (kind.as_str(), step, at, undo, text) {
            ("started", None, Some(at), None, Some(definition)) => Self::Started { at, definition, input: result },
            ("following", None, None, None, None) => Self::Following { topics: topics.unwrap_or_default() },
            ("locked", None, Some(at), None, None) => Self::Locked { at },
            ("received", Some(step), Some(event), None, None) => Self::Received { step, event, result },
            ("begun", Some(step), Some(at), None, None) => Self::Begun { step, at },
            ("done", Some(step), None, None, None) => Self::Done { step, result },
            ("failed", Some(step), None, Some(undo), Some(reason)) => {
                Self::Failed { step, direction: if undo { StepDirection::Undo } else { StepDirection::Action }, reason }
            }
            ("turned", None, None, None, Some(reason)) => Self::Turned { reason },
            ("undone", Some(step), None, None, None) => Self::Undone { step },
            ("skipped", Some(step), None, None, None) => Self::Skipped { step },
            ("resumed", None, at, None, None) => Self::Resumed { at: at.unwrap_or_default() },
            _ => return Err(damaged("it is no entry")),
        };
        Ok(entry)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    // FNV-1a (Fowler, Noll, Vo): it finds every flipped bit, and needs no key.
    let sum = bytes.iter().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    sum.to_be_bytes()
}

fn shortened(reason: &str) -> String {
    let end = (0..=bound::REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    reason[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> [JournalEntry; 12] {
        [
            JournalEntry::Started { at: 7, definition: "d".into(), input: r#"{"a": 9007199254740993}"#.into() },
            JournalEntry::Following { topics: BTreeMap::from([("payments.settled".into(), 41)]) },
            JournalEntry::Locked { at: 8 },
            JournalEntry::Begun { step: 1, at: 8 },
            JournalEntry::Done { step: 1, result: "[1, 2]".into() },
            JournalEntry::Done { step: 2, result: "null".into() },
            JournalEntry::Received { step: 2, event: 42, result: r#"{"a": 9007199254740993}"#.into() },
            JournalEntry::failed(1, StepDirection::Undo, "a \"reason\""),
            JournalEntry::turned("late"),
            JournalEntry::Undone { step: 0 },
            JournalEntry::Skipped { step: 3 },
            JournalEntry::Resumed { at: 9 },
        ]
    }

    #[test]
    fn a_resumption_of_an_earlier_host_has_no_time() {
        let json = br#"{"kind":"resumed"}"#;
        let bytes = [&checksum(json)[..], json].concat();
        assert_eq!(JournalEntry::decode(&bytes), Ok(JournalEntry::Resumed { at: 0 }));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for entry in every_kind() {
            assert_eq!(JournalEntry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        for entry in every_kind() {
            let bytes = entry.encode();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(JournalEntry::decode(&flipped).is_err(), "{entry:?}, bit {bit}");
            }
            for end in 0..bytes.len() {
                assert!(JournalEntry::decode(&bytes[..end]).is_err(), "{entry:?}, cut at {end}");
            }
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let JournalEntry::Turned { reason } = JournalEntry::turned(&"é".repeat(400)) else { panic!("a turn") };
        assert_eq!(reason.len(), bound::REASON);
        let JournalEntry::Turned { reason } = JournalEntry::turned(&format!("x{}", "é".repeat(400))) else {
            panic!("a turn")
        };
        assert_eq!(reason.len(), bound::REASON - 1);
    }
}
