//! What one revision has written, laid over what another one read: would it read the new form, too?

use super::blob::Blob;
use super::exchange::{RecordedExchange, RecordedQuestion, RecordedReply};
use super::recording::Recording;
use std::collections::BTreeMap;

/// The most keys that are kept: those that were written first.
const MOST_KEYS: usize = 4096;

/// The last value that a revision has written under each key, by its recorded calls.
#[derive(Debug, Default)]
pub struct WrittenOverlay {
    /// With its version; `None`: the key was removed.
    values: BTreeMap<Blob, Option<(Blob, u64)>>,
}

impl WrittenOverlay {
    /// What the recorded calls of `revision` have written. `recordings`: of one service, the first one first.
    pub fn of<'a>(recordings: impl Iterator<Item = &'a Recording>, revision: &str) -> Self {
        let mut overlay = Self::default();
        let own = recordings.filter(|recording| recording.revision == revision);
        for RecordedExchange { question, answer, .. } in own.flat_map(|recording| &recording.exchanges) {
            let (RecordedQuestion::Commit(commit), Some(RecordedReply::Change { version, sums })) = (question, answer)
            else {
                continue;
            };
            // The host's own counters have the host's form, and the recording does not have their values.
            if !sums.is_empty() {
                continue;
            }
            for (key, value) in &commit.writes {
                if overlay.values.len() < MOST_KEYS || overlay.values.contains_key(key) {
                    overlay.values.insert(key.clone(), value.clone().map(|value| (value, *version)));
                }
            }
        }
        overlay
    }

    /// How many keys have a value.
    pub fn keys(&self) -> usize {
        self.values.values().flatten().count()
    }

    /// Whether it has a value for `key`.
    pub fn has(&self, key: &Blob) -> bool {
        self.values.get(key).is_some_and(Option::is_some)
    }

    /// The recording as if the call had read what was written; `None` if it reads none of the keys that have a value.
    pub fn laid_over(&self, recording: &Recording) -> Option<Recording> {
        let mut laid = recording.clone();
        let mut touched = false;
        for RecordedExchange { question, answer, .. } in &mut laid.exchanges {
            match (question, answer) {
                (RecordedQuestion::Get { keys }, Some(RecordedReply::Values(values))) => {
                    for (key, value) in keys.iter().zip(values) {
                        if let Some(written) = self.values.get(key) {
                            touched |= written.is_some();
                            value.clone_from(written);
                        }
                    }
                }
                // 0: keys alone, whose values are not there.
                (RecordedQuestion::Scan { limit: 1.., .. }, Some(RecordedReply::Page { entries, .. })) => {
                    entries.retain_mut(|(key, value, version)| match self.values.get(key) {
                        Some(Some((written, at))) => {
                            touched = true;
                            (*value, *version) = (written.clone(), *at);
                            true
                        }
                        Some(None) => false,
                        None => true,
                    });
                }
                _ => {}
            }
        }
        touched.then_some(laid)
    }
}
