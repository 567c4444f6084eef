//! What the mesh reports of a request's call, for the request's access line.

use super::deadline::DeadlineOwner;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a request was served: by which endpoint, after how many tries and how long a wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallReport {
    /// Tries so far; 0: no endpoint has got the call.
    pub tries: u32,
    /// The endpoint of the last try, by its name within the host.
    pub endpoint: Option<String>,
    /// The first digits of the digest of the endpoint's revision; `None` for a plain HTTP address.
    pub revision: Option<String>,
    /// How long the call waited in the queue of its service; `None`: it did not wait.
    pub queued: Option<Duration>,
    /// Whose deadline ended a try; `None`: none did.
    pub deadline: Option<DeadlineOwner>,
    /// Whether a call of the service's own failed in one of the tries.
    pub dependency_failed: bool,
}

/// Where the mesh writes the report of one call, and the gateway reads it. Its clones share it.
#[derive(Debug, Clone, Default)]
pub struct CallReporter(Arc<Mutex<CallReport>>);

impl CallReporter {
    /// Writes into the report.
    pub fn write(&self, write: impl FnOnce(&mut CallReport)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The report as it is now.
    pub fn read(&self) -> CallReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
