//! The bucket of JetStream in which the nodes keep their table: a stream in the form of NATS's key-value store (ADR-8),
//! so that `nats kv` shows it.

use super::error::ClusterError;
use crate::broker::{BrokerError, JetStream};
use async_nats::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// "stream not found".
const NO_STREAM: u64 = 10059;
/// "stream name already in use": another node was faster.
const NAME_IN_USE: u64 = 10058;
/// "no message found".
const NO_MESSAGE: u64 = 10037;
/// "wrong last sequence".
const OVERTAKEN: u64 = 10071;
/// How long the marker of a key that has ended is there: whoever was away for longer lists anew anyway.
const MARKER: Duration = Duration::from_secs(60);

/// The bucket.
#[derive(Clone)]
pub(super) struct NodeBucket {
    nats: JetStream,
    /// The name of its stream.
    stream: String,
    /// The beginning of its subjects.
    prefix: String,
}

/// The last word on a key, as whoever orders the stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastWord {
    /// There was never one, or it is forgotten.
    Nothing,
    /// It has ended: the revision of its marker.
    Ended(u64),
    /// It is there.
    There {
        /// Its revision.
        revision: u64,
        /// What it says.
        text: Vec<u8>,
    },
}

impl NodeBucket {
    /// The bucket of the cluster `name`.
    pub(super) fn new(nats: JetStream, name: &str) -> Self {
        Self { nats, stream: format!("KV_atoll_{name}"), prefix: format!("$KV.atoll_{name}.") }
    }

    pub(super) fn nats(&self) -> &JetStream {
        &self.nats
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// The subject of all keys.
    pub(super) fn subjects(&self) -> String {
        format!("{}>", self.prefix)
    }

    /// The key of a subject; `None` for that of another bucket.
    pub(super) fn key<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.prefix)
    }

    /// Looks whether the bucket is there and as it should be, and creates it if it is not there.
    ///
    /// # Errors
    /// [`ClusterError::Unfit`] names what is wrong with it.
    pub(super) async fn prepare(&self) -> Result<(), ClusterError> {
        self.nats.level().await?;
        let info = || self.api("STREAM.INFO", Value::Null);
        let there = match info().await {
            Err(BrokerError::Refused { code: NO_STREAM, .. }) => match self.api("STREAM.CREATE", self.wanted()).await {
                Err(BrokerError::Refused { code: NAME_IN_USE, .. }) => info().await?,
                created => created?,
            },
            there => there?,
        };
        self.check(&there["config"])
    }

    fn wanted(&self) -> Value {
        json!({
            "name": self.stream,
            "description": "the nodes of a cluster of Atoll",
            "subjects": [self.subjects()],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "num_replicas": self.nats.replicas(),
            "max_msgs_per_subject": 1,
            "allow_msg_ttl": true,
            "subject_delete_marker_ttl": u64::try_from(MARKER.as_nanos()).unwrap_or(u64::MAX),
            "allow_rollup_hdrs": true,
            "deny_delete": true,
            "allow_direct": true,
        })
    }

    /// Servers before 2.12 drop what they do not know without a word.
    fn check(&self, config: &Value) -> Result<(), ClusterError> {
        let unfit = |what: &str| Err(ClusterError::Unfit(format!("the stream `{}` {what}", self.stream)));
        if config["allow_msg_ttl"] != true {
            return unfit("lacks `allow_msg_ttl`: leases in it would never end");
        }
        if config["subject_delete_marker_ttl"].as_u64().unwrap_or(0) == 0 {
            return unfit("lacks `subject_delete_marker_ttl`: nobody would be told of the end of a lease");
        }
        if config["max_msgs_per_subject"] != 1 {
            return unfit("keeps more than one value of a key: old rows would come back (ADR-48)");
        }
        if config["subjects"] != json!([self.subjects()]) {
            return unfit(&format!("has other subjects than `{}`", self.subjects()));
        }
        Ok(())
    }

    async fn api(&self, request: &str, body: Value) -> Result<Value, BrokerError> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.nats.ask(&format!("$JS.API.{request}.{}", self.stream), None, body).await
    }

    /// Writes a key, which ends after `life` unless it is written again; `expected` is the revision that it must have:
    /// 0, that it must not be there. Returns its new revision.
    ///
    /// # Errors
    /// [`ClusterError::Overtaken`] if it has another revision. After any other error it may be written all the same.
    pub(super) async fn put(
        &self,
        key: &str,
        text: String,
        life: Option<Duration>,
        expected: Option<u64>,
    ) -> Result<u64, ClusterError> {
        let mut headers = HeaderMap::new();
        if let Some(life) = life {
            headers.insert("Nats-TTL", format!("{}s", life.as_secs().max(1)).as_str());
        }
        self.write(key, headers, text, expected).await
    }

    /// Ends a key. Others are told that it was ended, and did not run out.
    ///
    /// # Errors
    /// As [`NodeBucket::put`].
    pub(super) async fn remove(&self, key: &str, expected: Option<u64>) -> Result<u64, ClusterError> {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        headers.insert("Nats-TTL", format!("{}s", MARKER.as_secs()).as_str());
        self.write(key, headers, String::new(), expected).await
    }

    async fn write(
        &self,
        key: &str,
        mut headers: HeaderMap,
        text: String,
        expected: Option<u64>,
    ) -> Result<u64, ClusterError> {
        if let Some(expected) = expected {
            headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string().as_str());
        }
        let sent = self.nats.ask(&format!("{}{key}", self.prefix), Some(headers), text.into()).await;
        let sent = match sent {
            Err(BrokerError::Refused { code: OVERTAKEN, .. }) => return Err(ClusterError::Overtaken),
            sent => sent?,
        };
        let unread = || BrokerError::Unread("an acknowledgement without a number".to_owned());
        Ok(sent["seq"].as_u64().ok_or_else(unread)?)
    }

    /// The last word on a key, from the leader of the stream: another replica may not have it yet (ADR-31).
    pub(super) async fn last(&self, key: &str) -> Result<LastWord, ClusterError> {
        let asked = json!({ "last_by_subj": format!("{}{key}", self.prefix) });
        let answer = match self.api("STREAM.MSG.GET", asked).await {
            Err(BrokerError::Refused { code: NO_MESSAGE, .. }) => return Ok(LastWord::Nothing),
            answer => answer?,
        };
        let message = &answer["message"];
        let unread = || BrokerError::Unread("a message without a number".to_owned());
        let revision = message["seq"].as_u64().ok_or_else(unread)?;
        let decoded = |name: &str| STANDARD.decode(message[name].as_str().unwrap_or_default()).unwrap_or_default();
        let headers = String::from_utf8_lossy(&decoded("hdrs")).into_owned();
        if headers.contains("Nats-Marker-Reason:") || headers.contains("KV-Operation:") {
            return Ok(LastWord::Ended(revision));
        }
        Ok(LastWord::There { revision, text: decoded("data") })
    }
}
