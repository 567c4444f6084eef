//! Follows the end of a stream of RabbitMQ: what comes is in memory before anybody asks for it.
//!
//! AMQP 0.9.1 has no other way to learn how far a stream goes, and a confirmation does not tell the number of a
//! message. A reader that is up to date costs no request, and two subscriptions of a topic are served by one delivery.

use super::link::{RabbitConnection, told};
use super::message::seen;
use super::recent_events::RecentEvents;
use crate::broker::broker_log::StoredPage;
use crate::broker::error::BrokerError;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How many messages the server sends ahead of an acknowledgement.
pub(super) const AHEAD: u16 = 256;
/// After so many messages they are acknowledged, so that the server goes on.
const ACKNOWLEDGED_AFTER: u64 = 64;
/// They are acknowledged after this time in any case: the server closes a channel that lets it wait for 30 minutes.
const QUIET: Duration = Duration::from_secs(1);

/// The end of the stream of one topic. It stops following when it is dropped.
pub(super) struct StreamTail {
    /// Names it among all that were.
    pub(super) id: u64,
    state: Arc<TailState>,
    task: JoinHandle<()>,
}

/// How far a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailReach {
    /// The oldest message that is remembered.
    pub(super) first: Option<u64>,
    /// The latest message; 0 if none was seen.
    pub(super) last: u64,
    /// The latest event; 0 if none was seen.
    pub(super) last_event: u64,
}

struct TailState {
    recent: Mutex<RecentEvents>,
    /// How many messages came, and why no more come.
    came: watch::Sender<(u64, Option<BrokerError>)>,
    news: Notify,
}

impl StreamTail {
    /// Begins to follow: with the last chunk of the stream, which has its last message.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub(super) async fn open(connection: &RabbitConnection, queue: &str) -> Result<Self, BrokerError> {
        let last = AMQPValue::LongString("last".into());
        let (channel, consumer) = consume(connection, queue, last, AHEAD).await?;
        let state =
            Arc::new(TailState { recent: Mutex::default(), came: watch::Sender::new((0, None)), news: Notify::new() });
        let following = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let Err(error) = following.follow(&channel, consumer).await;
            following.came.send_modify(|came| came.1 = Some(error));
            following.news.notify_one();
        });
        Ok(Self { id: rand::random(), state, task })
    }

    /// Why no more messages come; `None` while they do.
    pub(super) fn end(&self) -> Option<BrokerError> {
        self.state.came.borrow().1.clone()
    }

    /// How far it is.
    pub(super) fn reach(&self) -> TailReach {
        let recent = self.state.recent();
        TailReach { first: recent.first(), last: recent.last(), last_event: recent.last_event() }
    }

    /// As [`RecentEvents::found_last_event`].
    pub(super) fn found_last_event(&self, number: u64) {
        self.state.recent().found_last_event(number);
    }

    /// As [`RecentEvents::after`].
    pub(super) fn after(&self, after: u64, most: usize) -> Option<StoredPage> {
        self.state.recent().after(after, most)
    }

    /// Waits for the message with this id, and answers with its number.
    ///
    /// # Errors
    /// No more messages come.
    pub(super) async fn number_of(&self, id: &str) -> Result<u64, BrokerError> {
        let mut came = self.state.came.subscribe();
        loop {
            let end = came.borrow_and_update().1.clone();
            if let Some(number) = self.state.recent().number_of(id) {
                return Ok(number);
            }
            if let Some(end) = end {
                return Err(end);
            }
            // The sender is in `self`.
            let _ = came.changed().await;
        }
    }

    /// Waits until something has come since the last time.
    pub(super) async fn news(&self) {
        self.state.news.notified().await;
    }
}

impl Drop for StreamTail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TailState {
    fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(&self, channel: &Channel, mut consumer: Consumer) -> Result<std::convert::Infallible, BrokerError> {
        let (mut last, mut acknowledged) = (0, 0);
        loop {
            let quiet = async { if last == acknowledged { pending().await } else { sleep(QUIET).await } };
            let due = tokio::select! {
                next = consumer.next() => {
                    let Some(next) = next else {
                        return Err(BrokerError::Away("the server has ended the reading of a stream".to_owned()));
                    };
                    let delivery = next.map_err(|error| told(&error))?;
                    let message = seen(&delivery).ok_or_else(no_offset)?;
                    last = delivery.delivery_tag;
                    self.recent().push(message);
                    self.came.send_modify(|came| came.0 += 1);
                    self.news.notify_one();
                    last - acknowledged >= ACKNOWLEDGED_AFTER
                }
                () = quiet => true,
            };
            if due {
                acknowledge(channel, last).await?;
                acknowledged = last;
            }
        }
    }
}

/// Begins to read a stream, on a channel of its own: what a consumer has taken stays taken until its channel is closed.
pub(super) async fn consume(
    connection: &RabbitConnection,
    queue: &str,
    from: AMQPValue,
    ahead: u16,
) -> Result<(Channel, Consumer), BrokerError> {
    let channel = connection.create_channel().await.map_err(|error| told(&error))?;
    channel.basic_qos(ahead, BasicQosOptions::default()).await.map_err(|error| told(&error))?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), from);
    let consumer = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments).await;
    Ok((channel, consumer.map_err(|error| told(&error))?))
}

/// Acknowledges all messages up to this one.
pub(super) async fn acknowledge(channel: &Channel, tag: u64) -> Result<(), BrokerError> {
    channel.basic_ack(tag, BasicAckOptions { multiple: true }).await.map_err(|error| told(&error))
}

pub(super) fn no_offset() -> BrokerError {
    BrokerError::Unfit("the server delivers messages without `x-stream-offset`: they are not of a stream".to_owned())
}
