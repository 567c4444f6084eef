//! One line of the file, as JSON.

use super::audit_record::AuditRecord;
use serde::{Deserialize, Serialize};

/// What a line says when it follows a line that a crash has torn.
pub(super) const REPAIRED: &str = "chain-repaired";

/// One line. A reader passes over members that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// The number of the line, from 1. Torn lines have none.
    pub seq: u64,
    /// When it was recorded, in UTC (RFC 3339).
    pub time: String,
    /// The SHA-256 of the line before, without its newline, in hexadecimal; zeros for the first.
    pub previous: String,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The request at the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How many refusals before this line have none of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AuditLine {
    pub(super) fn of(event: &AuditRecord, seq: u64, time: String, previous: String, left_out: u64) -> Self {
        let AuditRecord { who, what, on, before, after, outcome, why, request_id } = event.clone();
        let what = what.to_owned();
        Self { seq, time, previous, who, what, on, before, after, outcome, why, request_id, left_out }
    }
}
