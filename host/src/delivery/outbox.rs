//! The events of a topic that are acknowledged and not yet with the broker.
//!
//! It is the bucket in which the embedded log would be, so that an event and the data that it tells of are one commit
//! with a broker too. Keys beside those of a log:
//! - `origin`: names this outbox, for ever. Without it the bucket is a log;
//! - `mark`: a number of the broker's log. What stands up to it, nobody sends again;
//! - `damaged/NUMBER`: an event whose bytes are not those that were written.

use super::event_log::{LoggedEvent, counted, page};
use crate::broker::OutgoingEvent;
use crate::events::Topic;
use crate::state::{Bucket, Change, StateError, Store, Transaction, sequence_key};

/// The most events that are sent together: JetStream takes 1,000 (ADR-50).
const BATCH: usize = 256;

/// The outbox of one topic.
#[derive(Clone, Debug)]
pub(super) struct Outbox(Bucket);

/// The oldest events of an outbox.
#[derive(Debug, Default)]
pub(super) struct WaitingEvents {
    /// Their numbers, and their bytes on this disk.
    pub(super) sizes: Vec<(u64, u64)>,
    /// The events, in the same order.
    pub(super) events: Vec<OutgoingEvent>,
}

impl Outbox {
    /// In the bucket: the name of the outbox.
    pub(super) const ORIGIN: &[u8] = b"origin";
    /// In the bucket: up to where the broker's log was written by this outbox.
    pub(super) const MARK: &[u8] = b"mark";

    pub(super) fn new(store: &Store, topic: &Topic) -> Self {
        Self(store.bucket(&topic.bucket()))
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.0
    }

    /// How many events wait, and their bytes.
    pub(super) async fn extent(&self) -> Result<(u64, u64), StateError> {
        let (last, bytes) = counted(&self.0).await?;
        // They go in the order of their numbers, which have no gap but those of damaged ones.
        let first = page(&self.0, 0, 1).await?.events.first().map(|event| event.number);
        Ok((first.map_or(0, |first| (last + 1).saturating_sub(first)), bytes))
    }

    /// What stands under `key`, as text.
    pub(super) async fn text(&self, key: &[u8]) -> Result<Option<String>, StateError> {
        let found = self.0.get(vec![key.to_vec()]).await?.into_iter().flatten().next();
        Ok(found.and_then(|found| String::from_utf8(found.value).ok()))
    }

    /// The mark.
    pub(super) async fn mark(&self) -> Result<u64, StateError> {
        Ok(self.text(Self::MARK).await?.and_then(|mark| mark.parse().ok()).unwrap_or(0))
    }

    /// The oldest events, not more than are sent together. Damaged ones are put aside.
    pub(super) async fn head(&self, topic: &Topic) -> Result<WaitingEvents, StateError> {
        let origin = self.text(Self::ORIGIN).await?.unwrap_or_default();
        let mut waiting = WaitingEvents::default();
        for LoggedEvent { number, record, bytes } in page(&self.0, 0, BATCH).await?.events {
            let Ok(record) = record else {
                self.put_aside(topic, number, bytes).await?;
                continue;
            };
            // With the digest, since a store that was restored from a copy gives a number twice.
            let encoded = record.encode();
            let digest: String = encoded.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            waiting.events.push(OutgoingEvent { id: format!("{origin}-{number}-{digest}"), record });
            waiting.sizes.push((number, bytes));
        }
        Ok(waiting)
    }

    async fn put_aside(&self, topic: &Topic, number: u64, bytes: u64) -> Result<(), StateError> {
        tracing::error!(
            target: "delivery", topic = %topic.name, number,
            "an event in the outbox is damaged: it is put aside, and is not sent"
        );
        let key = sequence_key(Topic::COUNTER, number);
        let found = self.0.get(vec![key.clone()]).await?.into_iter().flatten().next();
        let aside = [&b"damaged/"[..], &number.to_be_bytes()].concat();
        let writes = vec![
            (aside, Change::Put(found.map(|found| found.value).unwrap_or_default())),
            (key, Change::Delete),
            (Topic::GONE.to_vec(), Change::Add(bytes)),
        ];
        self.0.commit(Transaction { writes, ..Transaction::default() }).await?;
        topic.relayed(1, bytes);
        Ok(())
    }

    /// The events of these numbers and sizes are with the broker, whose log they have brought up to `mark`.
    pub(super) async fn settle(&self, topic: &Topic, sizes: &[(u64, u64)], mark: u64) -> Result<(), StateError> {
        let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
        let gone = |(number, _): &(u64, u64)| (sequence_key(Topic::COUNTER, *number), Change::Delete);
        let mut writes: Vec<_> = sizes.iter().map(gone).collect();
        writes.push((Topic::GONE.to_vec(), Change::Add(bytes)));
        writes.push((Self::MARK.to_vec(), Change::Put(mark.to_string().into_bytes())));
        self.0.commit(Transaction { writes, ..Transaction::default() }).await?;
        topic.relayed(sizes.len() as u64, bytes);
        Ok(())
    }
}
