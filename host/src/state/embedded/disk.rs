//! The database's file: created with private permissions, made durable, and watched for failed syncs.

use crate::state::error::{StateError, StorageCause};
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::ops::{Bound, Range};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// No file of an interrupted creation is larger: redb starts a file with about 1 MiB.
const LARGEST_UNFINISHED: u64 = 16 << 20;
/// The size of redb's header, in bytes. redb writes nothing else before the magic number.
const HEADER: usize = 320;
/// The position of the magic number, which redb writes last and by itself.
const MAGIC: Range<usize> = 0..9;
/// The position of the page size.
const PAGE_SIZE: Range<usize> = 12..16;
/// The page size that redb writes.
const REDB_PAGE_SIZE: [u8; 4] = 4096_u32.to_le_bytes();

/// How many bytes the storage must take before the database is opened for writing again: as much as a few commits need.
const PROBE: usize = 256 << 10;

/// Opens the file at `path`. Creates the file (0600) and its folders (0700) where they are absent. The permissions of
/// existing ones do not change.
pub(super) fn open_file(path: &Path) -> Result<FileBackend, StateError> {
    let failed = |problem: &'static str, cause: StorageCause| {
        let source = Some(cause);
        StateError::Io { path: path.into(), problem, source }
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The name of a new folder is an entry in the folder above it, so that folder has to be synced as well.
    let above: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).filter_map(Path::parent).collect();
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|error| failed("its folder could not be created", StorageCause::new(error)))?;
    // Opening a named pipe would block, and a device must not be written to.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(StateError::NotADatabase { path: path.into() });
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("the file could not be opened", StorageCause::new(error)))?;
    // redb syncs the content of the file. The name of the file is content of its folder, which redb does not sync.
    for folder in std::iter::once(folder).chain(above) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // Some file systems cannot sync a folder. There is nothing better to do on those.
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                return Err(failed("its folder could not be synced to disk", StorageCause::new(error)));
            }
            _ => {}
        }
    }
    FileBackend::new(file).map_err(|error| failed("the file could not be used", StorageCause::new(error)))
}

/// A storage that remembers whether a sync has ever failed.
///
/// After a failed sync, the kernel may take pages for clean that never reached the disk. A later sync would then
/// succeed, and data that can be read now may be gone after a loss of power. So no commit may be acknowledged on this
/// storage any more. An error of redb alone does not tell that a sync failed.
#[derive(Debug)]
pub(super) struct Disk {
    inner: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl Disk {
    /// Watches `inner`, and sets `sync_failed` when a sync fails.
    pub(super) fn new(inner: Box<dyn StorageBackend>, sync_failed: Arc<AtomicBool>) -> Self {
        Self { inner, sync_failed }
    }

    /// Whether the storage takes writes: writes after its end, and takes that away again. If the host ends in between,
    /// the next opening ignores what is there. The caller holds the lock on the file.
    pub(super) fn probe(&self) -> io::Result<()> {
        let len = self.inner.len()?;
        let written = self.inner.write(len, &vec![0; PROBE]);
        written.and(self.inner.set_len(len))
    }

    /// As [`Disk::probe`], for a caller without the lock. A file that another process has locked passes: opening it
    /// says so.
    pub(super) fn probe_alone(&self) -> io::Result<()> {
        self.alone(|| self.probe())
    }

    /// Empties a file whose creation was interrupted: a crash came between redb's first write and its magic number,
    /// and redb would refuse the file for ever.
    ///
    /// Such a file has redb's header without the magic number, or zeros in its place, and only zeros after it. So
    /// there is no data that could be lost. A file that another process has locked is left alone.
    pub(super) fn clear_unfinished(&self) -> io::Result<()> {
        self.alone(|| if self.is_unfinished()? { self.inner.set_len(0) } else { Ok(()) })
    }

    /// Calls `f` with the file locked, or not at all if another process has locked it.
    fn alone(&self, f: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let whole = (Bound::Unbounded, Bound::Unbounded);
        let locked = match self.inner.try_lock_range(whole.0, whole.1) {
            Ok(true) => true,
            Ok(false) => return Ok(()),
            // A storage without locks is not shared with another process.
            Err(_) => false,
        };
        let result = f();
        if locked {
            self.inner.unlock_range(whole.0, whole.1).map_err(io::Error::other)?;
        }
        result
    }

    fn is_unfinished(&self) -> io::Result<bool> {
        let len = self.inner.len()?;
        if len == 0 || len > LARGEST_UNFINISHED {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(len).expect("16 MiB fit")];
        self.inner.read(0, &mut bytes)?;
        let (header, data) = bytes.split_at(bytes.len().min(HEADER));
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let is_of_redb = header.get(PAGE_SIZE) == Some(&REDB_PAGE_SIZE) && is_zero(&header[MAGIC]);
        Ok(is_zero(data) && (is_of_redb || is_zero(header)))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
