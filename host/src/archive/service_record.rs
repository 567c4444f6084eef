//! The record of one service.

use super::history_entry::HistoryEntry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is known of the revisions of one service. One file holds it whole, so that no crash leaves a half of a change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceRecord {
    /// What serves in place of the manifest's component.
    pub promoted: Option<Promotion>,
    /// The rollout under way.
    pub open: Option<OpenRollout>,
    /// Those that have ended, the oldest first.
    pub entries: Vec<HistoryEntry>,
    /// The number of the last rollout.
    pub last_id: u64,
}

/// A component that was promoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its digest.
    pub digest: String,
    /// The digest of the manifest's component at that time. A manifest that names another one later is newer, and wins.
    pub manifest: String,
}

/// A rollout under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRollout {
    /// Its number.
    pub id: u64,
    /// The digest of the component.
    pub digest: String,
    /// Who ordered it.
    pub who: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// The step that it has reached, from 0; `None`: no call has gone to it.
    pub step: Option<usize>,
    /// Whether it is compared in the shadow, before its first step.
    #[serde(default)]
    pub in_shadow: bool,
    /// The evidence of each signal, as the judge keeps it.
    pub evidence: [[f64; 7]; 4],
    /// How it goes on.
    pub plan: RecordedPlan,
}

/// A plan as the record has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedPlan {
    /// The shares of the steps, in percent.
    pub shares: Vec<u8>,
    /// How long a step lasts at least, in milliseconds.
    pub step_ms: u64,
    /// How many calls a step has at least.
    pub calls: u64,
    /// The share of failed calls that is permitted; 0: any.
    pub max_errors: f64,
    /// After how many milliseconds a step with too few calls asks.
    pub ask_ms: u64,
    /// How many milliseconds calls are compared in the shadow first; 0: not at all.
    #[serde(default)]
    pub shadow_ms: u64,
    /// Whether a difference in the shadow ends it.
    #[serde(default)]
    pub fail_on_diff: bool,
    /// What sticks to a revision.
    pub sticky: Option<String>,
    /// Whether it stays at its first step.
    pub hold: bool,
    /// Whether it may be promoted though the revision before cannot read what it has written.
    #[serde(default)]
    pub no_way_back: bool,
}

impl ServiceRecord {
    /// The digests of components that are in use.
    pub(super) fn in_use(&self) -> BTreeSet<&str> {
        let promoted = self.promoted.iter().flat_map(|one| [one.digest.as_str(), one.manifest.as_str()]);
        promoted.chain(self.open.as_ref().map(|open| open.digest.as_str())).collect()
    }

    /// Whether a component is in use or in the history.
    pub(super) fn names(&self, digest: &str) -> bool {
        self.in_use().contains(digest) || self.entries.iter().any(|entry| entry.digest == digest)
    }

    /// Leaves out the oldest entries beyond `revisions`, and those that ended before `since`, except for components in
    /// use.
    pub(super) fn prune(&mut self, revisions: usize, since: u64) {
        let used: BTreeSet<String> = self.in_use().into_iter().map(str::to_owned).collect();
        let beyond = self.entries.len().saturating_sub(revisions);
        let mut at = 0;
        self.entries.retain(|entry| {
            at += 1;
            used.contains(&entry.digest) || (at > beyond && entry.ended >= since)
        });
        // A component that is in use may have many entries.
        let beyond = self.entries.len().saturating_sub(revisions.max(1) * 2);
        self.entries.drain(..beyond);
    }
}
