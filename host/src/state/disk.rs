//! The database's file: made privately, made to last, and watched for a sync that fails.

use super::error::StateError;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::ops::{Bound, Range};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// No interrupted creation is larger: redb starts a file with about 1 MiB.
const LARGEST_STILLBORN: u64 = 16 << 20;
/// redb's header, the only thing that it writes before the magic number.
const HEADER: usize = 320;
/// Where the magic number stands, which is written last and by itself.
const MAGIC: Range<usize> = 0..9;
/// Where the size of a page stands, and the one that redb writes.
const PAGE_SIZE: (Range<usize>, [u8; 4]) = (12..16, 4096_u32.to_le_bytes());

/// Opens the file at `path`, and creates it (0600) and its folders (0700) where they are absent. Permissions that exist are left alone.
pub(super) fn open_file(path: &Path) -> Result<FileBackend, StateError> {
    let failed = |doing: &str, e: &io::Error| StateError::Io { path: path.into(), detail: format!("{doing}: {e}") };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Each new folder's name is an entry in the folder above it, which has to be on disk as well.
    let above: Vec<&Path> = folder.ancestors().take_while(|f| !f.exists()).filter_map(Path::parent).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| failed("creating its folder", &e))?;
    // A named pipe would block the open, and a device is no place for data.
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
        .map_err(|e| failed("opening it", &e))?;
    // redb syncs what is in the file. That the file has a name is for its folder to remember.
    for folder in std::iter::once(folder).chain(above) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match File::open(folder).and_then(|f| f.sync_all()) {
            // Some file systems cannot sync a folder; there is nothing better to do on those.
            Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                return Err(failed("syncing its folder", &e));
            }
            _ => {}
        }
    }
    FileBackend::new(file).map_err(|e| StateError::Io { path: path.into(), detail: e.to_string() })
}

/// A storage that remembers whether a sync has ever failed.
///
/// After a failed sync the kernel may call pages clean that never reached the disk: a later sync would then succeed, and what is read back
/// now may be gone after a loss of power. So nothing more may be promised on this storage, which an error of redb alone does not tell.
#[derive(Debug)]
pub(super) struct Disk {
    inner: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl Disk {
    /// Watches `inner`; sets `sync_failed` when a sync fails.
    pub(super) fn new(inner: Box<dyn StorageBackend>, sync_failed: Arc<AtomicBool>) -> Self {
        Self { inner, sync_failed }
    }

    /// Empties a file that a crash left between redb's first write and its magic number, since redb would refuse it for ever.
    ///
    /// It has redb's header without the magic number, or zeros there, and zeros behind, so there is no data that could be lost. Does
    /// nothing to a file that somebody else has locked.
    pub(super) fn clear_stillborn(&self) -> io::Result<()> {
        let whole = (Bound::Unbounded, Bound::Unbounded);
        let locked = match self.inner.try_lock_range(whole.0, whole.1) {
            Ok(true) => true,
            Ok(false) => return Ok(()),
            // A storage without locks is nobody else's.
            Err(_) => false,
        };
        let cleared = self.is_stillborn().and_then(|it_is| if it_is { self.inner.set_len(0) } else { Ok(()) });
        if locked {
            self.inner.unlock_range(whole.0, whole.1).map_err(|e| io::Error::other(e.to_string()))?;
        }
        cleared
    }

    fn is_stillborn(&self) -> io::Result<bool> {
        let len = self.inner.len()?;
        if len == 0 || len > LARGEST_STILLBORN {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(len).expect("16 MiB fit")];
        self.inner.read(0, &mut bytes)?;
        let (header, data) = bytes.split_at(bytes.len().min(HEADER));
        let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let redbs = header.get(PAGE_SIZE.0) == Some(&PAGE_SIZE.1) && zero(&header[MAGIC]);
        Ok(zero(data) && (redbs || zero(header)))
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
