//! Moves the events of an outbox to the broker: in their order, each once.
//!
//! One batch is under way, and the next one follows when this one is acknowledged, so that no event of a key overtakes
//! another. After an error, and at the start, nobody knows whether the last batch has arrived. The relay reads what the
//! log has had since its mark before it sends anything: the broker's own memory of ids lasts for minutes, and an outage
//! lasts longer.

use super::broker_health::{BrokerHealth, BrokerTask};
use super::event_log::LogError;
use super::outbox::{Outbox, WaitingEvents};
use crate::broker::BrokerLog;
use crate::events::{Backoff, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The time between two looks at an outbox of which nothing was heard.
const LOOK: Duration = Duration::from_secs(1);
/// The pauses after errors.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) };
/// The most events of one read.
const PAGE: usize = 256;

/// The relay of one topic.
pub(super) struct Relay {
    pub(super) topic: Arc<Topic>,
    pub(super) outbox: Outbox,
    pub(super) log: Arc<dyn BrokerLog>,
    /// Wakes it after an event was published.
    pub(super) news: Arc<Notify>,
    pub(super) health: Arc<BrokerHealth>,
}

/// What a look at the outbox has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RelayStep {
    /// Events have left the outbox.
    Moved,
    /// There is nothing to send, or the log is full.
    Idle,
}

impl Relay {
    /// Never returns.
    pub(super) async fn run(self) {
        let (mut certain, mut failures) = (false, 0);
        loop {
            match self.step(&mut certain).await {
                Ok(step) => {
                    if failures > 0 {
                        tracing::info!(target: "delivery", topic = %self.topic.name, "the broker takes events again");
                        self.health.works(&self.topic, BrokerTask::Relay);
                        failures = 0;
                    }
                    if step == RelayStep::Idle {
                        // Nothing is lost where nobody tells: it looks again.
                        let _ = timeout(LOOK, self.news.notified()).await;
                    }
                }
                Err(error) => {
                    (certain, failures) = (false, failures + 1);
                    let error = error.with_causes();
                    self.health.failed(&self.topic, BrokerTask::Relay, &error);
                    if failures == 1 {
                        let what = "events wait for the broker";
                        tracing::warn!(target: "delivery", topic = %self.topic.name, error, "{what}");
                    }
                    sleep(PAUSES.pause(failures, rand::random())).await;
                }
            }
        }
    }

    /// Sends the oldest events. `certain`: whether none of the outbox can be with the broker.
    pub(super) async fn step(&self, certain: &mut bool) -> Result<RelayStep, LogError> {
        let waiting = self.outbox.head(&self.topic).await?;
        self.topic.waits_since(waiting.events.first().map(|event| event.record.time));
        if waiting.events.is_empty() {
            return Ok(RelayStep::Idle);
        }
        if !*certain {
            if self.settle_arrived(&waiting).await? {
                return Ok(RelayStep::Moved);
            }
            *certain = true;
        }
        if self.topic.is_full() {
            return Ok(RelayStep::Idle);
        }
        // Whatever happens from here on, until it is on disk: the future may be dropped, too.
        *certain = false;
        let last = self.log.append(&waiting.events).await?;
        let bytes = waiting.sizes.iter().map(|(_, bytes)| bytes).sum();
        self.topic.extended(last, if self.log.tells_bytes() { bytes } else { 0 });
        self.outbox.settle(&self.topic, &waiting.sizes, last).await?;
        *certain = true;
        Ok(RelayStep::Moved)
    }

    /// Takes the events out of the outbox that the log has. Returns whether there were any.
    async fn settle_arrived(&self, waiting: &WaitingEvents) -> Result<bool, LogError> {
        let mut after = self.outbox.mark().await?;
        if self.log.extent().await?.last < after {
            // The broker has lost events, or another log has the name of the old one.
            after = 0;
        }
        let ids = waiting.events.iter().map(|event| event.id.as_str()).zip(&waiting.sizes);
        let ids: BTreeMap<_, _> = ids.collect();
        let (mut arrived, mut mark) = (Vec::new(), after);
        loop {
            let page = self.log.after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last;
            for event in &page.events {
                if let Some(size) = event.id.as_deref().and_then(|id| ids.get(id)) {
                    arrived.push(**size);
                    mark = event.number;
                }
            }
            if !page.more {
                break;
            }
        }
        // A copy may be there twice.
        arrived.sort_unstable();
        arrived.dedup();
        if arrived.is_empty() {
            return Ok(false);
        }
        self.outbox.settle(&self.topic, &arrived, mark).await?;
        self.topic.extended(mark, 0);
        Ok(true)
    }
}
