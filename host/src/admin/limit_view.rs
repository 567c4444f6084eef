//! The wire types of limits, maintenance and the data of services.

use serde::{Deserialize, Serialize};

/// A limit of the manifest, and what it has counted since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// What it counts by, in the word of the manifest.
    pub by: String,
    /// Requests in a time: `100/10s`. None: it does not count them so.
    pub rate: Option<String>,
    /// How many of these may come at once.
    pub burst: Option<u32>,
    /// Processor time in a time: `2s/10s`.
    pub cpu: Option<String>,
    /// Memory on the average of a time: `64MiB/10s`.
    pub memory: Option<String>,
    /// Requests in a window of the calendar: `10000/86400s`.
    pub quota: Option<String>,
    /// The requests that it has let pass.
    pub admitted: u64,
    /// The requests that it has refused.
    pub refused: u64,
    /// How many clients have something used up now.
    pub keys: u64,
    /// How often a client without room of its own had to share with others: `keys` of the manifest is too small.
    pub shared: u64,
}

/// Whether there is maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceView {
    /// Whether requests are refused now.
    pub on: bool,
    /// After how long clients are told to come back, in seconds, while it is on.
    pub retry_after_seconds: Option<u64>,
}

/// The body of `PUT /v1/maintenance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MaintenanceRequest {
    /// Whether there shall be maintenance.
    pub on: bool,
    /// After how long clients are told to come back, in seconds. None: as the manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// The answer to the erasing of a service's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedView {
    /// Whether there was anything.
    pub erased: bool,
}

/// The answer to the replacing of the database's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReplacedView {
    /// Whether it was replaced. False: the manifest still names the key in use.
    pub replaced: bool,
}
