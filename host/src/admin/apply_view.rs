//! What operators see of a manifest that is applied.

use serde::{Deserialize, Serialize};

/// What a manifest would change, or has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyView {
    /// What is served now, in a word. `?base=` refuses the change if it is something else by then.
    pub base: String,
    /// The SHA-256 of the manifest that was served before.
    pub before: String,
    /// The changes, by key.
    pub changes: Vec<PlannedChangeView>,
    /// Whether they are made.
    pub applied: bool,
    /// Whether the host's own file has another text: with a restart that one would be served.
    pub file_differs: bool,
}

/// One change of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChangeView {
    /// The key.
    pub key: String,
    /// `live`, `swap` or `restart`.
    pub class: String,
    /// Why it is of that class.
    pub reason: String,
    /// The value before, if it may be shown.
    pub before: Option<String>,
    /// The value now, if it may be shown.
    pub after: Option<String>,
}
