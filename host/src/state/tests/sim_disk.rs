//! A disk in memory that counts, fails and loses power when told to.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What a disk writes at once or not at all, in bytes.
const SECTOR: usize = 512;

/// How long a sync that never comes is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handle on the disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimDisk {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    /// What a reader finds.
    live: Vec<u8>,
    /// What the last sync has made to last.
    durable: Vec<u8>,
    /// What has happened since.
    unsynced: Vec<Change>,
    syncs: u64,
    /// Calls that change something until the power fails.
    power: Option<u64>,
    fail_writes: bool,
    fail_syncs: bool,
    /// Whether a sync waits at the gate until it is opened.
    gate_shut: bool,
    at_gate: bool,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Change {
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

    /// How often it was synced.
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

    /// Lets every write fail, or succeed again.
    pub(super) fn fail_writes(&self, fail: bool) {
        self.lock().fail_writes = fail;
    }

    /// Lets every sync fail, or succeed again.
    pub(super) fn fail_syncs(&self, fail: bool) {
        self.lock().fail_syncs = fail;
    }

    /// Holds the next sync up.
    pub(super) fn shut_gate(&self) {
        self.lock().gate_shut = true;
    }

    /// Waits until a sync stands at the gate.
    pub(super) fn wait_for_sync(&self) {
        let waited = self.state.1.wait_timeout_while(self.lock(), PATIENCE, |state| !state.at_gate).unwrap();
        assert!(!waited.1.timed_out(), "no sync came");
    }

    /// Lets the sync through.
    pub(super) fn open_gate(&self) {
        self.lock().gate_shut = false;
        self.state.1.notify_all();
    }

    /// What is on the disk after a loss of power: all that was synced, and of the rest what chance has written out, in whole changes or
    /// in single sectors.
    pub(super) fn image_after_power_loss(&self, seed: u64) -> Vec<u8> {
        let mut random = SmallRng::seed_from_u64(seed);
        let state = self.lock();
        let mut image = state.durable.clone();
        let kept = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        let torn = [0.0, 0.0, 0.5][random.random_range(0..3)];
        for change in &state.unsynced {
            match change {
                Change::Write(offset, data) if random.random_bool(torn) => {
                    for (i, sector) in data.chunks(SECTOR).enumerate() {
                        if random.random_bool(kept) {
                            Change::Write(offset + i * SECTOR, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
                change if random.random_bool(kept) => change.apply(&mut image),
                _ => {}
            }
        }
        image
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// One change, if there is power for it.
    fn spend(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        match &mut state.power {
            Some(0) => return Err(io::Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.spend()?;
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
        self.change(Change::SetLen(usize::try_from(len).unwrap()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.spend()?;
        state.syncs += 1;
        while state.gate_shut {
            state.at_gate = true;
            self.state.1.notify_all();
            state = self.state.1.wait(state).unwrap();
        }
        state.at_gate = false;
        if state.fail_syncs {
            return Err(io::Error::other("the disk does not answer"));
        }
        let State { durable, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|change| change.apply(durable));
        Ok(())
    }
}
