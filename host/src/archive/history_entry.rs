//! One rollout that has ended.

use serde::{Deserialize, Serialize};

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutOutcome {
    /// Its revision got all calls.
    Promoted,
    /// The judge found its revision worse, or an operator took it back.
    RolledBack,
    /// An operator or the end of the host stopped it.
    Aborted,
    /// Another component was swapped in meanwhile.
    Superseded,
}

/// A revision in the history of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The number of the rollout, from 1 for each service.
    pub id: u64,
    /// The digest of the component, 64 hex digits.
    pub digest: String,
    /// Who ordered it: `admin-token`, `loopback`, `host`.
    pub who: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it began and when it ended, in seconds since 1970.
    pub began: u64,
    /// See `began`.
    pub ended: u64,
    /// How it ended.
    pub outcome: RolloutOutcome,
    /// The verdict in one sentence, with numbers.
    pub verdict: String,
}
