//! The topics whose events sagas wait for, from `delivery`.

use super::event_plan::EventPlan;
use crate::coordinator::{TopicEvent, TopicFuture, TopicLog, WaitedTopic};
use crate::delivery::{Deliveries, LoggedEvent, TopicReader};
use std::pin::Pin;
use std::sync::Arc;

/// Lends the log of a topic to sagas.
struct SagaTopicLog(TopicReader);

impl TopicLog for SagaTopicLog {
    fn after(&self, after: u64, most: usize) -> TopicFuture<'_, Vec<TopicEvent>> {
        let event = |LoggedEvent { number, record, .. }| TopicEvent { number, record: record.ok() };
        Box::pin(async move {
            let page = self.0.after(after, most).await.map_err(|error| error.to_string())?;
            Ok(page.events.into_iter().map(event).collect())
        })
    }

    fn last(&self) -> TopicFuture<'_, u64> {
        Box::pin(async move { self.0.last().await.map_err(|error| error.to_string()) })
    }

    fn before(&self, time: u64) -> TopicFuture<'_, u64> {
        Box::pin(async move { self.0.before(time).await.map_err(|error| error.to_string()) })
    }

    fn news(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.news())
    }

    fn keep_after(&self, number: u64) {
        self.0.topic().need_after(number);
    }
}

/// Marks the topic of this name as one whose events sagas wait for: nothing of it goes before they are read.
pub(super) fn mark(events: &EventPlan, topic: &str) {
    if let Some(topic) = events.topic_named(topic) {
        topic.need_after(0);
    }
}

/// The topics of these names.
pub(super) fn of<'a>(deliveries: Option<&Deliveries>, names: impl Iterator<Item = &'a Arc<str>>) -> Vec<WaitedTopic> {
    let topic = |name: &Arc<str>| {
        let reader = deliveries?.reader(name)?;
        let payload = reader.topic().payload.clone();
        Some(WaitedTopic { name: Arc::clone(name), payload, log: Arc::new(SagaTopicLog(reader)) })
    };
    names.filter_map(topic).collect()
}
