//! The data as of one moment. The server has no such thing: from that moment on, each script that writes over a value
//! keeps it for the snapshot first, and a page is put together from what is there and what was kept.

use super::pages::{self, OddAnswer};
use super::reader::RedisReader;
use super::resp::{RespArguments, RespReply};
use super::script;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::remote::{ListedRange, RemoteSnapshot};
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use std::sync::Arc;

/// How long a snapshot lives that nobody reads, in milliseconds: a host that was killed must not have values kept for
/// ever.
const UNREAD: &str = "60000";

/// A snapshot of all buckets.
pub(in crate::state) struct RedisSnapshot {
    reader: Arc<RedisReader>,
    id: String,
    version: u64,
}

impl RedisSnapshot {
    /// The data as they are now.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn begin(reader: &Arc<RedisReader>) -> Result<Self, StateError> {
        let id = format!("{:032x}", rand::random::<u128>());
        // From here on: whoever drops this future has the snapshot ended, if it has begun.
        let mut snapshot = Self { reader: Arc::clone(reader), id, version: 0 };
        let arguments = reader.servers.arguments().with(&snapshot.id).with(UNREAD);
        let answer = reader.run(&script::FREEZE, &arguments).await?;
        snapshot.version = pages::number(answer.get(1)).map_err(|_| reader.servers.odd_answer())?;
        Ok(snapshot)
    }

    fn arguments(&self, bucket: &ServiceName) -> RespArguments {
        self.reader.servers.arguments().with(&self.id).with(UNREAD).with(bucket.as_str())
    }

    /// What a script answers, unless the snapshot is over.
    async fn run(&self, script: &script::RedisScript, arguments: &RespArguments) -> Result<Vec<RespReply>, StateError> {
        let answer = self.reader.run(script, arguments).await?;
        if pages::status(&answer) == b"gone" {
            let problem = "what was to be read as of one moment was not read for a minute, and is not kept any more; \
                           begin again";
            return Err(super::failure::away(&self.reader.servers.place, problem));
        }
        Ok(answer)
    }

    fn odd(&self) -> impl Fn(OddAnswer) -> StateError {
        |_| self.reader.servers.odd_answer()
    }
}

impl Drop for RedisSnapshot {
    fn drop(&mut self) {
        let (reader, arguments) = (Arc::clone(&self.reader), self.reader.servers.arguments().with(&self.id));
        self.reader.servers.runtime.spawn(async move {
            // Without it the snapshot ends by itself.
            let _ = reader.run(&script::THAW, &arguments).await;
        });
    }
}

impl RemoteSnapshot for RedisSnapshot {
    fn version(&self) -> u64 {
        self.version
    }

    async fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let arguments = self.arguments(bucket).with(limit::BYTES.to_string());
        let arguments = keys.iter().fold(arguments, RespArguments::with);
        let answer = self.run(&script::FROZEN_GET, &arguments).await?;
        pages::values(answer, keys.len()).map_err(self.odd())?
    }

    async fn scan(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Entry>, StateError> {
        let ListedRange { prefix, after, limit } = range;
        let mut after = after.map(Key::from);
        loop {
            let (from, to) = pages::bounds(prefix, after.as_deref());
            let (most, bytes) = (limit.to_string(), limit::PAGE_BYTES.to_string());
            let arguments = self.arguments(bucket).with(from).with(to).with(most).with(bytes);
            let answer = self.run(&script::FROZEN_SCAN, &arguments).await?;
            let page = pages::entries_of_snapshot(answer, limit).map_err(self.odd())?;
            // All of the page may be new since.
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(page);
            }
            after = page.next;
        }
    }
}
