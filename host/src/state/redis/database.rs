//! The data in Redis, as the engine asks for them.

use super::frozen_moment::FrozenKeys;
use super::pages;
use super::reader::RedisReader;
use super::resp::RespArguments;
use super::script;
use super::session::RedisServers;
use super::writer::RedisWriter;
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::remote::RemoteDatabase;
use crate::state::remote_settings::RemoteSettings;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore};

/// The most buckets that are frozen at once: for each one, what is written over is kept.
const MOST_FROZEN: usize = 4;

/// The services' data in one database of Redis.
pub(in crate::state) struct RedisDatabase {
    servers: Arc<RedisServers>,
    line: Arc<RedisReader>,
    /// Held for one batch.
    writer: Arc<Mutex<RedisWriter>>,
    frozen: Arc<Semaphore>,
    shared: bool,
    closed: AtomicBool,
}

impl RedisDatabase {
    /// Connects, and takes the data.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] and [`StateError::Taken`], where another try may help; [`StateError::Unfit`].
    pub(in crate::state) async fn connect(settings: &RemoteSettings) -> Result<Self, StateError> {
        let servers = Arc::new(RedisServers::new(settings)?);
        let writer = RedisWriter::open(Arc::clone(&servers), &settings.namespace, settings.shared).await?;
        Ok(Self {
            line: Arc::new(RedisReader::new(Arc::clone(&servers))),
            servers,
            writer: Arc::new(Mutex::new(writer)),
            frozen: Arc::new(Semaphore::new(MOST_FROZEN)),
            shared: settings.shared,
            closed: AtomicBool::new(false),
        })
    }

    fn is_open(&self) -> Result<(), StateError> {
        if self.closed.load(Ordering::Acquire) { Err(StateError::Closed) } else { Ok(()) }
    }

    /// Nobody writes any more, or whoever does is cut off with the host; a probe that has the writer closes it after.
    fn close_writer(&self) {
        if let Ok(mut writer) = self.writer.try_lock() {
            writer.close();
        }
    }

    fn odd<T>(&self, read: Result<T, pages::OddAnswer>) -> Result<T, StateError> {
        read.map_err(|_| self.servers.odd_answer())
    }
}

impl RemoteDatabase for RedisDatabase {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: &'a [Key]) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        Box::pin(async move {
            self.is_open()?;
            let arguments = self.servers.arguments().with(bucket.as_str()).with(limit::BYTES.to_string());
            let arguments = keys.iter().fold(arguments, RespArguments::with);
            let answer = self.line.run(&script::GET, &arguments).await?;
            self.odd(pages::values(answer, keys.len()))?
        })
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        Box::pin(async move {
            self.is_open()?;
            let (from, to) = pages::bounds(prefix, after);
            let (most, bytes) = (limit.to_string(), limit::PAGE_BYTES.to_string());
            let arguments = self.servers.arguments().with(bucket.as_str()).with(from).with(to).with(most).with(bytes);
            self.odd(pages::entries(self.line.run(&script::SCAN, &arguments).await?))
        })
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        Box::pin(async move {
            self.is_open()?;
            let ((from, to), most) = (pages::bounds(prefix, after), limit.saturating_add(1).to_string());
            let arguments = self.servers.arguments().with(bucket.as_str()).with(from).with(to).with(most);
            self.odd(pages::keys(self.line.run(&script::KEYS, &arguments).await?, limit))
        })
    }

    fn write<'a>(
        &'a self,
        batch: &'a [(ServiceName, Transaction)],
    ) -> BackendFuture<'a, Vec<Result<Committed, StateError>>> {
        Box::pin(async move {
            self.is_open()?;
            self.writer.lock().await.write(batch).await
        })
    }

    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        Box::pin(async move {
            self.is_open()?;
            let permit = Arc::clone(&self.frozen).try_acquire_owned().map_err(|_| StateError::Overloaded)?;
            Ok(Arc::new(FrozenKeys::begin(&self.line, bucket, permit).await?) as Arc<dyn FrozenBucket>)
        })
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        let (writer, bucket) = (Arc::clone(&self.writer), bucket.clone());
        Box::pin(async move {
            self.is_open()?;
            // A task of its own: an operator who goes away leaves nothing half erased.
            let erased = tokio::spawn(async move {
                let (mut part, mut had) = (None, false);
                loop {
                    // Between two parts commits have their turn.
                    let erased = writer.lock().await.erase_part(&bucket, part.take()).await?;
                    had |= erased.count > 0;
                    match erased.next {
                        Some(next) => part = Some(next),
                        None => return Ok(had),
                    }
                }
            });
            erased.await.unwrap_or(Err(StateError::Closed))
        })
    }

    fn probe_reads(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            self.is_open()?;
            self.line.probe().await
        })
    }

    fn probe_writes(&self) -> BackendFuture<'_, Option<()>> {
        Box::pin(async move {
            self.is_open()?;
            let Ok(mut writer) = self.writer.try_lock() else { return Ok(None) };
            // Also if nothing can be read: its session may be one of before the server was told to promise less.
            let probed = writer.probe().await;
            drop(writer);
            if self.is_open().is_err() {
                self.close_writer();
            }
            probed.map(Some)
        })
    }

    fn release(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move { self.writer.lock().await.release().await })
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.line.close();
        self.close_writer();
    }

    fn check_alone(&self) -> Result<(), StateError> {
        let what = "migrate data while other hosts write them (`shared = true`)";
        let error = StateError::Unsupported { place: self.servers.place.clone(), what };
        if self.shared { Err(error) } else { Ok(()) }
    }

    fn plain_only(&self) -> StateError {
        StateError::Unsupported { place: self.servers.place.clone(), what: "hold encrypted values" }
    }
}
