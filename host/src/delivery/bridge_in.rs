//! A bridge from a broker: it copies the events of the broker's log into the host's own, in their order.
//!
//! The events and how far the bridge is are one commit, so each number of the broker's log is copied once. An id that
//! has come lately is not copied again, whatever its number: who publishes at least once sends an event twice.

use super::bridge_notes::{BridgeNotes, BridgePosition};
use super::bridge_status::{BridgeStatus, BridgeStep, set};
use super::bridge_way::{BridgeWay, stop};
use super::event_log::LogError;
use super::status::Settled;
use crate::broker::{BrokerLog, StoredEvent};
use crate::events::{EventRecord, Topic, longest};
use crate::state::{Beside, Bucket, Change, StateError, Transaction};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The time between two looks at a log of which nothing was heard.
const LOOK: Duration = Duration::from_secs(1);
/// The most events of one commit.
const BATCH: usize = 100;

/// A bridge from a broker.
pub(super) struct BridgeIn {
    pub(super) topic: Arc<Topic>,
    pub(super) bucket: Bucket,
    pub(super) log: Arc<dyn BrokerLog>,
    pub(super) notes: BridgeNotes,
    pub(super) origin: String,
    pub(super) place: String,
    pub(super) settled: Settled,
    pub(super) status: Arc<BridgeStatus>,
}

impl BridgeIn {
    /// Copies the oldest events.
    pub(super) async fn step(&self) -> Result<BridgeStep, LogError> {
        // As it is on disk: the last commit may be there though it failed.
        let mut position = self.notes.position().await?;
        self.settled.set(position.after);
        if self.topic.is_full() {
            return Ok(BridgeStep::Idle);
        }
        let page = self.log.after(position.after, BATCH).await?;
        let Some(last) = page.last() else {
            let extent = self.log.extent().await?;
            set(&self.status.remote_last, Some(extent.last));
            if extent.last < position.after {
                let topic = &self.topic.name;
                tracing::error!(
                    target: "delivery", %topic, had = position.after, has = extent.last,
                    "the broker has lost events, or another log has the name of the old one: the bridge begins with \
                     its first event, and copies no id again that it remembers"
                );
                position.after = 0;
                self.notes.move_to(position).await?;
                return Ok(BridgeStep::Moved);
            }
            return Ok(BridgeStep::Idle);
        };
        for number in page.damaged {
            let (topic, place) = (&self.topic.name, &self.place);
            tracing::error!(
                target: "delivery", %topic, number, place,
                "an event that cannot be read does not cross the bridge"
            );
        }
        self.copy(BridgePosition { after: last, ..position }, page.events).await?;
        self.settled.set(last);
        let known = (*self.status.remote_last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).unwrap_or(0);
        set(&self.status.remote_last, Some(known.max(last)));
        Ok(BridgeStep::Moved)
    }

    /// Waits for something to copy.
    pub(super) async fn wait(&self) {
        // Nothing is lost where nobody tells: it looks again. An error of the broker is found there.
        let heard = async {
            if self.topic.is_full() || self.log.news().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = timeout(LOOK, heard).await;
    }

    /// Copies these events, and moves the bridge to `position`, in one commit.
    async fn copy(&self, position: BridgePosition, events: Vec<StoredEvent>) -> Result<(), StateError> {
        let ids: Vec<_> = events.iter().filter_map(|event| event.id.as_deref()).collect();
        let known = self.notes.known(&ids).await?;
        let (mut new_ids, mut writes, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
        for StoredEvent { number, id, record, .. } in &events {
            if let Some(id) = id.as_deref()
                && (known.contains(id) || !new_ids.insert(id))
            {
                continue;
            }
            if let Some(record) = self.incoming(*number, record) {
                bytes += record.len() as u64;
                writes.push((Topic::COUNTER.to_vec(), Change::Append(record)));
            }
        }
        let count = writes.len();
        let ids: Vec<_> = new_ids.into_iter().collect();
        let notes = self.notes.arrival(position, &ids).await?;
        if count > 0 {
            writes.push((Topic::WRITTEN.to_vec(), Change::Add(bytes)));
        }
        let beside = vec![Beside { bucket: self.notes.bucket().clone(), checks: Vec::new(), writes: notes }];
        let committed = self.bucket.commit_whole(Transaction { checks: Vec::new(), writes, beside }).await;
        let committed = committed.inspect_err(|_| self.topic.may_have_more())?;
        if let Some(last) = count.checked_sub(1).and_then(|at| committed.sums.get(at)) {
            self.topic.published(*last, count as u64, bytes);
            self.status.has_copied(count);
        }
        Ok(())
    }

    /// The event as it is written; `None`: it is not.
    fn incoming(&self, number: u64, record: &EventRecord) -> Option<Vec<u8>> {
        let way = BridgeWay::of(&record.source);
        // It went out from here.
        if way.has(&stop(&self.origin)) {
            return None;
        }
        if record.payload.len() > longest::PAYLOAD {
            tracing::error!(
                target: "delivery", topic = %self.topic.name, number, place = self.place,
                "an event with a payload of {} bytes does not cross the bridge: {} are the most",
                record.payload.len(), longest::PAYLOAD
            );
            return None;
        }
        let source = way.with(&stop(&self.place), longest::SOURCE);
        Some(EventRecord { source, ..record.clone() }.encode())
    }
}
