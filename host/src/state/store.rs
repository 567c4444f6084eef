//! The handles that the rest of the house holds: the store, and one service's bucket in it.

use super::backend::Backend;
use super::embedded::{Embedded, Settings};
use super::error::StateError;
use super::transaction::{Change, Committed, Entry, Key, Page, Transaction, Versioned, check_key, limit};
use crate::base::ServiceName;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads of one service that may run at once; more wait. A read holds one of the (by default 512) threads of the runtime's blocking pool,
/// and a service that reads without end must not take them all.
const READS: usize = 8;

/// The data of all services.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens the embedded database, and creates it where there is none. Blocks; after a crash it reads the whole file to repair it.
    ///
    /// # Errors
    /// [`StateError::InUse`], [`StateError::NotADatabase`], [`StateError::Format`], [`StateError::Corrupt`] or [`StateError::Io`]; each names the file and what to do.
    pub fn open(settings: &Settings) -> Result<Self, StateError> {
        Ok(Self::new(Arc::new(Embedded::open(settings)?)))
    }

    /// A store in another backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The bucket of `service`; every call makes a handle with an allowance of reads of its own, which its clones share.
    pub fn bucket(&self, service: &ServiceName) -> Bucket {
        Bucket { name: service.clone(), backend: self.backend.clone(), reads: Arc::new(Semaphore::new(READS)) }
    }

    /// Finishes the commits that wait and lets go of the database; buckets answer [`StateError::Closed`] from then on. Blocks until it is done.
    pub fn close(&self) {
        self.backend.close();
    }
}

/// The data of one service, and of no other. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    name: ServiceName,
    backend: Arc<dyn Backend>,
    reads: Arc<Semaphore>,
}

impl Bucket {
    /// The service whose data this is.
    pub fn service(&self) -> &ServiceName {
        &self.name
    }

    /// The values of `keys` in their order, all of one moment; `None` for a key that is absent.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] for more than [`limit::KEYS`] keys, for a key out of bounds, or if the values exceed [`limit::BYTES`].
    pub async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        if keys.len() > limit::KEYS {
            return Err(StateError::TooLarge { what: "a read", limit: limit::KEYS, unit: "keys" });
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        // It holds no thread, and so needs no turn.
        if let Some(found) = self.backend.recall(&self.name, &keys) {
            return Ok(found);
        }
        let _turn = self.turn().await;
        self.backend.get(&self.name, keys).await
    }

    /// The entries whose key starts with `prefix` and comes after `after`: at most `limit`, at most [`limit::PAGE`], and seldom more than
    /// [`limit::PAGE_BYTES`]. Each page is of one moment; two pages need not be.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] for a prefix or cursor longer than a key.
    pub async fn scan(&self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        check_range(&prefix, after.as_deref())?;
        let _turn = self.turn().await;
        self.backend.scan(&self.name, prefix, after, limit.clamp(1, limit::PAGE)).await
    }

    /// As [`Bucket::scan`], without the values. A page may be shorter than `limit` although more follows: only [`Page::next`] tells.
    ///
    /// # Errors
    /// As [`Bucket::scan`].
    pub async fn keys(&self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Key>, StateError> {
        check_range(&prefix, after.as_deref())?;
        let _turn = self.turn().await;
        self.backend.keys(&self.name, prefix, after, limit.clamp(1, limit::PAGE)).await
    }

    /// Applies `transaction` whole and answers when it is on disk, or refuses it.
    ///
    /// # Errors
    /// [`StateError::Conflict`] if a check fails; [`StateError::NotANumber`]; out of bounds: [`StateError::TooLarge`], [`StateError::EmptyKey`]; not admitted:
    /// [`StateError::Overloaded`], [`StateError::Closed`]. After all of these nothing was applied. After [`StateError::Io`] the commit is whole or absent.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, StateError> {
        transaction.check_limits()?;
        self.backend.commit(&self.name, transaction).await
    }

    /// Adds `delta` to the counter at `key`, which is decimal text, and returns the sum. It never conflicts.
    ///
    /// # Errors
    /// As [`Bucket::commit`].
    pub async fn increment(&self, key: Key, delta: u64) -> Result<u64, StateError> {
        let add = Transaction { checks: Vec::new(), writes: vec![(key, Change::Add(delta))] };
        let committed = self.commit(add).await?;
        Ok(committed.sums.first().copied().expect("one addition has one sum"))
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.reads.acquire().await.expect("the semaphore is never closed")
    }
}

fn check_range(prefix: &[u8], after: Option<&[u8]>) -> Result<(), StateError> {
    let longest = prefix.len().max(after.map_or(0, <[u8]>::len));
    if longest > limit::KEY {
        return Err(StateError::TooLarge { what: "a prefix or a cursor", limit: limit::KEY, unit: "bytes" });
    }
    Ok(())
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.name)
    }
}
