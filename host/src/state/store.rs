//! The handles that other rooms hold: the store, and one service's bucket in it.

use super::absent_backend::AbsentBackend;
use super::backend::Backend;
use super::cursors::{Cursors, cursor_of};
use super::embedded::engine::{Embedded, Settings};
use super::error::StateError;
use super::frozen_bucket::FrozenBucket;
use super::key_watches::{KeyWatch, Watched};
use super::postgres;
use super::redis;
use super::remote::RemoteBackend;
use super::remote_settings::{RemoteKind, RemoteSettings};
use super::state_key::Encryption;
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, check_key, limit};
use crate::base::{ReadStanding, ServiceName};
use crate::telemetry::StoreMetrics;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};
use tokio::time::{Instant, sleep};

/// The most reads of one service that run at once; further reads wait. A read holds one of the threads (by default
/// 512) of the runtime's blocking pool, and a service that reads without end must not take them all.
const MOST_READS: usize = 8;

/// How long a start waits for a database server that is away, or whose data another host has: the host before this one
/// may be ending, and the server may notice the end of one that was killed a little later.
const START_WAIT: Duration = Duration::from_secs(15);
/// The time between two tries.
const START_AGAIN: Duration = Duration::from_millis(100);

/// The data of all services.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens the embedded database, and creates it if there is none. Blocks. After a crash, it reads the whole file to
    /// repair it.
    ///
    /// # Errors
    /// [`StateError::InUse`], [`StateError::NotADatabase`], [`StateError::Format`], [`StateError::Corrupt`] or
    /// [`StateError::Io`]. Each names the file and what to do.
    pub fn open(settings: &Settings) -> Result<Self, StateError> {
        Ok(Self::new(Arc::new(Embedded::open(settings)?)))
    }

    /// Opens what `settings` name: the file, or the data on a database server, for which it waits some seconds. The
    /// runtime that it is called in has to run until the store is closed.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StateError::Unavailable`], [`StateError::Taken`] and [`StateError::Unfit`] of a server.
    pub async fn connect(settings: &Settings) -> Result<Self, StateError> {
        let Some(remote) = settings.remote.clone() else {
            let settings = settings.clone();
            return tokio::task::spawn_blocking(move || Self::open(&settings)).await.unwrap_or(Err(StateError::Closed));
        };
        let until = Instant::now() + START_WAIT;
        let mut told = false;
        loop {
            match Self::connect_once(settings, &remote).await {
                Err(error @ (StateError::Unavailable { .. } | StateError::Taken { .. })) if Instant::now() < until => {
                    // Once: a start that is silent for so long looks as if it hung.
                    if !std::mem::replace(&mut told, true) {
                        let seconds = START_WAIT.as_secs();
                        tracing::warn!(target: "store", "{error}; the start tries again for {seconds} s");
                    }
                    sleep(START_AGAIN).await;
                }
                connected => return connected,
            }
        }
    }

    async fn connect_once(settings: &Settings, remote: &RemoteSettings) -> Result<Self, StateError> {
        let bounds = (settings.queue, settings.max_batch);
        let backend: Arc<dyn Backend> = match remote.kind {
            RemoteKind::Postgres => Arc::new(RemoteBackend::start(postgres::connect(remote).await?, bounds)?),
            RemoteKind::Redis => Arc::new(RemoteBackend::start(redis::connect(remote).await?, bounds)?),
        };
        Ok(Self::new(backend))
    }

    /// No store: each operation answers [`StateError::Closed`].
    pub fn absent() -> Self {
        Self::new(Arc::new(AbsentBackend::default()))
    }

    /// A store with another backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The bucket of `service`. Each call makes a handle with its own bound on reads at once, which the handle's
    /// clones share.
    pub fn bucket(&self, service: &ServiceName) -> Bucket {
        Bucket {
            name: service.clone(),
            alias: None,
            backend: self.backend.clone(),
            reads: Arc::new(Semaphore::new(MOST_READS)),
            cursors: Arc::default(),
        }
    }

    /// Deletes all data of `service`, and its key if the data are encrypted: then nobody can read what free pages of
    /// the file still hold, once the operator's key is replaced as well. It is on disk when this returns. Returns
    /// whether there was anything. A service that runs meanwhile finds nothing from then on, and may write again.
    ///
    /// # Errors
    /// [`StateError::Closed`], or the disk's.
    pub async fn erase(&self, service: &ServiceName) -> Result<bool, StateError> {
        self.backend.erase(service).await
    }

    /// Replaces the operator's key while the store is in use. Only the services' keys are written again, in one
    /// transaction. `next` has the new key, and the one that is replaced as `previous`. Returns false if the new one is
    /// the key already.
    ///
    /// # Errors
    /// [`StateError::NotEncrypted`], [`StateError::NotPrevious`], [`StateError::Closed`], or the disk's.
    pub async fn replace_key(&self, next: Encryption) -> Result<bool, StateError> {
        self.backend.replace_key(next).await
    }

    /// From now on [`Bucket::watch_keys`] and [`Bucket::watch_listing`] work, and each batch of commits looks at what
    /// is watched. Blocks for as long as a batch is being written.
    pub fn switch_watches_on(&self) {
        self.backend.switch_watches_on();
    }

    /// Whether the last commit that was tried reached the disk, whichever service it came from; true if there was none
    /// yet. With a full disk it is false until a commit succeeds again.
    pub fn takes_writes(&self) -> bool {
        self.backend.takes_writes()
    }

    /// Whether the store takes writes, and the commits that did not reach the disk.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        self.backend.metrics()
    }

    /// Waits until this host has lost its data to another one, which has them on a database server. Never ends where
    /// that cannot be. Commits are refused from then on, with the same error; reads are not, and find what is there.
    pub async fn superseded(&self) -> StateError {
        match self.backend.superseded() {
            Some(end) => end.wait().await.clone(),
            None => std::future::pending().await,
        }
    }

    /// Whether [`Store::superseded`] has ended, and with which error.
    pub fn is_superseded(&self) -> Option<StateError> {
        self.backend.superseded().and_then(SetOnce::get).cloned()
    }

    /// Finishes the commits that wait, and closes the database. Blocks until that is done. From then on buckets answer
    /// [`StateError::Closed`].
    pub fn close(&self) {
        self.backend.close();
    }
}

/// The data of one service, and of no other. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    name: ServiceName,
    /// Another name under which its service may open it.
    alias: Option<Arc<str>>,
    backend: Arc<dyn Backend>,
    /// Bounds the reads that run at once.
    reads: Arc<Semaphore>,
    /// The cursors that [`Bucket::cursor`] gave.
    cursors: Arc<Mutex<Cursors>>,
}

impl Bucket {
    /// The service whose data this is.
    pub fn service(&self) -> &ServiceName {
        &self.name
    }

    /// The same data, which its service may open as `alias` too.
    #[must_use]
    pub fn also_named(self, alias: Option<&str>) -> Self {
        Self { alias: alias.map(Arc::from), ..self }
    }

    /// Whether its service may open it by this name: the service's own, `default`, an empty one, or the alias.
    pub fn has_name(&self, name: &str) -> bool {
        ["", "default", self.name.as_str()].contains(&name) || self.alias.as_deref() == Some(name)
    }

    /// The values of `keys` in their order, all as of one moment; `None` for a key that is absent.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] for more than [`limit::KEYS`] keys, for a key out of bounds, or if the values exceed
    /// [`limit::BYTES`].
    pub async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        if keys.len() > limit::KEYS {
            return Err(StateError::TooLarge { what: "a read", limit: limit::KEYS, unit: "keys" });
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        // A read from memory holds no thread, so it needs no permit.
        if let Some(found) = self.backend.get_cached(&self.name, &keys) {
            return Ok(found);
        }
        let _permit = self.read_permit().await;
        self.backend.get(&self.name, keys).await
    }

    /// The entries whose key starts with `prefix` and comes after `after`: at most `limit`, at most [`limit::PAGE`],
    /// and seldom more than [`limit::PAGE_BYTES`]. Each page is as of one moment; two pages need not be.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] for a prefix or cursor longer than a key.
    pub async fn scan(&self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        check_range(&prefix, after.as_deref())?;
        let _permit = self.read_permit().await;
        self.backend.scan(&self.name, prefix, after, limit.clamp(1, limit::PAGE)).await
    }

    /// Like [`Bucket::scan`], without the values. A page may be shorter than `limit` although more follows: only
    /// [`Page::next`] says whether more follows.
    ///
    /// # Errors
    /// As [`Bucket::scan`].
    pub async fn keys(&self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Key>, StateError> {
        check_range(&prefix, after.as_deref())?;
        let _permit = self.read_permit().await;
        self.backend.keys(&self.name, prefix, after, limit.clamp(1, limit::PAGE)).await
    }

    /// A cursor of one word for the page of keys that comes after `key`, for an interface whose cursor cannot be the
    /// key itself. It is never 0, and has at most 53 bits.
    pub fn cursor(&self, key: &Key) -> u64 {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).give(key)
    }

    /// The key of a cursor that [`Bucket::cursor`] gave, also by another handle or before a restart. Some hundred
    /// cursors are remembered; for another one all keys are walked over. `None` if the key is neither remembered nor
    /// there, or cannot be told from another key.
    ///
    /// # Errors
    /// As [`Bucket::scan`].
    pub async fn key_of_cursor(&self, cursor: u64) -> Result<Option<Key>, StateError> {
        let remembered = self.cursors.lock().unwrap_or_else(PoisonError::into_inner).key(cursor);
        if remembered.is_some() {
            return Ok(remembered);
        }
        let (mut found, mut after) = (None, None);
        loop {
            let page = self.keys(Key::new(), after, limit::PAGE).await?;
            for key in page.items.into_iter().filter(|key| cursor_of(key) == cursor) {
                if found.replace(key).is_some() {
                    return Ok(None);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Applies `transaction` whole and answers when it is on disk, or refuses it.
    ///
    /// # Errors
    /// [`StateError::Conflict`] if a check fails; [`StateError::NotANumber`] for a sum that cannot be made;
    /// [`StateError::TooLarge`] and [`StateError::EmptyKey`] out of bounds; [`StateError::Overloaded`] and
    /// [`StateError::Closed`] if the commit is not admitted. After any of these nothing was applied. After
    /// [`StateError::Io`] the commit is on disk whole or not at all.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, StateError> {
        transaction.check_limits()?;
        self.backend.commit(&self.name, transaction).await
    }

    /// The data as they are now, to be read page by page while others write.
    ///
    /// # Errors
    /// [`StateError::Closed`], or the disk's.
    pub async fn freeze(&self) -> Result<Arc<dyn FrozenBucket>, StateError> {
        self.backend.freeze(&self.name).await
    }

    /// The values of entries that were read in the form [`ValueForm::Stored`](super::ValueForm::Stored).
    ///
    /// # Errors
    /// [`StateError::Corrupt`]: they were not stored in this bucket, or were altered, or its key is gone.
    pub async fn unseal(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, StateError> {
        self.backend.unseal(&self.name, entries).await
    }

    /// As [`Bucket::commit`], for the host, which may change more at once than a guest, and waits behind whatever waits
    /// for the writer.
    ///
    /// # Errors
    /// As there, except for the bounds.
    pub async fn commit_whole(&self, transaction: Transaction) -> Result<Committed, StateError> {
        self.backend.commit_over_bound(&self.name, transaction).await
    }

    /// For what must not be done while other hosts write the data.
    ///
    /// # Errors
    /// [`StateError::Unsupported`]: they may.
    pub fn check_alone(&self) -> Result<(), StateError> {
        self.backend.check_alone()
    }

    /// A bucket of the host's own, about this one. `kind`: what it is for.
    pub(super) fn of_host(&self, kind: &str) -> Self {
        let name = ServiceName::of_host_part(kind, self.name.as_str());
        Self { name, alias: None, ..self.clone() }
    }

    /// The same bucket in another database.
    pub(super) fn on(&self, backend: Arc<dyn Backend>) -> Self {
        Self { backend, cursors: Arc::default(), ..self.clone() }
    }

    /// Has `standing` end before the first change of one of `keys` can be read. It must be called before the keys are
    /// read for it. It ends at once where that cannot be: in a store without watches, and while such a change is being
    /// written.
    pub fn watch_keys(&self, keys: &[Key], standing: &ReadStanding) {
        if let Some(watch) = self.backend.watches().watch(&self.name, Watched::Keys(keys), standing) {
            let (reads, weight) = (watch.reads(), watch.weight());
            standing.hold(watch, reads, weight);
        }
    }

    /// As [`Bucket::watch_keys`], for every key that begins with `prefix`, comes after `after`, and not after `to`. The
    /// caller keeps the watch, or gives it to [`ReadStanding::hold`].
    pub fn watch_listing(
        &self,
        prefix: &[u8],
        (after, to): (Option<&[u8]>, Option<&[u8]>),
        standing: &ReadStanding,
    ) -> Option<KeyWatch> {
        self.backend.watches().watch(&self.name, Watched::Listing { prefix, after, to }, standing)
    }

    async fn read_permit(&self) -> SemaphorePermit<'_> {
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
