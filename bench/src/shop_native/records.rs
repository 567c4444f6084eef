//! The data of a native service: JSON records in a bucket of the host's own store, changed in transactions like those
//! of the components.

use super::refusal::Refusal;
use anyhow::Context;
use host::base::ServiceName;
use host::state::{Bucket, Change, Settings, StateError, Store, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a transaction is tried, as in the components.
const TRIES: u32 = 24;
const LONGEST_PAUSE_MS: u64 = 64;
/// 2026-01-01T00:00:00Z, and the number of random bits after the milliseconds: ids as the components make them.
const EPOCH: u64 = 1_767_225_600_000;
const RANDOM_BITS: u32 = 20;

/// The records of one service.
pub(super) struct Records {
    bucket: Bucket,
}

impl Records {
    /// Opens the database at `path` with the host's default settings, and creates it if it is missing.
    pub(super) fn open(path: PathBuf, service: &str) -> anyhow::Result<Self> {
        let store = Store::open(&Settings { path, ..Settings::default() }).context("its database")?;
        Ok(Self { bucket: store.bucket(&ServiceName::new(service)?) })
    }

    /// The records at `keys` in one snapshot.
    pub(super) async fn find<T: DeserializeOwned>(&self, keys: Vec<String>) -> Result<Vec<Option<T>>, Refusal> {
        let found = self.bucket.get(keys.into_iter().map(String::into_bytes).collect()).await?;
        found.into_iter().map(|found| found.map(|found| decode(&found.value)).transpose()).collect()
    }

    /// The values of the first entries whose keys begin with `prefix`.
    pub(super) async fn first<T: DeserializeOwned>(&self, prefix: &str, most: usize) -> Result<Vec<T>, Refusal> {
        let page = self.bucket.scan(prefix.as_bytes().to_vec(), None, most).await?;
        page.items.iter().map(|entry| decode(&entry.value.value)).collect()
    }

    /// Begins the try of a transaction with this number; the first is 0. Waits before every try but the first, and
    /// gives up in the end.
    pub(super) async fn begin(&self, number: u32) -> Result<Draft<'_>, Refusal> {
        if number == TRIES {
            return Err(Refusal::Unavailable("others write the same records all the time".to_owned()));
        }
        if number > 0 {
            let longest = LONGEST_PAUSE_MS.min(1 << (number - 1).min(u64::BITS - 1));
            tokio::time::sleep(Duration::from_micros(rand::random::<u64>() % (longest * 1_000))).await;
        }
        Ok(Draft { bucket: &self.bucket, transaction: Transaction::default() })
    }
}

/// What was read, and what is to be written if nothing of that has changed.
pub(super) struct Draft<'r> {
    bucket: &'r Bucket,
    transaction: Transaction,
}

impl Draft<'_> {
    /// Reads in one snapshot. The commit demands that none of the keys has changed.
    pub(super) async fn read(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let keys: Vec<_> = keys.into_iter().map(String::into_bytes).collect();
        let found = self.bucket.get(keys.clone()).await?;
        let versions = found.iter().map(|value| value.as_ref().map_or(0, |value| value.version));
        self.transaction.checks.extend(keys.into_iter().zip(versions));
        Ok(found.into_iter().map(|value| value.map(|value| value.value)).collect())
    }

    /// Demands that `key` is absent at the commit.
    pub(super) fn claim(&mut self, key: String) {
        self.transaction.checks.push((key.into_bytes(), 0));
    }

    /// Writes a record at the commit.
    pub(super) fn put(&mut self, key: String, record: &impl Serialize) -> Result<(), Refusal> {
        let value = serde_json::to_vec(record).map_err(|error| Refusal::Internal(error.to_string()))?;
        self.transaction.writes.push((key.into_bytes(), Change::Put(value)));
        Ok(())
    }

    /// Removes `key` at the commit.
    pub(super) fn delete(&mut self, key: String) {
        self.transaction.writes.push((key.into_bytes(), Change::Delete));
    }

    /// Commits. `false` if something that was read has changed, so that the transaction must be tried again.
    pub(super) async fn commit(self) -> Result<bool, Refusal> {
        match self.bucket.commit(self.transaction).await {
            Ok(_) => Ok(true),
            Err(StateError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Decodes a record.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(value).map_err(|error| Refusal::Internal(error.to_string()))
}

/// The key of the record of this kind and id.
pub(super) fn record_key(kind: &str, id: u64) -> String {
    format!("{kind}/{id:020}")
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An id that grows with time.
pub(super) fn new_id() -> u64 {
    let time = now().saturating_sub(EPOCH) << RANDOM_BITS;
    ((time | (rand::random::<u64>() >> (u64::BITS - RANDOM_BITS))) & (u64::MAX >> 1)).max(1)
}
