//! Which traces are kept, and where they are sent.

use http::{HeaderName, HeaderValue, Uri};
use std::path::PathBuf;
use std::time::Duration;

/// Which traces are kept, and the bounds of their memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The share that is kept of those that neither failed nor were slow: 0 to 1.
    pub sample: f64,
    /// The bytes of the traces that are kept: at least 64 KiB.
    pub keep: usize,
    /// The most spans of one trace: at least 1.
    pub spans: u32,
}

/// Where traces are sent, and how.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// The whole address: `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: Uri,
    /// Fields of each request. Their values are secrets, and marked as such.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one export may take, with its connection.
    pub timeout: Duration,
    /// The root certificates of an https address; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The name of this system.
    pub service_name: String,
    /// What else each resource says.
    pub resource: Vec<(String, String)>,
    /// The most spans of one export, where no trace has more by itself.
    pub batch: usize,
    /// The most spans that wait for an export. Further traces are left out, and counted.
    pub queue: usize,
    /// How long spans are gathered for an export.
    pub delay: Duration,
}
