//! The components that nodes hand to each other, in the form of NATS's object store (ADR-20), so that `nats object`
//! shows them. A component's name is its digest, and only the digest of what was read decides what it is.

use super::bucket::NodeBucket;
use super::error::ClusterError;
use crate::base::Digest;
use crate::broker::BrokerError;
use async_nats::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// "stream not found".
const NO_STREAM: u64 = 10059;
/// "stream name already in use": another node was faster.
const NAME_IN_USE: u64 = 10058;
/// "no message found".
const NO_MESSAGE: u64 = 10037;
/// The usual size of a chunk: a message of NATS may have 1 MiB, and comes back half as long again, in Base64.
const CHUNK: usize = 128 << 10;
/// The largest component.
const LARGEST: u64 = 256 << 20;
/// How much all components may have: NATS reserves it, and refuses what is beyond.
const MOST: u64 = 2 << 30;

/// The store.
#[derive(Clone)]
pub(super) struct ComponentStore {
    bucket: NodeBucket,
    /// The name of its bucket: `atoll_NAME`.
    name: String,
}

impl ComponentStore {
    pub(super) fn new(bucket: NodeBucket, cluster: &str) -> Self {
        Self { bucket, name: format!("atoll_{cluster}") }
    }

    /// Puts a component there, unless it is there already.
    pub(super) async fn put(&self, component: &Bytes) -> Result<Digest, ClusterError> {
        let digest = Digest::of(component);
        self.prepare().await?;
        if self.get(&digest).await.is_ok() {
            return Ok(digest);
        }
        let object = format!("{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let subject = format!("$O.{}.C.{object}", self.name);
        if let Err(error) = self.write(component, &digest, (&object, &subject)).await {
            // A part of one is of no use.
            let purged = self.api("STREAM.PURGE", json!({ "filter": subject })).await;
            tracing::debug!(?purged, "the chunks of a component that was not written");
            return Err(error);
        }
        Ok(digest)
    }

    async fn write(
        &self,
        component: &Bytes,
        digest: &Digest,
        (object, subject): (&str, &str),
    ) -> Result<(), ClusterError> {
        let nats = self.bucket.nats();
        let mut chunks = 0;
        let mut rest = component.clone();
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(CHUNK));
            nats.ask(subject, None, chunk).await?;
            chunks += 1;
        }
        let meta = json!({
            "name": digest.to_string(),
            "bucket": self.name,
            "nuid": object,
            "size": component.len(),
            "chunks": chunks,
            "digest": format!("SHA-256={}", URL_SAFE.encode(digest.0)),
            "options": { "max_chunk_size": CHUNK },
        });
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        nats.ask(&self.meta(digest), Some(headers), meta.to_string().into()).await?;
        Ok(())
    }

    /// A component that was put there.
    pub(super) async fn get(&self, digest: &Digest) -> Result<Bytes, ClusterError> {
        let unread = |what: &str| ClusterError::Component(format!("the component {} {what}", digest.short()));
        let asked = json!({ "last_by_subj": self.meta(digest) });
        let (_, meta) = self.message(asked).await?.ok_or_else(|| unread("is not in NATS's object store"))?;
        let meta: Value = serde_json::from_slice(&meta).map_err(|_| unread("has no readable description"))?;
        let (size, chunks) = (meta["size"].as_u64(), meta["chunks"].as_u64());
        let (Some(size), Some(chunks), Some(object)) = (size, chunks, meta["nuid"].as_str()) else {
            return Err(unread("has no readable description"));
        };
        if size > LARGEST {
            return Err(unread("is larger than 256 MiB"));
        }
        let subject = format!("$O.{}.C.{object}", self.name);
        let (mut component, mut next) = (BytesMut::new(), 0);
        for _ in 0..chunks {
            let asked = json!({ "seq": next, "next_by_subj": subject });
            let (at, chunk) =
                self.message(asked).await?.ok_or_else(|| unread("is not whole in NATS's object store"))?;
            component.extend_from_slice(&chunk);
            if component.len() as u64 > size {
                return Err(unread("is longer than its description says"));
            }
            next = at + 1;
        }
        let component = component.freeze();
        let whole = component.len() as u64 == size && Digest::of(&component) == *digest;
        if whole { Ok(component) } else { Err(unread("in NATS's object store is another one than its name says")) }
    }

    /// Takes a component away that nobody needs any more.
    pub(super) async fn remove(&self, digest: &Digest) -> Result<(), ClusterError> {
        let asked = json!({ "last_by_subj": self.meta(digest) });
        let Some((_, meta)) = self.message(asked).await? else { return Ok(()) };
        let meta: Value = serde_json::from_slice(&meta).unwrap_or_default();
        let object = meta["nuid"].as_str().unwrap_or_default();
        let mut subjects = vec![self.meta(digest)];
        if !object.is_empty() {
            subjects.push(format!("$O.{}.C.{object}", self.name));
        }
        for subject in subjects {
            self.api("STREAM.PURGE", json!({ "filter": subject })).await?;
        }
        Ok(())
    }

    fn meta(&self, digest: &Digest) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(digest.to_string()))
    }

    async fn prepare(&self) -> Result<(), ClusterError> {
        let wanted = json!({
            "name": format!("OBJ_{}", self.name),
            "description": "the components of a cluster of Atoll",
            "subjects": [format!("$O.{}.C.>", self.name), format!("$O.{}.M.>", self.name)],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_bytes": MOST,
            "num_replicas": self.bucket.nats().replicas(),
            "allow_rollup_hdrs": true,
            "allow_direct": true,
        });
        match self.api("STREAM.INFO", Value::Null).await {
            Err(BrokerError::Refused { code: NO_STREAM, .. }) => match self.api("STREAM.CREATE", wanted).await {
                Err(BrokerError::Refused { code: NAME_IN_USE, .. }) | Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            },
            info => info.map(drop).map_err(ClusterError::from),
        }
    }

    /// A message of the stream, from its leader, with its number; `None`: there is none.
    async fn message(&self, asked: Value) -> Result<Option<(u64, Vec<u8>)>, ClusterError> {
        let answer = match self.api("STREAM.MSG.GET", asked).await {
            Err(BrokerError::Refused { code: NO_MESSAGE | NO_STREAM, .. }) => return Ok(None),
            answer => answer?,
        };
        let message = &answer["message"];
        let unread = || BrokerError::Unread("a message without a number".to_owned());
        let number = message["seq"].as_u64().ok_or_else(unread)?;
        let data = STANDARD.decode(message["data"].as_str().unwrap_or_default());
        Ok(Some((number, data.map_err(|error| BrokerError::Unread(error.to_string()))?)))
    }

    async fn api(&self, request: &str, body: Value) -> Result<Value, BrokerError> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.bucket.nats().ask(&format!("$JS.API.{request}.OBJ_{}", self.name), None, body).await
    }
}
