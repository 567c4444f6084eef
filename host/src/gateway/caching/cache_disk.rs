//! The folder of the content that is too large for the cache's memory.
//!
//! What lies there is of use to the process alone that wrote it: which answer a file is, whose it is and how long it
//! lives stands in memory. So no file outlives the process in use, and none of another life is ever read.

use super::super::disk::DiskPermits;
use std::fmt::Write;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

/// What files are counted by: a disk gives its room in blocks, of 4 KiB on nearly all.
const BLOCK: u64 = 4096;

/// How the name of a file ends. Nothing else in the folder is touched.
const SUFFIX: &str = ".answer";

/// How long a disk may take to open a file. Its client could as well ask the service meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheDiskError {
    /// Another host has it.
    #[error("another host keeps its answers in the folder {0}")]
    InUse(PathBuf),
    /// It cannot be made, read or cleared.
    #[error("{path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder, with a bound of bytes for all files that are in it, also those that are being written, and those that
/// have left the cache and are still being sent.
#[derive(Debug)]
pub struct CacheDisk {
    folder: PathBuf,
    most_bytes: u64,
    used: watch::Sender<u64>,
    /// The number of the next file.
    next: AtomicU64,
    permits: DiskPermits,
    /// Held as long as the host runs.
    _lock: File,
}

/// The file of one answer's content. It goes with the last one who has it.
#[derive(Debug)]
pub(super) struct StoredFile {
    disk: Arc<CacheDisk>,
    path: PathBuf,
    /// The bytes that it has of the bound.
    reserved: AtomicU64,
}

impl CacheDisk {
    /// The folder, for `most_bytes` in files. It is made if it is not there; what another life of the host left in it
    /// goes.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Arc<Self>, CacheDiskError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheDiskError::Io { path, source }
        };
        // Answers may be somebody's own, so nobody else may read them.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheDiskError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
        }
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_some_and(|end| end == &SUFFIX[1..]) {
                fs::remove_file(&path).map_err(failed(&path))?;
            }
        }
        let (used, next) = (watch::Sender::new(0), AtomicU64::new(0));
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            most_bytes,
            used,
            next,
            permits: DiskPermits::new(),
            _lock: lock,
        }))
    }

    /// The bytes that files have of the bound now.
    pub(super) fn used(&self) -> u64 {
        *self.used.borrow()
    }

    /// The bound.
    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    pub(super) fn permits(&self) -> &DiskPermits {
        &self.permits
    }

    /// Takes `bytes` of the bound, if there are so many left.
    fn take(&self, bytes: u64) -> bool {
        let fits = |used: &mut u64| {
            let fits = *used + bytes <= self.most_bytes;
            *used += if fits { bytes } else { 0 };
            fits
        };
        self.used.send_if_modified(fits)
    }

    /// Takes room for `bytes` as soon as it is free: files of answers that have left may still be on their way out, or
    /// be sent to slow clients. False: there is none within `most`.
    async fn take_soon(&self, bytes: u64, most: Duration) -> bool {
        let mut used = self.used.subscribe();
        let room = async {
            while !self.take(bytes) {
                if used.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(most, room).await.unwrap_or(false)
    }

    fn give_back(&self, bytes: u64) {
        self.used.send_modify(|used| *used = used.saturating_sub(bytes));
    }

    /// A new file with room for `bytes`, open for writing and reading; `None`: there is no room within `most`.
    ///
    /// # Errors
    /// The disk fails, or does not answer.
    pub(super) async fn create(
        self: &Arc<Self>,
        bytes: u64,
        most: Duration,
    ) -> io::Result<Option<(Arc<StoredFile>, Arc<File>)>> {
        let bytes = blocks(bytes);
        if !self.take_soon(bytes, most).await {
            return Ok(None);
        }
        let mut name = String::new();
        // Writing into a text cannot fail.
        let _ = write!(name, "{:016x}{SUFFIX}", self.next.fetch_add(1, Relaxed));
        let path = self.folder.join(name);
        let stored = Arc::new(StoredFile { disk: Arc::clone(self), path, reserved: AtomicU64::new(bytes) });
        // It must not be removed before it is made: nobody may wait any more, and the disk makes it yet.
        let made = Arc::clone(&stored);
        let created = self
            .permits
            .run(move || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&made.path));
        let file = timeout(PATIENCE, created).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Some((stored, Arc::new(file))))
    }
}

impl StoredFile {
    /// Has room for `bytes` in all from now on; false: there is none within `most`.
    pub(super) async fn grow(&self, bytes: u64, most: Duration) -> bool {
        let more = blocks(bytes).saturating_sub(self.reserved());
        let fits = more == 0 || self.disk.take_soon(more, most).await;
        if fits {
            self.reserved.fetch_add(more, Relaxed);
        }
        fits
    }

    /// It will not be longer than `bytes`: what was taken beyond goes back.
    pub(super) fn settle(&self, bytes: u64) {
        let surplus = self.reserved().saturating_sub(blocks(bytes));
        self.reserved.fetch_sub(surplus, Relaxed);
        self.disk.give_back(surplus);
    }

    /// The bytes that it has of the bound.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// It is gone, it is not of this length any more, or the disk does not answer: somebody else was in the folder.
    pub(super) async fn open(self: &Arc<Self>, length: u64) -> io::Result<Arc<File>> {
        // With the path goes the file itself: it must not be removed meanwhile.
        let stored = Arc::clone(self);
        let opened = self.disk.permits.run(move || {
            let file = File::open(&stored.path)?;
            match file.metadata()?.len() {
                found if found == length => Ok(Arc::new(file)),
                found => Err(io::Error::other(format!("it has {found} bytes in place of {length}"))),
            }
        });
        timeout(PATIENCE, opened).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for StoredFile {
    /// Removes it, on a thread that may wait: it is often dropped by whoever has the lock of the store.
    fn drop(&mut self) {
        let (disk, path, reserved) = (Arc::clone(&self.disk), std::mem::take(&mut self.path), self.reserved());
        let remove = move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Its bytes are not free, so they stay counted.
                tracing::warn!(file = %path.display(), %error, "a file of the cache cannot be removed");
            }
            _ => disk.give_back(reserved),
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// The bytes of the blocks that so many bytes take.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}
