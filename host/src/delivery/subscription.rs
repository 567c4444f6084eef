//! A subscription: which function of which service handles the events of which topic.

use super::handler_work::HandlerWork;
use crate::base::ServiceName;
use crate::events::{Backoff, Topic, TopicName};
use crate::telemetry::SlowThreshold;
use std::sync::Arc;
use std::time::Duration;

/// What the name of a saga's subscription begins with: `saga:checkout`.
const SAGA: &str = "saga";

/// How the events of a subscription are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSettings {
    /// The most events under way: 1 to 1,000. Default 8.
    pub concurrency: usize,
    /// How often an event is tried before it is a dead letter: 1 to 1,000. Default 10.
    pub tries: u32,
    /// The pauses between the tries. Default 1 s to 1 min.
    pub backoff: Backoff,
    /// The most events that are read and not settled: 1 to 1,000,000. Default 10,000.
    pub waiting: usize,
    /// The most dead letters: 0 to 1,000,000. Default 10,000.
    pub dead: usize,
    /// Whether a new subscription begins with the first event that the topic still has, or with the next one.
    pub from_beginning: bool,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        Self { concurrency: 8, tries: 10, backoff, waiting: 10_000, dead: 10_000, from_beginning: true }
    }
}

/// A subscription of the manifest.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The service, whose replicas and revisions are one consumer group.
    pub service: ServiceName,
    /// The topic.
    pub topic: Arc<Topic>,
    /// The place of its function among the functions that the host calls by name (`Service::routed`).
    pub at: usize,
    /// The function's name in the manifest, for messages.
    pub function: String,
    /// How its events are delivered.
    pub settings: SubscriptionSettings,
    /// When a handling is slow: then its trace is kept.
    pub slow: Arc<SlowThreshold>,
    /// What its handlers take.
    pub work: Arc<HandlerWork>,
}

impl Subscription {
    /// The subscription by which the events of `topic` start the saga `saga`. `function` says so in messages.
    pub fn of_saga(saga: &str, topic: Arc<Topic>, from_beginning: bool) -> Self {
        // What an event starts is decided when the manifest is loaded: what does not fit will not fit later.
        let settings = SubscriptionSettings { tries: 1, from_beginning, ..SubscriptionSettings::default() };
        Self {
            service: ServiceName::of_host_part(SAGA, saga),
            topic,
            at: 0,
            function: "start".to_owned(),
            settings,
            slow: Arc::default(),
            work: Arc::default(),
        }
    }

    /// The saga that its events start; `None`: a function of a service handles them.
    pub fn saga(&self) -> Option<&str> {
        self.service.as_str().strip_prefix(SAGA)?.strip_prefix(':')
    }

    /// The bucket of its notes. A replaced function is the same subscription: what it has settled stays settled.
    pub fn notes(&self) -> ServiceName {
        Self::notes_of(&self.service, &self.topic.name)
    }

    /// The bucket of the notes of the subscription of `service` to `topic`.
    pub(super) fn notes_of(service: &ServiceName, topic: &TopicName) -> ServiceName {
        ServiceName::of_host_part("subscription", &format!("{service}/{topic}"))
    }
}
