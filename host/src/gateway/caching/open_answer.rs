//! A kept answer whose content is at hand.

use super::super::disk::file_body;
use super::cache_disk::{CacheDisk, StoredFile};
use super::spool::SpoolReader;
use crate::base::{Body, full_body};
use crate::cache::{KeptAnswer, KeptContent, StoredContent};
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// A kept answer, and its content: a file of it is open, so it can be sent whatever leaves the cache meanwhile.
#[derive(Clone)]
pub(super) struct OpenAnswer {
    pub(super) kept: Arc<KeptAnswer>,
    content: OpenContent,
}

#[derive(Clone)]
enum OpenContent {
    Memory(Bytes),
    Disk(Arc<CacheDisk>, Arc<StoredFile>, Arc<File>, usize),
    /// It is being written to the disk.
    Spooled(SpoolReader),
}

impl OpenAnswer {
    /// Opens `kept`; `None`: its file cannot be read.
    pub(super) async fn open(disk: Option<&Arc<CacheDisk>>, kept: &Arc<KeptAnswer>) -> Option<Self> {
        let content = match &kept.content {
            KeptContent::Memory(content) => OpenContent::Memory(content.clone()),
            // Boxed: requests for what is in memory would pay for the size of this future.
            KeptContent::Stored(content) => Box::pin(open_file(disk?, content)).await?,
        };
        Some(Self { kept: Arc::clone(kept), content })
    }

    /// `kept` with this content, which is kept in memory.
    pub(super) fn in_memory(mut kept: KeptAnswer, content: Bytes) -> Self {
        kept.content = KeptContent::Memory(content.clone());
        Self { kept: Arc::new(kept), content: OpenContent::Memory(content) }
    }

    /// An answer whose content is on its way to the disk.
    pub(super) fn spooled(kept: Arc<KeptAnswer>, reader: SpoolReader) -> Self {
        Self { kept, content: OpenContent::Spooled(reader) }
    }

    /// Another answer with the same content.
    pub(super) fn with(self, kept: Arc<KeptAnswer>) -> Self {
        Self { kept, ..self }
    }

    /// The length of the content; `None`: it is on its way, and its service does not say.
    pub(super) fn length(&self) -> Option<usize> {
        match &self.content {
            OpenContent::Memory(content) => Some(content.len()),
            OpenContent::Disk(_, _, _, length) => Some(*length),
            OpenContent::Spooled(reader) => reader.length().and_then(|length| usize::try_from(length).ok()),
        }
    }

    /// What `Cache-Status` says of where the content is.
    pub(super) fn place(&self) -> Option<&'static str> {
        match &self.content {
            OpenContent::Memory(_) => None,
            OpenContent::Disk(..) => Some("disk"),
            OpenContent::Spooled(_) => Some("to-disk"),
        }
    }

    /// All of the content.
    pub(super) fn body(self) -> Body {
        match self.content {
            OpenContent::Memory(content) => full_body(content),
            OpenContent::Spooled(reader) => reader.body(0..u64::MAX),
            OpenContent::Disk(.., length) => self.part(0..length),
        }
    }

    /// A part of the content, within its length.
    pub(super) fn part(self, part: Range<usize>) -> Body {
        let wide = part.start as u64..part.end as u64;
        match self.content {
            OpenContent::Memory(content) => full_body(content.slice(part)),
            OpenContent::Spooled(reader) => reader.body(wide),
            OpenContent::Disk(disk, stored, file, _) => file_body(disk.permits().clone(), file, wide, stored),
        }
    }
}

async fn open_file(disk: &Arc<CacheDisk>, content: &StoredContent) -> Option<OpenContent> {
    let stored = Arc::clone(&content.place).downcast::<StoredFile>().ok()?;
    match stored.open(content.length as u64).await {
        Ok(file) => Some(OpenContent::Disk(Arc::clone(disk), stored, file, content.length)),
        Err(error) => {
            tracing::warn!(%error, "a file of the cache cannot be read: its answer is fetched anew");
            None
        }
    }
}
