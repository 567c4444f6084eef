//! The data on a database server: who may read and write them, and until when, whatever the server speaks.

use super::remote_frozen::RemoteFrozen;
use super::remote_reader::{ListedRange, RemoteReader};
use super::remote_standing::RemoteStanding;
use super::remote_writer::RemoteWriter;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore};

/// The most buckets that are frozen at once: for each one a server keeps what is written over, or a session.
const MOST_FROZEN: usize = 4;

/// The services' data on one database server.
pub(in crate::state) struct RemoteDatabase<R, W> {
    reader: Arc<R>,
    /// Held for one batch.
    writer: Arc<Mutex<W>>,
    frozen: Arc<Semaphore>,
    /// The server and the database, for messages.
    place: String,
    /// Whether other hosts write too.
    shared: bool,
    closed: AtomicBool,
}

impl<R: RemoteReader, W: RemoteWriter> RemoteDatabase<R, W> {
    /// Of a reader and a writer of the same data.
    pub(in crate::state) fn new(reader: R, writer: W, (place, shared): (String, bool)) -> Self {
        Self {
            reader: Arc::new(reader),
            writer: Arc::new(Mutex::new(writer)),
            frozen: Arc::new(Semaphore::new(MOST_FROZEN)),
            place,
            shared,
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) async fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        self.is_open()?;
        self.reader.get(bucket, keys).await
    }

    pub(super) async fn scan(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Entry>, StateError> {
        self.is_open()?;
        self.reader.scan(bucket, range).await
    }

    pub(super) async fn keys(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Key>, StateError> {
        self.is_open()?;
        self.reader.keys(bucket, range).await
    }

    /// As [`RemoteWriter::write`].
    pub(super) async fn write(
        &self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        self.is_open()?;
        self.writer.lock().await.write(batch).await
    }

    /// `standing` is told what the reads of it find.
    pub(super) async fn freeze(
        &self,
        bucket: &ServiceName,
        standing: &Arc<RemoteStanding>,
    ) -> Result<Arc<dyn FrozenBucket>, StateError> {
        self.is_open()?;
        let permit = Arc::clone(&self.frozen).try_acquire_owned().map_err(|_| StateError::Overloaded)?;
        let snapshot = self.reader.snapshot().await?;
        Ok(Arc::new(RemoteFrozen::new((snapshot, permit), bucket, standing)))
    }

    /// Deletes all values of `bucket`. Returns whether there were any.
    pub(super) async fn erase(&self, bucket: &ServiceName) -> Result<bool, StateError> {
        self.is_open()?;
        let (writer, bucket) = (Arc::clone(&self.writer), bucket.clone());
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
    }

    /// Whether the server can be read.
    pub(super) async fn probe_reads(&self) -> Result<(), StateError> {
        self.is_open()?;
        self.reader.probe().await
    }

    /// As [`RemoteWriter::probe`]. `None`: a batch is under way, which learns what there is to learn.
    pub(super) async fn probe_writes(&self) -> Result<Option<()>, StateError> {
        self.is_open()?;
        let Ok(mut writer) = self.writer.try_lock() else { return Ok(None) };
        let probed = writer.probe().await;
        drop(writer);
        if self.is_open().is_err() {
            self.close_writer();
        }
        probed.map(Some)
    }

    /// As [`RemoteWriter::release`].
    pub(super) async fn release(&self) -> Result<(), StateError> {
        self.writer.lock().await.release().await
    }

    /// Closes the connections. Blocks for a moment at most.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reader.close();
        self.close_writer();
    }

    /// As [`Backend::check_alone`](crate::state::Backend::check_alone).
    pub(super) fn check_alone(&self) -> Result<(), StateError> {
        let what = "migrate data while other hosts write them (`shared = true`)";
        if self.shared { Err(self.unsupported(what)) } else { Ok(()) }
    }

    /// Why the values cannot be encrypted or read as they are stored.
    pub(super) fn plain_only(&self) -> StateError {
        self.unsupported("hold encrypted values")
    }

    fn unsupported(&self, what: &'static str) -> StateError {
        StateError::Unsupported { place: self.place.clone(), what }
    }

    /// Nobody writes any more, or whoever does is cut off with the host; a probe that has the writer closes it after.
    fn close_writer(&self) {
        if let Ok(mut writer) = self.writer.try_lock() {
            writer.close();
        }
    }

    fn is_open(&self) -> Result<(), StateError> {
        if self.closed.load(Ordering::Acquire) { Err(StateError::Closed) } else { Ok(()) }
    }
}
