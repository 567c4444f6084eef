//! A disk that only reads the storage below: changes stay in memory, and end with it.
//!
//! redb cannot open a database that was not closed cleanly without writing: it repairs the file first. While the disk
//! is full, the repair happens here, in memory, and the services can still read.

use super::disk::Disk;
use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The size in bytes of the pieces in which changes are kept.
const BLOCK: u64 = 4096;

/// The storage below, and the changes on top of it.
#[derive(Debug)]
pub(super) struct ReadOnlyDisk {
    below: Arc<Disk>,
    changes: RwLock<Changes>,
}

#[derive(Debug)]
struct Changes {
    /// The length that the reader sees, in bytes.
    len: u64,
    /// How many bytes from the start of the storage below are still read. A cut of the length makes them fewer.
    kept: u64,
    /// The blocks that were written, by their number.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl ReadOnlyDisk {
    /// Reads `below` as it is now.
    ///
    /// Syncs `below` first: what a service reads from here must not be lost with the power.
    pub(super) fn new(below: Arc<Disk>) -> io::Result<Self> {
        below.sync_data()?;
        let len = below.len()?;
        Ok(Self { below, changes: RwLock::new(Changes { len, kept: len, blocks: BTreeMap::new() }) })
    }

    fn changes(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes_mut(&self) -> RwLockWriteGuard<'_, Changes> {
        self.changes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` from the storage below; with zeros where that has no bytes.
    fn read_below(&self, kept: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(kept.saturating_sub(offset)).map_or(out.len(), |found| found.min(out.len()));
        let (below, beyond) = out.split_at_mut(found);
        beyond.fill(0);
        if below.is_empty() { Ok(()) } else { self.below.read(offset, below) }
    }
}

/// The parts of `offset..offset + len` in each block: the block, the part's start in the block, and its length.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    (offset / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let start = offset.max(block * BLOCK);
        let stop = end.min((block + 1) * BLOCK);
        let within = usize::try_from(start % BLOCK).expect("a block is small");
        (block, within, usize::try_from(stop.saturating_sub(start)).expect("a block is small"))
    })
}

impl StorageBackend for ReadOnlyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if offset + out.len() as u64 > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(changes.kept, offset, out)?;
        let mut done = 0;
        for (block, within, len) in parts(offset, out.len()) {
            if let Some(bytes) = changes.blocks.get(&block) {
                out[done..done + len].copy_from_slice(&bytes[within..within + len]);
            }
            done += len;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes_mut();
        changes.len = len;
        changes.kept = changes.kept.min(len);
        changes.blocks.split_off(&len.div_ceil(BLOCK));
        if let Some(bytes) = changes.blocks.get_mut(&(len / BLOCK)) {
            bytes[usize::try_from(len % BLOCK).expect("a block is small")..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes_mut();
        let mut done = 0;
        for (block, within, len) in parts(offset, data.len()) {
            if !changes.blocks.contains_key(&block) {
                let mut bytes = vec![0; usize::try_from(BLOCK).expect("a block is small")];
                self.read_below(changes.kept, block * BLOCK, &mut bytes)?;
                changes.blocks.insert(block, bytes.into());
            }
            let bytes = changes.blocks.get_mut(&block).expect("it was just inserted");
            bytes[within..within + len].copy_from_slice(&data[done..done + len]);
            done += len;
        }
        changes.len = changes.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }

    // The locks are those of the storage below: no other host may write to the file while this one reads it.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use redb::backends::InMemoryBackend;

    #[test]
    fn it_reads_as_the_storage_below_would_with_the_same_changes_and_leaves_that_as_it_was() {
        for seed in 0..50 {
            let mut random = SmallRng::seed_from_u64(seed);
            let below = InMemoryBackend::new();
            let mut image: Vec<u8> = (0..random.random_range(0..30_000)).map(|_| random.random()).collect();
            let before = image.clone();
            below.set_len(image.len() as u64).unwrap();
            below.write(0, &image).unwrap();
            let below = Arc::new(Disk::new(Box::new(below), Arc::default()));
            let disk = ReadOnlyDisk::new(below.clone()).unwrap();
            for _ in 0..100 {
                if random.random_bool(0.2) {
                    image.resize(random.random_range(0..40_000), 0);
                    disk.set_len(image.len() as u64).unwrap();
                } else {
                    let offset = random.random_range(0..40_000);
                    let data: Vec<u8> = (0..random.random_range(1..10_000)).map(|_| random.random()).collect();
                    image.resize(image.len().max(offset + data.len()), 0);
                    image[offset..offset + data.len()].copy_from_slice(&data);
                    disk.write(offset as u64, &data).unwrap();
                }
                assert_eq!(disk.len().unwrap(), image.len() as u64, "seed {seed}");
                let start = random.random_range(0..=image.len());
                let mut found = vec![1; random.random_range(0..=image.len() - start)];
                disk.read(start as u64, &mut found).unwrap();
                assert_eq!(found, image[start..start + found.len()], "seed {seed}");
            }
            assert!(disk.read(image.len() as u64, &mut [0]).is_err());
            let mut after = vec![0; before.len()];
            below.read(0, &mut after).unwrap();
            assert_eq!((after, below.len().unwrap()), (before.clone(), before.len() as u64), "seed {seed}");
        }
    }
}
