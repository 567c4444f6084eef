//! A disk in memory that counts syncs, and that fails or loses power when a test wants it to.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A disk writes this many bytes at once or not at all.
const SECTOR: usize = 512;

/// How long a test waits for a sync before it fails.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// A handle on the disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimDisk {
    shared: Arc<(Mutex<SimDiskState>, Condvar)>,
}

#[derive(Debug, Default)]
struct SimDiskState {
    /// The image that a read sees.
    live: Vec<u8>,
    /// The image that survives a loss of power for certain.
    durable: Vec<u8>,
    /// The changes since the last sync.
    unsynced: Vec<ImageChange>,
    syncs: u64,
    /// How many further writes, syncs and changes of length succeed before the power fails; `None`: it does not fail.
    power: Option<u64>,
    fail_writes: bool,
    fail_syncs: bool,
    /// Whether a sync waits at the gate until the gate is opened.
    gate_shut: bool,
    at_gate: bool,
}

#[derive(Debug)]
enum ImageChange {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl ImageChange {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                image.resize(image.len().max(offset + data.len()), 0);
                image[*offset..offset + data.len()].copy_from_slice(data);
            }
            Self::SetLen(len) => image.resize(*len, 0),
        }
    }
}

impl SimDisk {
    /// A disk with `image` on it.
    pub(super) fn holding(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.lock().live.clone_from(&image);
        disk.lock().durable = image;
        disk
    }

    /// How often the disk was synced.
    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// From now on `changes` writes, syncs and changes of length succeed; then the power is off.
    pub(super) fn cut_power_after(&self, changes: u64) {
        self.lock().power = Some(changes);
    }

    /// Whether the power is off.
    pub(super) fn is_off(&self) -> bool {
        self.lock().power == Some(0)
    }

    /// Makes every write fail, or succeed again.
    pub(super) fn fail_writes(&self, fail: bool) {
        self.lock().fail_writes = fail;
    }

    /// Makes every sync fail, or succeed again.
    pub(super) fn fail_syncs(&self, fail: bool) {
        self.lock().fail_syncs = fail;
    }

    /// Makes the next sync wait at the gate.
    pub(super) fn shut_gate(&self) {
        self.lock().gate_shut = true;
    }

    /// Waits until a sync is at the gate.
    pub(super) fn wait_for_sync(&self) {
        let waited = self.shared.1.wait_timeout_while(self.lock(), SYNC_TIMEOUT, |state| !state.at_gate).unwrap();
        assert!(!waited.1.timed_out(), "no sync came");
    }

    /// Opens the gate: the sync goes on.
    pub(super) fn open_gate(&self) {
        self.lock().gate_shut = false;
        self.shared.1.notify_all();
    }

    /// The image after a loss of power: everything that was synced, and a random part of the rest, in whole changes or
    /// in single sectors.
    pub(super) fn image_after_power_loss(&self, seed: u64) -> Vec<u8> {
        let mut random = SmallRng::seed_from_u64(seed);
        let state = self.lock();
        let mut image = state.durable.clone();
        let kept = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        let torn = [0.0, 0.0, 0.5][random.random_range(0..3)];
        for change in &state.unsynced {
            match change {
                ImageChange::Write(offset, data) if random.random_bool(torn) => {
                    for (i, sector) in data.chunks(SECTOR).enumerate() {
                        if random.random_bool(kept) {
                            ImageChange::Write(offset + i * SECTOR, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
                change if random.random_bool(kept) => change.apply(&mut image),
                _ => {}
            }
        }
        image
    }

    fn lock(&self) -> MutexGuard<'_, SimDiskState> {
        self.shared.0.lock().unwrap()
    }

    /// Takes the power for one change, if there is any.
    fn spend_power(&self) -> io::Result<MutexGuard<'_, SimDiskState>> {
        let mut state = self.lock();
        match &mut state.power {
            Some(0) => return Err(io::Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }

    fn change(&self, change: ImageChange) -> io::Result<()> {
        let mut state = self.spend_power()?;
        if state.fail_writes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut state.live);
        state.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let offset = usize::try_from(offset).unwrap();
        let state = self.lock();
        let found = state.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(ImageChange::SetLen(usize::try_from(len).unwrap()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(ImageChange::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.spend_power()?;
        state.syncs += 1;
        while state.gate_shut {
            state.at_gate = true;
            self.shared.1.notify_all();
            state = self.shared.1.wait(state).unwrap();
        }
        state.at_gate = false;
        if state.fail_syncs {
            return Err(io::Error::other("the disk does not answer"));
        }
        let SimDiskState { durable, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|change| change.apply(durable));
        Ok(())
    }
}
