//! What the admin answers about schedules.

use serde::{Deserialize, Serialize};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// When it is due, as the manifest has it.
    pub when: String,
    /// What it does: a function that it calls, or a topic on which it publishes.
    pub target: String,
    /// The next due time, in milliseconds since 1970; `None`: it is not known.
    pub next: Option<u64>,
    /// The due time that is under way, or waits for its next try.
    pub under_way: Option<u64>,
    /// How the last try ended, since the host started.
    pub last: Option<FiringView>,
    /// Due times whose work was done, since the host started.
    pub done: u64,
    /// Tries that failed, since the host started.
    pub failures: u64,
    /// Due times that were given up, since the host started.
    pub given_up: u64,
    /// Due times that were missed and do not fire, since the host started.
    pub skipped: u64,
}

/// How a try of a due time ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringView {
    /// The due time, in milliseconds since 1970.
    pub due: u64,
    /// When it ended.
    pub at: u64,
    /// Why it failed; `None`: it did not.
    pub error: Option<String>,
}
