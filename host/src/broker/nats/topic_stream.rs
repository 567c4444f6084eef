//! The log of a topic in a stream of JetStream.
//!
//! Events are read by their number, without a consumer of the server's. A durable consumer hands out what was not
//! acknowledged after a wait, and later events of the same key before it: a crash of the host would break the order.
//! How far a subscription is, its notes on this disk say, in the same commits as the effects of its handlers.

use super::jet_stream::JetStream;
use super::{message, stream_config};
use crate::broker::broker_log::{Broker, BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredPage};
use crate::broker::error::BrokerError;
use crate::broker::request_time::{LONGEST, no_answer};
use crate::events::TopicName;
use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The most bytes of one page.
const PAGE_BYTES: u64 = 1 << 20;
/// "stream not found".
const NO_STREAM: u64 = 10059;
/// "stream name already in use": another host was faster.
const NAME_IN_USE: u64 = 10058;
/// "atomic publish unsupported header used": 2.12.0 takes no ids in a batch.
const NO_IDS: u64 = 10177;
/// "atomic publish batch contains duplicate message id".
const KNOWN_ID: u64 = 10201;

/// The stream of one topic.
pub(super) struct TopicStream {
    broker: JetStream,
    topic: TopicName,
    name: String,
    /// Whether several messages can be appended together. `None`: the stream was not looked at since the last error.
    atomic: Mutex<Option<bool>>,
    /// What others publish.
    published: Mutex<Option<Subscriber>>,
}

impl TopicStream {
    pub(super) fn new(broker: JetStream, topic: &TopicName) -> Self {
        let (atomic, published) = (Mutex::new(None), Mutex::new(None));
        Self { broker, topic: topic.clone(), name: stream_config::name(topic), atomic, published }
    }

    /// Looks whether the stream is there and as it should be, and creates it if it is not there. Returns whether
    /// several messages can be appended together.
    async fn prepare(&self) -> Result<bool, BrokerError> {
        let mut atomic = self.atomic.lock().await;
        if let Some(atomic) = *atomic {
            return Ok(atomic);
        }
        let level = self.broker.fit_for_events().await?;
        let there = match self.api("STREAM.INFO", Value::Null).await {
            Err(BrokerError::Refused { code: NO_STREAM, .. }) => {
                let wanted = stream_config::wanted(&self.topic, self.broker.replicas(), level);
                match self.api("STREAM.CREATE", wanted).await {
                    Err(BrokerError::Refused { code: NAME_IN_USE, .. }) => self.api("STREAM.INFO", Value::Null).await?,
                    created => created?,
                }
            }
            there => there?,
        };
        Ok(*atomic.insert(stream_config::check(&self.topic, &there["config"], level)?))
    }

    async fn api(&self, request: &str, body: Value) -> Result<Value, BrokerError> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.broker.ask(&format!("$JS.API.{request}.{}", self.name), None, body).await
    }

    /// After an error the stream is looked at again: the server may be another one.
    async fn watched<T>(&self, outcome: Result<T, BrokerError>) -> Result<T, BrokerError> {
        if outcome.is_err() {
            *self.atomic.lock().await = None;
        }
        outcome
    }

    async fn read(&self, after: u64, most: usize) -> Result<StoredPage, BrokerError> {
        self.prepare().await?;
        self.broker.reached()?;
        let client = self.broker.client();
        let inbox = client.new_inbox();
        let away = |error: &dyn std::error::Error| BrokerError::Away(error.to_string());
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| away(&error))?;
        let wanted = json!({ "seq": after.saturating_add(1), "batch": most, "max_bytes": PAGE_BYTES });
        let subject = format!("$JS.API.DIRECT.GET.{}", self.name);
        client.publish_with_reply(subject, inbox, wanted.to_string().into()).await.map_err(|error| away(&error))?;
        let mut page = StoredPage::default();
        loop {
            let Some(answer) = answers.next().await else {
                return Err(BrokerError::Away("the connection has ended".to_owned()));
            };
            match answer.status.map(|status| status.as_u16()) {
                None => page.events.extend(message::stored(&answer)),
                // The end of the batch, which says what is left (ADR-31).
                Some(204) => {
                    let left = answer.headers.as_ref().and_then(|headers| headers.get("Nats-Num-Pending"));
                    page.more = left.is_some_and(|left| left.as_str().trim() != "0");
                    return Ok(page);
                }
                // There is no message from this number on.
                Some(404) => return Ok(page),
                Some(503) => return Err(BrokerError::Away("nobody answers for the stream".to_owned())),
                Some(code) => {
                    let text = answer.description.unwrap_or_default();
                    return Err(BrokerError::Refused { code: code.into(), text });
                }
            }
        }
    }

    async fn append_all(&self, events: &[OutgoingEvent]) -> Result<u64, BrokerError> {
        let atomic = self.prepare().await?;
        if atomic && events.len() > 1 {
            match self.append_together(events).await {
                Err(BrokerError::Refused { code: NO_IDS | KNOWN_ID, .. }) => {}
                outcome => return outcome,
            }
        }
        let mut last = 0;
        for event in events {
            // The next one is sent when this one is there. With several under way one could be refused and those behind
            // it not, so that it came after them.
            let headers = message::headers(&self.topic, event);
            let sent = self.broker.ask(self.topic.as_str(), Some(headers), payload(event)).await?;
            last = self.number(&sent)?;
        }
        Ok(last)
    }

    /// One atomic batch (ADR-50): all of it is there, or nothing.
    async fn append_together(&self, events: &[OutgoingEvent]) -> Result<u64, BrokerError> {
        let batch = format!("{:032x}", rand::random::<u128>());
        for (event, index) in events.iter().zip(1_usize..) {
            let mut headers = message::headers(&self.topic, event);
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", index.to_string().as_str());
            if index == events.len() {
                headers.insert("Nats-Batch-Commit", "1");
                let sent = self.broker.ask(self.topic.as_str(), Some(headers), payload(event)).await?;
                return self.number(&sent);
            }
            self.broker.reached()?;
            let sent =
                self.broker.client().publish_with_headers(self.topic.as_str().to_owned(), headers, payload(event));
            sent.await.map_err(|error| BrokerError::Away(error.to_string()))?;
        }
        Err(BrokerError::Unread("nothing was to be appended".to_owned()))
    }

    /// The number in an acknowledgement. It must be of this stream: another one may have taken the subject.
    fn number(&self, sent: &Value) -> Result<u64, BrokerError> {
        if sent["stream"] != self.name.as_str() {
            let what = format!("the stream {} takes the events of the topic `{}`", sent["stream"], self.topic);
            return Err(BrokerError::Unfit(what));
        }
        sent["seq"].as_u64().ok_or_else(|| BrokerError::Unread("an acknowledgement without a number".to_owned()))
    }

    async fn state(&self) -> Result<LogExtent, BrokerError> {
        self.prepare().await?;
        let info = self.api("STREAM.INFO", Value::Null).await?;
        let of = |name: &str| info["state"][name].as_u64();
        let last = of("last_seq").ok_or_else(|| BrokerError::Unread("a stream without a state".to_owned()))?;
        Ok(LogExtent { last, bytes: of("bytes").unwrap_or_default() })
    }

    async fn listen(&self) -> Result<(), BrokerError> {
        let mut published = self.published.lock().await;
        if published.is_none() {
            let subject = self.topic.as_str().to_owned();
            let subscribed = self.broker.client().subscribe(subject).await;
            *published = Some(subscribed.map_err(|error| BrokerError::Away(error.to_string()))?);
        }
        let Some(messages) = published.as_mut() else { return Ok(()) };
        if messages.next().await.is_none() {
            *published = None;
            return Err(BrokerError::Away("the connection has ended".to_owned()));
        }
        // One hint is enough for all that have come.
        while messages.next().now_or_never().flatten().is_some() {}
        Ok(())
    }
}

fn payload(event: &OutgoingEvent) -> Bytes {
    event.record.payload.clone().into()
}

impl Broker for JetStream {
    fn log(&self, topic: &TopicName, _: &str) -> Arc<dyn BrokerLog> {
        Arc::new(TopicStream::new(self.clone(), topic))
    }

    fn place(&self) -> &str {
        Self::place(self)
    }
}

impl BrokerLog for TopicStream {
    fn after(&self, after: u64, most: usize) -> BrokerFuture<'_, StoredPage> {
        Box::pin(async move {
            let read = timeout(LONGEST, self.read(after, most)).await.unwrap_or_else(|_| Err(no_answer()));
            self.watched(read).await
        })
    }

    fn append<'a>(&'a self, events: &'a [OutgoingEvent]) -> BrokerFuture<'a, u64> {
        Box::pin(async move {
            // Each request is bounded by itself; publications wait for the connection alone.
            let longest = LONGEST.saturating_mul(u32::try_from(events.len()).unwrap_or(u32::MAX));
            let sent = timeout(longest, self.append_all(events)).await.unwrap_or_else(|_| Err(no_answer()));
            self.watched(sent).await
        })
    }

    fn extent(&self) -> BrokerFuture<'_, LogExtent> {
        Box::pin(async move { self.watched(self.state().await).await })
    }

    fn drop_until(&self, number: u64) -> BrokerFuture<'_, ()> {
        Box::pin(async move {
            self.prepare().await?;
            self.api("STREAM.PURGE", json!({ "seq": number.saturating_add(1) })).await.map(drop)
        })
    }

    fn news(&self) -> BrokerFuture<'_, ()> {
        Box::pin(self.listen())
    }
}
