//! A bucket as of one moment. The server has no such thing: from that moment on, each script that writes over a value
//! keeps it for the moment first, and a page is put together from what is there and what was kept.

use super::pages::{self, OddAnswer};
use super::reader::RedisReader;
use super::resp::{RespArguments, RespReply};
use super::script;
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::{FrozenBucket, ValueForm};
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// How long a moment lives that nobody reads, in milliseconds: a host that was killed must not have values kept for
/// ever.
const UNREAD: &str = "60000";

/// A moment of all buckets.
struct RedisMoment {
    line: Arc<RedisReader>,
    id: String,
    version: u64,
    _permit: OwnedSemaphorePermit,
}

/// One bucket of it.
pub(super) struct FrozenKeys {
    moment: Arc<RedisMoment>,
    bucket: ServiceName,
}

impl FrozenKeys {
    /// The bucket as it is now.
    pub(super) async fn begin(
        line: &Arc<RedisReader>,
        bucket: &ServiceName,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StateError> {
        let id = format!("{:032x}", rand::random::<u128>());
        // From here on: whoever drops this future has the moment ended, if it has begun.
        let mut moment = RedisMoment { line: Arc::clone(line), id, version: 0, _permit: permit };
        let arguments = line.servers.arguments().with(&moment.id).with(UNREAD);
        let answer = line.run(&script::FREEZE, &arguments).await?;
        moment.version = pages::number(answer.get(1)).map_err(|_| line.servers.odd_answer())?;
        Ok(Self { moment: Arc::new(moment), bucket: bucket.clone() })
    }

    fn arguments(&self) -> RespArguments {
        let RedisMoment { line, id, .. } = &*self.moment;
        line.servers.arguments().with(id).with(UNREAD).with(self.bucket.as_str())
    }

    /// What a script answers, unless the moment is over.
    async fn run(&self, script: &script::RedisScript, arguments: &RespArguments) -> Result<Vec<RespReply>, StateError> {
        let servers = &self.moment.line.servers;
        let answer = self.moment.line.run(script, arguments).await?;
        if pages::status(&answer) == b"gone" {
            let problem = "what was to be read as of one moment was not read for a minute, and is not kept any more; \
                           begin again";
            return Err(super::failure::away(&servers.place, problem));
        }
        Ok(answer)
    }

    fn odd(&self) -> impl Fn(OddAnswer) -> StateError {
        |_| self.moment.line.servers.odd_answer()
    }
}

impl Drop for RedisMoment {
    fn drop(&mut self) {
        let (line, arguments) = (Arc::clone(&self.line), self.line.servers.arguments().with(&self.id));
        self.line.servers.runtime.spawn(async move {
            // Without it the moment ends by itself.
            let _ = line.run(&script::THAW, &arguments).await;
        });
    }
}

impl FrozenBucket for FrozenKeys {
    fn version(&self) -> u64 {
        self.moment.version
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn beside(&self, bucket: &ServiceName) -> BackendFuture<'_, Arc<dyn FrozenBucket>> {
        let beside = Self { moment: Arc::clone(&self.moment), bucket: bucket.clone() };
        Box::pin(async move { Ok(Arc::new(beside) as Arc<dyn FrozenBucket>) })
    }

    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>> {
        Box::pin(async move {
            let arguments = self.arguments().with(limit::BYTES.to_string());
            let arguments = keys.iter().fold(arguments, RespArguments::with);
            let answer = self.run(&script::FROZEN_GET, &arguments).await?;
            pages::values(answer, keys.len()).map_err(self.odd())?
        })
    }

    /// Values are stored as they were written.
    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, _: ValueForm) -> BackendFuture<'_, Page<Entry>> {
        Box::pin(async move {
            let mut after = after;
            loop {
                let (from, to) = pages::bounds(&prefix, after.as_deref());
                let (most, bytes) = (limit.to_string(), limit::PAGE_BYTES.to_string());
                let arguments = self.arguments().with(from).with(to).with(most).with(bytes);
                let answer = self.run(&script::FROZEN_SCAN, &arguments).await?;
                let page = pages::entries_of_moment(answer, limit).map_err(self.odd())?;
                // All of the page may be new since.
                if !page.items.is_empty() || page.next.is_none() {
                    return Ok(page);
                }
                after = page.next;
            }
        })
    }
}
