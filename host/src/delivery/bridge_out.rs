//! A bridge to a broker: it copies the events of the host's own log in their order, each once.
//!
//! As a relay it sends a batch when the last one is acknowledged, and looks for its ids after an error. Other than an
//! outbox it takes nothing out of the log, which goes on to be the host's own: the retention keeps what is not copied.

use super::bridge_notes::{BridgeNotes, BridgePosition};
use super::bridge_status::{BridgeStatus, BridgeStep};
use super::bridge_way::{BridgeWay, stop};
use super::event_log::{EventLog, LogError, LoggedEvent};
use super::retention::drop_some;
use super::status::Settled;
use crate::broker::{BrokerLog, OutgoingEvent};
use crate::events::{EventRecord, PayloadType, Topic, longest};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The time between two looks at a log of which nothing was heard, and at the age of what the broker has.
const LOOK: Duration = Duration::from_secs(5);
/// The most events that are sent together: JetStream takes 1,000 (ADR-50).
const BATCH: usize = 256;
/// The most events of one read.
const PAGE: usize = 256;

/// A bridge to a broker.
pub(super) struct BridgeOut {
    pub(super) topic: Arc<Topic>,
    pub(super) local: EventLog,
    pub(super) log: Arc<dyn BrokerLog>,
    pub(super) notes: BridgeNotes,
    /// What the ids of its events begin with.
    pub(super) outgoing: String,
    pub(super) origin: String,
    pub(super) place: String,
    pub(super) settled: Settled,
    pub(super) news: Arc<Notify>,
    pub(super) status: Arc<BridgeStatus>,
}

impl BridgeOut {
    /// Copies the oldest events. `certain`: whether none of them can be with the broker.
    pub(super) async fn step(&self, certain: &mut bool) -> Result<BridgeStep, LogError> {
        let position = self.notes.position().await?;
        self.settled.set(position.after);
        let page = self.local.after(position.after, BATCH).await?;
        let Some(last) = page.events.last().map(|event| event.number) else {
            self.drop_old().await?;
            return Ok(BridgeStep::Idle);
        };
        // Nobody may have counted it: its commit was in doubt.
        self.topic.has(last);
        let mut outgoing: Vec<_> = page.events.into_iter().filter_map(|event| self.outgoing(event)).collect();
        let mut mark = position.mark;
        if !*certain {
            let arrived = self.arrived(&mut mark, &outgoing).await?;
            outgoing.retain(|event| !arrived.contains(&event.id));
        }
        // Whatever happens from here on, until it is on disk: the future may be dropped, too.
        *certain = false;
        if !outgoing.is_empty() {
            mark = self.log.append(&outgoing).await?;
        }
        self.notes.move_to(BridgePosition { after: last, mark, ..position }).await?;
        self.settled.set(last);
        self.status.has_copied(outgoing.len());
        *certain = true;
        Ok(BridgeStep::Moved)
    }

    /// Waits for something to copy.
    pub(super) async fn wait(&self) {
        // Nothing is lost where nobody tells: it looks again.
        let _ = timeout(LOOK, self.news.notified()).await;
    }

    /// The event as it is sent; `None`: it is not.
    fn outgoing(&self, event: LoggedEvent) -> Option<OutgoingEvent> {
        let LoggedEvent { number, record, .. } = event;
        let Ok(record) = record else {
            let topic = &self.topic.name;
            tracing::error!(target: "delivery", %topic, number, "a damaged event does not cross the bridge");
            return None;
        };
        let way = BridgeWay::of(&record.source);
        // It came from there.
        if way.has(&stop(&self.place)) {
            return None;
        }
        let source = way.with(&stop(&self.origin), longest::SOURCE);
        // With the digest, since a store that was restored from a copy gives a number twice.
        let digest: String = record.encode().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let id = format!("{}-{number}-{digest}", self.outgoing);
        Some(OutgoingEvent { id, record: EventRecord { source, ..record } })
    }

    /// The ids of those that the broker's log has behind `mark`, which is moved to what was found.
    async fn arrived(&self, mark: &mut u64, outgoing: &[OutgoingEvent]) -> Result<BTreeSet<String>, LogError> {
        let ids: BTreeSet<_> = outgoing.iter().map(|event| event.id.as_str()).collect();
        let mut after = *mark;
        if self.log.extent().await?.last < after {
            // The broker has lost events, or another log has the name of the old one.
            after = 0;
        }
        *mark = after;
        let mut arrived = BTreeSet::new();
        loop {
            let page = self.log.after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last;
            for event in &page.events {
                if let Some(id) = event.id.as_ref().filter(|id| ids.contains(id.as_str())) {
                    arrived.insert(id.clone());
                    *mark = event.number;
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(arrived)
    }

    /// Removes from the broker what is older, or more, than the topic keeps: nobody else does, since a stream that
    /// drops events by itself is refused.
    async fn drop_old(&self) -> Result<(), LogError> {
        if self.log.keeps_all() {
            return Ok(());
        }
        let extent = self.log.extent().await?;
        let there = Topic::new(self.topic.name.clone(), PayloadType::Any, self.topic.retention);
        there.count(extent.last, extent.bytes);
        let log = EventLog::Brokered(Arc::clone(&self.log));
        while drop_some(&there, &log, &[]).await? > 0 {}
        Ok(())
    }
}
