//! A schedule: what is done at which times.

use crate::base::ServiceName;
use crate::events::{Backoff, Topic};
use crate::schedule::{MissedRule, Recurrence};
use std::sync::Arc;

/// What is done at each due time.
#[derive(Debug, Clone)]
pub enum ScheduledWork {
    /// A call of a function.
    Call {
        /// The service.
        service: ServiceName,
        /// The position of its function among the functions that the host calls by name (`Service::routed`).
        at: usize,
        /// The function's name in the manifest, for messages.
        function: String,
        /// Its one argument, JSON; `None`: it has no parameter.
        payload: Option<String>,
    },
    /// An event is published.
    Publish {
        /// The topic.
        topic: Arc<Topic>,
        /// What orders it.
        key: Option<String>,
        /// The payload, JSON of the topic's type.
        payload: String,
    },
}

/// A schedule of the manifest.
#[derive(Debug, Clone)]
pub struct NamedSchedule {
    /// Its name. What has fired is known by it.
    pub name: String,
    /// When it is due.
    pub times: Recurrence,
    /// That as operators read it.
    pub text: String,
    /// What becomes of due times that were missed.
    pub missed: MissedRule,
    /// How often a due time is tried: 1 to 1,000.
    pub tries: u32,
    /// The pauses between the tries.
    pub backoff: Backoff,
    /// What is done.
    pub work: ScheduledWork,
}

impl NamedSchedule {
    /// The bucket in which its last due time is.
    pub(super) fn bucket(&self) -> ServiceName {
        ServiceName::of_host_part("schedule", &self.name)
    }

    /// What it does, as the manifest names it: `reports/nightly`, or a topic.
    pub fn target(&self) -> String {
        match &self.work {
            ScheduledWork::Call { service, function, .. } => format!("{service}/{function}"),
            ScheduledWork::Publish { topic, .. } => topic.name.to_string(),
        }
    }
}

/// How a due time ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiringEnd {
    /// The due time, in milliseconds since 1970.
    pub due: u64,
    /// When it ended.
    pub at: u64,
    /// Why the last try failed; `None`: it did not.
    pub error: Option<String>,
}
