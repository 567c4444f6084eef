//! The log of a topic, for whoever reads it beside subscriptions.

use super::event_log::{EventLog, EventPage, LogError};
use crate::events::Topic;
use std::sync::Arc;
use tokio::sync::Notify;

/// Reads one topic's events.
#[derive(Debug)]
pub struct TopicReader {
    pub(super) topic: Arc<Topic>,
    pub(super) log: EventLog,
    pub(super) news: Arc<Notify>,
}

impl TopicReader {
    /// The topic.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// At most `most` events whose numbers are above `after`.
    ///
    /// # Errors
    /// The store fails, or the broker is away.
    pub async fn after(&self, after: u64, most: usize) -> Result<EventPage, LogError> {
        let page = self.log.after(after, most).await?;
        if let (EventLog::Embedded(_), Some(latest)) = (&self.log, page.events.last()) {
            // Nobody may have counted it: its commit was in doubt, or is that of a schedule.
            self.topic.has(latest.number);
        }
        Ok(page)
    }

    /// The number of the latest event; 0 if there was none.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn last(&self) -> Result<u64, LogError> {
        match &self.log {
            // It is counted with each commit.
            EventLog::Embedded(_) => Ok(self.topic.last()),
            EventLog::Brokered(_) => Ok(self.log.count().await?.0),
        }
    }

    /// The number before the first event that was published at `time` or later, in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`TopicReader::after`].
    pub async fn before(&self, time: u64) -> Result<u64, LogError> {
        // As it is on disk: a number that is not counted yet would be left out.
        let (last, _) = self.log.count().await?;
        self.log.before(last, time).await
    }

    /// Ends when there may be something new.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}
