//! The watch of a bucket: all that it has, and then each change.
//!
//! It is a consumer of the server's that lives in memory and ends with this connection. Whatever is lost, a message,
//! the connection, the consumer, shows as a gap in its numbers or as silence; then the watch ends with an error, and
//! whoever wants to go on begins another one, with the whole list. async-nats's own watch was dead for ever after some
//! restarts (nats.rs #1596).

use super::bucket::NodeBucket;
use super::error::ClusterError;
use crate::broker::BrokerError;
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BucketNews {
    /// A key was written.
    Written {
        /// Which.
        key: String,
        /// What it says now.
        text: Vec<u8>,
    },
    /// Somebody has ended a key.
    Removed(String),
    /// A key has run out, or an operator has taken it out.
    RanOut(String),
    /// All that was there when the watch began is told.
    Listed,
}

/// A watch.
pub(super) struct BucketWatch {
    bucket: NodeBucket,
    messages: Subscriber,
    /// The name of the consumer at the server.
    consumer: String,
    /// How long it may be silent: the server says that it lives twice in that time.
    silence: Duration,
    /// When it was last heard of.
    heard: Instant,
    /// The number of the last message that has come.
    last: u64,
    /// What of the list is still to come; `None`: it is whole.
    left: Option<u64>,
}

impl BucketWatch {
    /// Begins to watch a bucket that is prepared. News or a sign of life come within `silence`, or the watch ends.
    pub(super) async fn begin(bucket: &NodeBucket, silence: Duration) -> Result<Self, ClusterError> {
        let client = bucket.nats().client();
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| BrokerError::Away(error.to_string()))?;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let wanted = json!({
            "stream_name": bucket.stream(),
            "config": {
                "deliver_subject": inbox,
                "deliver_policy": "last_per_subject",
                "filter_subjects": [bucket.subjects()],
                "ack_policy": "none",
                "replay_policy": "instant",
                "max_deliver": 1,
                "idle_heartbeat": nanoseconds(silence / 2),
                "inactive_threshold": nanoseconds(silence),
                "mem_storage": true,
                "num_replicas": 1,
            },
        });
        let subject = format!("$JS.API.CONSUMER.CREATE.{}", bucket.stream());
        let made = bucket.nats().ask(&subject, None, wanted.to_string().into()).await?;
        let unread = |what: &str| BrokerError::Unread(what.to_owned());
        let consumer = made["name"].as_str().ok_or_else(|| unread("a consumer without a name"))?.to_owned();
        let left = made["num_pending"].as_u64().ok_or_else(|| unread("a consumer without a count"))?;
        let (bucket, heard) = (bucket.clone(), Instant::now());
        Ok(Self { bucket, messages, consumer, silence, heard, last: 0, left: Some(left) })
    }

    /// The next news. It may be dropped while it waits.
    ///
    /// # Errors
    /// The watch has ended.
    pub(super) async fn next(&mut self) -> Result<BucketNews, ClusterError> {
        loop {
            if self.left == Some(0) {
                self.left = None;
                return Ok(BucketNews::Listed);
            }
            // It counts from the last sign of life, however often a caller drops this and asks again.
            let message = timeout_at(self.heard + self.silence, self.messages.next()).await;
            let message = message.map_err(|_| ClusterError::Silent("no sign of life from the registry"))?;
            let message = message.ok_or(ClusterError::Silent("the connection to the registry has ended"))?;
            self.heard = Instant::now();
            if let Some(news) = self.read(&message)? {
                return Ok(news);
            }
        }
    }

    fn read(&mut self, message: &Message) -> Result<Option<BucketNews>, ClusterError> {
        let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().trim().to_owned());
        match message.status.map(|status| status.as_u16()) {
            None => {}
            // A sign of life, with the number of the last message that was sent.
            Some(100) => {
                let sent = header("Nats-Last-Consumer").and_then(|number| number.parse::<u64>().ok());
                return match sent {
                    Some(sent) if sent > self.last => Err(GAP),
                    _ => Ok(None),
                };
            }
            Some(_) => return Err(ClusterError::Silent("the server has ended the watch")),
        }
        let place = message.reply.as_ref().and_then(|reply| Place::parse(reply));
        let place = place.ok_or_else(|| BrokerError::Unread("a message without its number".to_owned()))?;
        if place.number != self.last + 1 {
            return Err(GAP);
        }
        self.last = place.number;
        if let Some(left) = &mut self.left {
            // What is written meanwhile comes after the list, and counts as a part of it.
            *left = (*left).min(place.pending + 1) - 1;
        }
        let Some(key) = self.bucket.key(&message.subject).map(str::to_owned) else { return Ok(None) };
        Ok(Some(if header("Nats-Marker-Reason").is_some() {
            BucketNews::RanOut(key)
        } else if header("KV-Operation").is_some() {
            BucketNews::Removed(key)
        } else {
            BucketNews::Written { key, text: message.payload.to_vec() }
        }))
    }

    /// Ends the consumer at the server, if that can be asked; it ends by itself a little later.
    pub(super) async fn end(self) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.bucket.stream(), self.consumer);
        let _ = timeout(self.silence, self.bucket.nats().ask(&subject, None, bytes::Bytes::new())).await;
    }
}

const GAP: ClusterError = ClusterError::Silent("a message of the registry was lost");

/// Where a message stands, as its reply subject says:
/// `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, with two more words in front in a server
/// with a domain.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Which message of this consumer it is.
    number: u64,
    /// How many come behind it.
    pending: u64,
}

impl Place {
    fn parse(reply: &str) -> Option<Self> {
        let words: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        // ADR-15: 7 words behind the prefix, or 9, and perhaps a random one at the end.
        let first = match words.len() {
            7 => 4,
            9.. => 6,
            _ => return None,
        };
        let number = |at: usize| words.get(at)?.parse().ok();
        Some(Self { number: number(first)?, pending: number(first + 2)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_subject_says_where_a_message_stands() {
        for (reply, place) in [
            ("$JS.ACK.KV_a.c.1.70.7.1234567890.3", Some((7, 3))),
            ("$JS.ACK.dom.acc.KV_a.c.1.70.7.1234567890.3", Some((7, 3))),
            ("$JS.ACK.dom.acc.KV_a.c.1.70.7.1234567890.3.tok", Some((7, 3))),
            ("$JS.ACK.KV_a.c.1.70.x.1234567890.3", None),
            ("$JS.ACK.KV_a.c.1", None),
            ("$JS.FC.KV_a", None),
        ] {
            let expected = place.map(|(number, pending)| Place { number, pending });
            assert_eq!(Place::parse(reply), expected, "{reply}");
        }
    }
}
