//! The events of a topic, as the waits of sagas read them.

use crate::events::{EventRecord, PayloadType};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// An answer of a log. `Err`: why it cannot be read now.
pub type TopicFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// An event of a topic.
#[derive(Debug, Clone)]
pub struct TopicEvent {
    /// Its number: above those of all events before.
    pub number: u64,
    /// The event; `None`: it is damaged.
    pub record: Option<EventRecord>,
}

/// The log of one topic. The host's are behind it, and those of this room's tests.
pub trait TopicLog: Send + Sync + 'static {
    /// At most `most` events whose numbers are above `after`, in their order. None: there is nothing more now.
    fn after(&self, after: u64, most: usize) -> TopicFuture<'_, Vec<TopicEvent>>;

    /// The number of the latest event; 0 if there was none.
    fn last(&self) -> TopicFuture<'_, u64>;

    /// The number before the first event that was published at `time` or later, in milliseconds since 1970.
    fn before(&self, time: u64) -> TopicFuture<'_, u64>;

    /// Ends when there may be something new since the last call. It may end for nothing.
    fn news(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Events above this number must stay: a saga may still ask for them. Before the first call all must.
    fn keep_after(&self, number: u64);
}

/// A topic whose events sagas wait for.
#[derive(Clone)]
pub struct WaitedTopic {
    /// Its name.
    pub name: Arc<str>,
    /// What its payloads are.
    pub payload: PayloadType,
    /// Its events.
    pub log: Arc<dyn TopicLog>,
}

impl fmt::Debug for WaitedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitedTopic({})", self.name)
    }
}
