//! What the admin answers about topics, and the orders about them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An order about topics.
#[derive(Debug)]
pub enum TopicOrder {
    /// Every topic, with its subscriptions.
    List,
    /// Events of a topic.
    Events {
        /// The topic.
        topic: String,
        /// Where to begin.
        from: EventStart,
        /// The most events: 1 to 1,000.
        most: usize,
    },
    /// Publishes an event.
    Publish {
        /// The topic.
        topic: String,
        /// The event.
        event: PublishRequest,
    },
    /// The dead letters of a subscription.
    Dead {
        /// The topic.
        topic: String,
        /// The service that subscribes.
        service: String,
        /// Only those with a number above this.
        after: u64,
        /// The most letters: 1 to 1,000.
        most: usize,
    },
    /// Erases the data of a service, and delivers the events of its topics again.
    Rebuild {
        /// The service.
        service: String,
        /// How.
        order: RebuildRequest,
    },
    /// Sends dead letters again.
    Retry {
        /// The topic.
        topic: String,
        /// The service that subscribes.
        service: String,
        /// The letter; `None`: all of them.
        number: Option<u64>,
    },
}

/// Where a list of events begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStart {
    /// After the event of this number; 0: with the first one.
    After(u64),
    /// With the first event that was published at this time or later, in milliseconds since 1970.
    Since(u64),
    /// After so many events before the latest one.
    Latest(u64),
}

/// The answer to a [`TopicOrder`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum TopicAnswer {
    /// Every topic.
    Topics(Vec<TopicView>),
    /// A page of events.
    Events(EventPageView),
    /// An event is on disk.
    Published {
        /// Its number; with a broker, that in the outbox.
        number: u64,
    },
    /// Dead letters.
    Dead(Vec<DeadLetterView>),
    /// Subscriptions have begun anew.
    Rebuilt(Vec<RebuiltView>),
    /// Dead letters are sent again.
    Sent {
        /// How many.
        sent: usize,
    },
}

/// A new event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// What orders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The payload.
    pub payload: Box<RawValue>,
}

/// Which dead letter is sent again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Its number; absent: all of the subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// How the data of a service are made again: from the first event on, unless it says otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebuildRequest {
    /// The topic of the one subscription that is meant; absent: all of the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Begin after the event of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Begin with the first event that was published at this time or later, in milliseconds since 1970. Not with
    /// `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether the data stay.
    #[serde(default)]
    pub keep_data: bool,
}

/// A subscription that has begun anew.
#[derive(Debug, Serialize, Deserialize)]
pub struct RebuiltView {
    /// The topic.
    pub topic: String,
    /// How many events are delivered again.
    pub events: u64,
}

/// The number of a published event.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PublishedView {
    /// The number.
    pub number: u64,
}

/// How many dead letters are sent again.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SentView {
    /// How many.
    pub sent: usize,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// The WIT type of its payloads; `None`: any JSON.
    pub payload: Option<String>,
    /// The number of its latest event; 0 if it has had none.
    pub last: u64,
    /// The bytes of the events that it keeps.
    pub bytes: u64,
    /// The bytes of the events that wait here for the broker; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_bytes: Option<u64>,
    /// How many they are; `None` without a broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_events: Option<u64>,
    /// How many seconds ago the oldest of them was published; `None` if none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_seconds: Option<u64>,
    /// Why the broker does nothing for the topic now; `None` while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_error: Option<String>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionView>,
    /// The bridges between it and brokers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<BridgeView>,
}

/// A bridge between a topic and a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeView {
    /// Its name in the manifest.
    pub name: String,
    /// `from` the broker, or `to` it.
    pub direction: String,
    /// The broker, and the topic there.
    pub place: String,
    /// How many events it has copied since the host started.
    pub copied: u64,
    /// How many events wait to be copied; `None`: nobody has told yet.
    pub lag: Option<u64>,
    /// Why it copies nothing now; `None`: it does.
    pub error: Option<String>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionView {
    /// The service.
    pub service: String,
    /// The function that handles the events.
    pub function: String,
    /// How many events it has not settled.
    pub lag: u64,
    /// How many seconds ago the oldest of them was published; `None` if it has read none that is not settled.
    pub lag_seconds: Option<u64>,
    /// The number of the oldest event that has failed and is tried again.
    pub stuck: Option<u64>,
    /// The key of that event: the events of this key wait.
    pub stuck_key: Option<String>,
    /// Events under way.
    pub in_flight: usize,
    /// Dead letters.
    pub dead: usize,
    /// Events that were handled since the host started.
    pub handled: u64,
    /// Tries that failed since the host started.
    pub failures: u64,
    /// The processor time of its handlers since the host started, in milliseconds.
    pub cpu_ms: u64,
}

/// A page of events.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventPageView {
    /// CloudEvents, in the order of their numbers.
    pub events: Vec<EventView>,
    /// Whether more follows.
    pub more: bool,
}

/// An event of a page.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventView {
    /// Its number in the topic.
    pub number: u64,
    /// The CloudEvent; `None`: its bytes are damaged.
    pub event: Option<Box<RawValue>>,
}

/// A dead letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// Its number in the topic.
    pub number: u64,
    /// How often it was tried.
    pub tries: u32,
    /// The latest failed tries.
    pub failures: Vec<FailureView>,
    /// The CloudEvent; `None`: its bytes are damaged.
    pub event: Option<Box<RawValue>>,
}

/// A failed try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: String,
}
