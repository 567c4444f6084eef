//! The log of a topic in a stream of RabbitMQ.
//!
//! RabbitMQ 3.10 knows no ids over AMQP 0.9.1, and it tells nobody how far a stream goes. So that an append which was
//! not answered is not repeated when it has arrived, two things hold:
//! - One channel writes to a topic for this host: it is the exclusive consumer of an empty queue, its lock. The broker
//!   lets no other channel have it before the earlier one is gone, and all that came by it is done.
//! - After the lock was taken a *mark* is written. Whoever has read up to it has seen all that was sent earlier.

use super::link::{RabbitConnection, RabbitLink, told};
use super::message;
use super::recent_events::SeenMessage;
use super::stream_tail::{AHEAD, StreamTail, acknowledge, consume, no_offset};
use crate::broker::broker_log::{BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredPage};
use crate::broker::error::BrokerError;
use crate::broker::request_time::{LONGEST, no_answer};
use crate::events::{TopicName, longest};
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Consumer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The most bytes of one page.
const PAGE_BYTES: u64 = 1 << 20;
/// How much longer an append may take for each MiB of it.
const MEBIBYTE: Duration = Duration::from_secs(1);
/// How many messages are read first to find the event before marks, and by how much more each further time.
const BACK: (u64, u64) = (64, 8);
/// How long the broker keeps a lock that nobody has, in milliseconds: a week.
const LOCK_KEPT: i32 = 7 * 86_400_000;
/// "precondition failed" and "access refused" (reference of AMQP 0.9.1, section 1.2, reply codes).
const PRECONDITION_FAILED: u64 = 406;
const ACCESS_REFUSED: u64 = 403;

/// The stream of one topic.
pub(super) struct RabbitStream {
    topic: TopicName,
    writing: Arc<RabbitLink>,
    reading: Arc<RabbitLink>,
    /// The queue that whoever writes for this host consumes.
    lock: String,
    writer: Mutex<Option<Arc<StreamWriter>>>,
    tail: Mutex<Option<Arc<StreamTail>>>,
    /// The writer and the tail for which a mark has arrived.
    agreed: Mutex<Option<(u64, u64)>>,
    /// What the next page's longest payload may be, in bytes.
    longest: AtomicU64,
}

/// The right to write, and the channel for it.
struct StreamWriter {
    /// Names it among all that were.
    id: u64,
    connection: Arc<RabbitConnection>,
    channel: Channel,
    /// It gets nothing: it is the lock.
    _lock: Consumer,
}

impl RabbitStream {
    /// `writer` names this host among those that have the topic.
    pub(super) fn new(topic: &TopicName, writer: &str, writing: &Arc<RabbitLink>, reading: &Arc<RabbitLink>) -> Self {
        let lock = format!("atoll.writer.{writer}.{topic}");
        let (writer, tail, agreed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (writing, reading) = (Arc::clone(writing), Arc::clone(reading));
        let longest = AtomicU64::new(longest::PAYLOAD as u64);
        Self { topic: topic.clone(), writing, reading, lock, writer, tail, agreed, longest }
    }

    /// The stream is there, and this connection is the one that writes.
    async fn writer(&self) -> Result<Arc<StreamWriter>, BrokerError> {
        let mut writer = self.writer.lock().await;
        if let Some(writer) = writer.as_ref().filter(|one| one.channel.status().connected()) {
            return Ok(Arc::clone(writer));
        }
        *writer = None;
        let connection = self.writing.connection().await?;
        let opened = timeout(LONGEST, self.open_writer(&connection)).await;
        let (channel, lock) = match opened {
            Ok(opened) => opened?,
            Err(_) => {
                self.writing.end(&connection).await;
                return Err(no_answer());
            }
        };
        let opened = StreamWriter { id: rand::random(), connection, channel, _lock: lock };
        Ok(Arc::clone(writer.insert(Arc::new(opened))))
    }

    async fn open_writer(&self, connection: &RabbitConnection) -> Result<(Channel, Consumer), BrokerError> {
        let channel = connection.create_channel().await.map_err(|error| told(&error))?;
        self.declare(&channel).await?;
        let lock = self.take_lock(&channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|error| told(&error))?;
        Ok((channel, lock))
    }

    async fn take_lock(&self, channel: &Channel) -> Result<Consumer, BrokerError> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongInt(LOCK_KEPT));
        let declared = channel.queue_declare(self.lock.as_str().into(), options, arguments).await;
        declared.map_err(|error| told(&error))?;
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let taken = channel.basic_consume(self.lock.as_str().into(), "".into(), options, FieldTable::default()).await;
        taken.map_err(|error| match told(&error) {
            BrokerError::Refused { code: ACCESS_REFUSED, text } if text.contains("exclusive use") => {
                BrokerError::Away("an earlier connection of this host is still open there".to_owned())
            }
            told => told,
        })
    }

    /// Declares the stream. One that is there already must have been declared the same way: without limits.
    async fn declare(&self, channel: &Channel) -> Result<(), BrokerError> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        let declared = channel.queue_declare(self.topic.as_str().into(), options, arguments).await;
        declared.map(drop).map_err(|error| match told(&error) {
            BrokerError::Refused { code: PRECONDITION_FAILED, text } => BrokerError::Unfit(format!(
                "RabbitMQ cannot have the stream `{}` as Atoll needs it, durable and without limits of its own: {text}",
                self.topic
            )),
            BrokerError::Refused { code: ACCESS_REFUSED, text } => BrokerError::Login(text),
            told => told,
        })
    }

    async fn tail(&self) -> Result<Arc<StreamTail>, BrokerError> {
        let mut tail = self.tail.lock().await;
        if let Some(tail) = tail.as_ref().filter(|tail| tail.end().is_none()) {
            return Ok(Arc::clone(tail));
        }
        *tail = None;
        let connection = self.reading.connection().await?;
        let opened = async {
            let channel = connection.create_channel().await.map_err(|error| told(&error))?;
            // A reader may come before any writer.
            self.declare(&channel).await?;
            StreamTail::open(&connection, self.topic.as_str()).await
        };
        let opened = bounded(LONGEST, opened, (&self.reading, &connection)).await?;
        Ok(Arc::clone(tail.insert(Arc::new(opened))))
    }

    /// The tail, which has seen all that this host has ever sent, and all that the stream had when it was asked for.
    async fn complete_tail(&self) -> Result<Arc<StreamTail>, BrokerError> {
        let mut agreed = self.agreed.lock().await;
        let (writer, tail) = (self.writer().await?, self.tail().await?);
        if *agreed == Some((writer.id, tail.id)) {
            return Ok(tail);
        }
        *agreed = None;
        let id = format!("atoll-{:032x}", rand::random::<u128>());
        self.send(&writer, [(message::mark(&id), &[][..])]).await?;
        let number = self.number_of(&tail, &id).await?;
        let reach = tail.reach();
        if reach.last_event == 0 {
            let found = self.last_event_before(reach.first.unwrap_or(number)).await?;
            tail.found_last_event(found);
        }
        *agreed = Some((writer.id, tail.id));
        Ok(tail)
    }

    /// Waits for the message with this id. If it does not come, the connection that reads is broken.
    async fn number_of(&self, tail: &Arc<StreamTail>, id: &str) -> Result<u64, BrokerError> {
        match timeout(LONGEST, tail.number_of(id)).await {
            Ok(number) => number,
            Err(_) => {
                let mut current = self.tail.lock().await;
                if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, tail)) {
                    *current = None;
                }
                Err(no_answer())
            }
        }
    }

    /// Publishes messages in their order, and waits until all are confirmed. After an error nobody knows which are
    /// there, and this writer writes no more.
    async fn send<'a>(
        &self,
        writer: &Arc<StreamWriter>,
        messages: impl IntoIterator<Item = (BasicProperties, &'a [u8])>,
    ) -> Result<(), BrokerError> {
        let messages: Vec<_> = messages.into_iter().collect();
        let bytes: usize = messages.iter().map(|(_, payload)| payload.len()).sum();
        let time = LONGEST + MEBIBYTE.saturating_mul(u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
        let sent = timeout(time, publish(&writer.channel, self.topic.as_str(), messages)).await;
        let sent = sent.unwrap_or_else(|_| Err(no_answer()));
        if sent.is_err() {
            let mut current = self.writer.lock().await;
            if current.as_ref().is_some_and(|current| current.id == writer.id) {
                *current = None;
            }
            // What is still under way is done before the broker lets the next connection write.
            self.writing.end(&writer.connection).await;
        }
        sent
    }

    async fn append_all(&self, events: &[OutgoingEvent]) -> Result<u64, BrokerError> {
        let Some(last) = events.last() else {
            return Err(BrokerError::Unread("nothing was to be appended".to_owned()));
        };
        let (writer, tail) = (self.writer().await?, self.tail().await?);
        let message = |event| (message::properties(&self.topic, event), event.record.payload.as_bytes());
        self.send(&writer, events.iter().map(message)).await?;
        self.number_of(&tail, &last.id).await
    }

    async fn read(&self, after: u64, most: usize) -> Result<StoredPage, BrokerError> {
        let mut tail = self.tail().await?;
        if tail.reach().last == 0 {
            tail = self.complete_tail().await?;
        }
        if let Some(page) = tail.after(after, most) {
            return Ok(page);
        }
        let reach = tail.reach();
        let mut page = self.read_old(after, most, reach.last).await?;
        page.more = page.events.last().is_some_and(|last| last.number < reach.last_event);
        Ok(page)
    }

    /// The number of the first message that the stream still has. It has one.
    async fn first_message(&self) -> Result<u64, BrokerError> {
        let connection = self.reading.connection().await?;
        let reading = async {
            let first = AMQPValue::LongString("first".into());
            let (channel, mut messages) = consume(&connection, self.topic.as_str(), first, 1).await?;
            let Some(delivery) = messages.next().await else {
                return Err(BrokerError::Away("the server has ended the reading of a stream".to_owned()));
            };
            let delivery = delivery.map_err(|error| told(&error))?;
            let first = message::seen(&delivery).ok_or_else(no_offset)?;
            let _ = channel.close(200, "".into()).await;
            Ok(first.number)
        };
        bounded(LONGEST, reading, (&self.reading, &connection)).await
    }

    /// The number of the latest event below `end`; 0 if there is none.
    async fn last_event_before(&self, end: u64) -> Result<u64, BrokerError> {
        let (mut end, (mut step, growth)) = (end, BACK);
        while end > 1 {
            let begin = end.saturating_sub(step).max(1);
            let (mut after, mut found) = (begin - 1, 0);
            loop {
                let page = self.read_old(after, usize::MAX, end - 1).await?;
                found = page.events.last().map_or(found, |event| event.number);
                match page.events.last() {
                    Some(last) if page.more => after = last.number,
                    _ => break,
                }
            }
            if found > 0 {
                return Ok(found);
            }
            (end, step) = (begin, step.saturating_mul(growth));
        }
        Ok(0)
    }

    /// At most `most` events with numbers above `after` and up to `until`, at which there is a message.
    async fn read_old(&self, after: u64, most: usize, until: u64) -> Result<StoredPage, BrokerError> {
        let mut page = StoredPage::default();
        if after >= until {
            return Ok(page);
        }
        let connection = self.reading.connection().await?;
        let before = self.longest.load(Ordering::Relaxed);
        let ahead = ahead_of(before);
        let reading = async {
            // The number of a message is one more than its offset.
            let from = AMQPValue::LongLongInt(i64::try_from(after).unwrap_or(i64::MAX));
            let (channel, mut messages) = consume(&connection, self.topic.as_str(), from, ahead).await?;
            let (mut bytes, mut came, mut longest) = (0, 0, 0);
            while let Some(delivery) = messages.next().await {
                let delivery = delivery.map_err(|error| told(&error))?;
                let SeenMessage { number, event, .. } = message::seen(&delivery).ok_or_else(no_offset)?;
                came += 1;
                longest = longest.max(delivery.data.len() as u64);
                if let Some(event) = event.filter(|_| number > after && number <= until) {
                    bytes += event.bytes;
                    page.events.push(event);
                }
                page.more = number < until;
                if !page.more || page.events.len() >= most || bytes >= PAGE_BYTES {
                    self.longest.store(longest_after(before, longest), Ordering::Relaxed);
                    let _ = channel.close(200, "".into()).await;
                    return Ok(page);
                }
                if came % u64::from(ahead / 2) == 0 {
                    acknowledge(&channel, delivery.delivery_tag).await?;
                }
            }
            Err(BrokerError::Away("the server has ended the reading of a stream".to_owned()))
        };
        bounded(LONGEST, reading, (&self.reading, &connection)).await
    }
}

/// How many messages the server sends ahead of an acknowledgement while a page is read: what was sent when the page is
/// full is thrown away, and with messages up to `longest` that is a page at most. At least 2, so that some are under
/// way while others are acknowledged.
fn ahead_of(longest: u64) -> u16 {
    u16::try_from(PAGE_BYTES / longest.max(1)).unwrap_or(u16::MAX).clamp(2, AHEAD)
}

/// What the next page's longest payload may be, after one for which `before` was expected and `seen` came. It falls
/// slowly: a stream of short and long messages is not read as if all were short.
fn longest_after(before: u64, seen: u64) -> u64 {
    seen.max(before / 2)
}

async fn publish<'a>(
    channel: &Channel,
    queue: &str,
    messages: impl IntoIterator<Item = (BasicProperties, &'a [u8])>,
) -> Result<(), BrokerError> {
    // A message for which there is no queue is confirmed as well: it comes back first.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut confirmations = Vec::new();
    for (properties, payload) in messages {
        let sent = channel.basic_publish("".into(), queue.into(), options, payload, properties).await;
        confirmations.push(sent.map_err(|error| told(&error))?);
    }
    let mut refused = None;
    for confirmation in confirmations {
        match confirmation.await.map_err(|error| told(&error))? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(_)) => refused = Some("the stream has gone"),
            Confirmation::Nack(_) | Confirmation::NotRequested => refused = Some("the server does not store events"),
        }
    }
    refused.map_or(Ok(()), |what| Err(BrokerError::Away(what.to_owned())))
}

/// Ends the connection if it does not answer in time.
async fn bounded<T>(
    time: Duration,
    work: impl Future<Output = Result<T, BrokerError>>,
    (link, connection): (&RabbitLink, &Arc<RabbitConnection>),
) -> Result<T, BrokerError> {
    match timeout(time, work).await {
        Ok(done) => done,
        Err(_) => {
            link.end(connection).await;
            Err(no_answer())
        }
    }
}

impl BrokerLog for RabbitStream {
    fn after(&self, after: u64, most: usize) -> BrokerFuture<'_, StoredPage> {
        Box::pin(self.read(after, most))
    }

    fn append<'a>(&'a self, events: &'a [OutgoingEvent]) -> BrokerFuture<'a, u64> {
        Box::pin(self.append_all(events))
    }

    fn extent(&self) -> BrokerFuture<'_, LogExtent> {
        Box::pin(async move {
            let tail = self.complete_tail().await?;
            Ok(LogExtent { last: tail.reach().last_event, bytes: 0 })
        })
    }

    fn begins_with(&self, first: u64) -> BrokerFuture<'_, bool> {
        // Marks stand before the first event.
        Box::pin(async move { Ok(first <= 1 || self.first_message().await? == 1) })
    }

    fn keeps_all(&self) -> bool {
        true
    }

    fn drop_until(&self, _: u64) -> BrokerFuture<'_, ()> {
        let what = "RabbitMQ removes old events of a stream by its own policies alone";
        Box::pin(async move { Err(BrokerError::Unfit(what.to_owned())) })
    }

    fn news(&self) -> BrokerFuture<'_, ()> {
        Box::pin(async move {
            let tail = self.tail().await?;
            tail.news().await;
            tail.end().map_or(Ok(()), Err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_reader_expects_the_longest_payloads_and_then_what_it_has_seen() {
        let mut longest = longest::PAYLOAD as u64;
        assert_eq!(ahead_of(longest), 2);
        let mut pages = 0;
        while ahead_of(longest) < AHEAD {
            longest = longest_after(longest, 100);
            pages += 1;
        }
        assert!(pages < 10, "{pages} pages of short messages");
        assert_eq!(ahead_of(longest_after(longest, 100 << 10)), 10);
    }

    proptest! {
        #[test]
        fn no_more_than_a_page_is_sent_ahead(
            payloads in proptest::collection::vec(0..=longest::PAYLOAD as u64, 1..20),
        ) {
            let mut longest = longest::PAYLOAD as u64;
            for payload in payloads {
                longest = longest_after(longest, payload);
                let ahead = ahead_of(longest);
                prop_assert!((2..=AHEAD).contains(&ahead));
                prop_assert!(u64::from(ahead) * payload <= PAGE_BYTES);
            }
        }
    }
}
