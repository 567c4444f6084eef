//! The disk of a simulated host: a database in memory that writes one commit after the other, each in its time, fails
//! where it is told to, and stays when the host crashes.

use super::super::rng::SimRng;
use super::Mutant;
use host::base::ServiceName;
use host::state::{
    Backend, BackendFuture, Change, Committed, Encryption, Entry, FrozenBucket, Key, KeyWatches, Page, StateError,
    Transaction, Versioned, sequence_key,
};
use host::telemetry::StoreMetrics;
use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// The journals of sagas begin so, in the bucket of the host.
const JOURNAL: &[u8] = b"journal/";
/// Of [`Mutant::LateSync`]: how many commits are acknowledged before one is synced.
const COMMITS_OF_A_SYNC: u64 = 12;

/// What a database holds.
#[derive(Debug, Clone, Default)]
struct Image {
    version: u64,
    values: BTreeMap<(ServiceName, Key), Versioned>,
}

/// A disk, over the lives of its hosts.
pub struct SimDisk {
    image: Mutex<Image>,
    /// What a crash leaves, with [`Mutant::LateSync`].
    synced: Mutex<Image>,
    /// The host that runs now: the others have crashed.
    life: AtomicU64,
    /// In how many of a hundred commits and reads the disk fails.
    pub failures: AtomicU64,
    /// One commit is written after the other.
    writer: tokio::sync::Mutex<()>,
    rng: Mutex<SimRng>,
    mutant: Option<Mutant>,
}

impl SimDisk {
    pub fn new(seed: u64, mutant: Option<Mutant>) -> Arc<Self> {
        Arc::new(Self {
            image: Mutex::default(),
            synced: Mutex::default(),
            life: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            writer: tokio::sync::Mutex::default(),
            rng: Mutex::new(SimRng::new(seed)),
            mutant,
        })
    }

    /// The database of a new host. The one before has crashed, or has stopped.
    pub fn boot(self: &Arc<Self>) -> Arc<dyn Backend> {
        let life = self.life.fetch_add(1, Relaxed) + 1;
        Arc::new(SimBackend { disk: Arc::clone(self), life, metrics: Arc::default(), watches: Arc::default() })
    }

    /// The host that runs crashes: nothing of it goes on, and what is on disk stays.
    pub fn crash(&self) {
        self.life.fetch_add(1, Relaxed);
        match self.mutant {
            Some(Mutant::LateSync) => *self.image() = lock(&self.synced).clone(),
            Some(Mutant::TornJournal) => {
                let mut image = self.image();
                let of_saga = |(_, key): &&(ServiceName, Key)| key.starts_with(JOURNAL);
                // All entries of one saga: its id stands behind the word.
                let Some(last) = image.values.keys().rfind(of_saga).map(|(_, key)| key[..key.len() - 8].to_vec())
                else {
                    return;
                };
                image.values.retain(|(_, key), _| !key.starts_with(&last));
            }
            _ => {}
        }
    }

    /// All that a bucket holds.
    pub fn bucket(&self, bucket: &ServiceName) -> Vec<(Key, Vec<u8>)> {
        let image = self.image();
        let of_bucket = image.values.iter().filter(|((own, _), _)| own == bucket);
        of_bucket.map(|((_, key), value)| (key.clone(), value.value.clone())).collect()
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        lock(&self.image)
    }

    /// Whether the disk fails now.
    fn fails(&self) -> bool {
        let failures = self.failures.load(Relaxed);
        lock(&self.rng).percent(failures)
    }

    fn millis(&self, most: u64) -> Duration {
        lock(&self.rng).millis(0..=most)
    }

    /// Writes a transaction in its turn; `None`: the host has crashed before it has an answer.
    async fn write(&self, life: u64, bucket: ServiceName, transaction: Transaction) -> Option<Answer> {
        let _turn = self.writer.lock().await;
        let lives = || self.life.load(Relaxed) == life;
        sleep(self.millis(3)).await;
        if !lives() {
            return None;
        }
        let (fails, is_written) = (self.fails(), lock(&self.rng).percent(50));
        if fails && !is_written {
            return Some(failed());
        }
        let answer = self.image().apply(&bucket, &transaction);
        let version = self.image().version;
        if self.mutant == Some(Mutant::LateSync) && version.is_multiple_of(COMMITS_OF_A_SYNC) {
            *lock(&self.synced) = self.image().clone();
        }
        // It is on disk. A crash may come before anybody hears of it.
        sleep(self.millis(1)).await;
        lives().then_some(if fails { failed() } else { answer })
    }
}

type Answer = Result<Committed, StateError>;

fn failed<T>() -> Result<T, StateError> {
    Err(StateError::Io { path: "simulated".into(), problem: "the disk failed", source: None })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Image {
    /// Applies a transaction whole, or refuses it.
    fn apply(&mut self, bucket: &ServiceName, transaction: &Transaction) -> Answer {
        let own = [(bucket, &transaction.checks, &transaction.writes, false)];
        let beside = transaction.beside.iter().map(|one| (&one.bucket, &one.checks, &one.writes, true));
        let parts: Vec<_> = own.into_iter().chain(beside).collect();
        for (bucket, checks, _, beside) in &parts {
            for (key, wanted) in *checks {
                let version = self.values.get(&((*bucket).clone(), key.clone())).map_or(0, |found| found.version);
                match (version == *wanted, beside) {
                    (true, _) => {}
                    (false, true) => return Err(StateError::ConflictBeside { key: key.clone(), version }),
                    (false, false) => return Err(StateError::Conflict { key: key.clone() }),
                }
            }
        }
        if parts.iter().all(|(_, _, writes, _)| writes.is_empty()) {
            return Ok(Committed { version: self.version, sums: Vec::new() });
        }
        self.version += 1;
        let mut sums = Vec::new();
        for (bucket, _, writes, _) in &parts {
            for (key, change) in *writes {
                self.change(bucket, key, change, &mut sums);
            }
        }
        Ok(Committed { version: self.version, sums })
    }

    fn change(&mut self, bucket: &ServiceName, key: &Key, change: &Change, sums: &mut Vec<u64>) {
        let version = self.version;
        let place = (bucket.clone(), key.clone());
        let value = match change {
            Change::Put(value) => value.clone(),
            Change::Delete => {
                self.values.remove(&place);
                return;
            }
            Change::Add(_) | Change::Append(_) => {
                let text = self.values.get(&place).map_or("0", |found| std::str::from_utf8(&found.value).unwrap());
                let delta = if let Change::Add(delta) = change { *delta } else { 1 };
                let sum = text.parse::<u64>().unwrap() + delta;
                sums.push(sum);
                if let Change::Append(value) = change {
                    let entry = (bucket.clone(), sequence_key(key, sum));
                    self.values.insert(entry, Versioned { value: value.clone(), version });
                }
                sum.to_string().into_bytes()
            }
        };
        self.values.insert(place, Versioned { value, version });
    }

    fn page(&self, bucket: &ServiceName, prefix: &[u8], after: Option<&Key>, limit: usize) -> Page<Entry> {
        let first = after.map_or(prefix, |after| prefix.max(after));
        let from = self.values.range((bucket.clone(), first.to_vec())..);
        let of_prefix = from.take_while(|((own, key), _)| own == bucket && key.starts_with(prefix));
        let within = of_prefix.filter(|((_, key), _)| after.is_none_or(|after| key > after));
        let mut items: Vec<_> =
            within.take(limit + 1).map(|((_, key), value)| Entry { key: key.clone(), value: value.clone() }).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.key.clone());
        Page { items, next }
    }
}

/// The database of one host.
struct SimBackend {
    disk: Arc<SimDisk>,
    life: u64,
    metrics: Arc<StoreMetrics>,
    watches: Arc<KeyWatches>,
}

impl SimBackend {
    /// Reads in its time, unless the host has crashed.
    fn read<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Image) -> T + Send + 'a) -> BackendFuture<'a, T> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.disk.life.load(Relaxed) != self.life {
                return pending().await;
            }
            if self.disk.fails() { failed() } else { Ok(read(&self.disk.image())) }
        })
    }
}

impl Backend for SimBackend {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        self.read(move |image| keys.into_iter().map(|key| image.values.get(&(bucket.clone(), key)).cloned()).collect())
    }

    fn get_cached(&self, _: &ServiceName, _: &[Key]) -> Option<Vec<Option<Versioned>>> {
        None
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        self.read(move |image| image.page(bucket, &prefix, after.as_ref(), limit))
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        self.read(move |image| {
            let Page { items, next } = image.page(bucket, &prefix, after.as_ref(), limit);
            Page { items: items.into_iter().map(|entry| entry.key).collect(), next }
        })
    }

    /// The commit goes on when nobody waits for it any more, as in the queue of a real database.
    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed> {
        let (answer, answered) = oneshot::channel();
        let (disk, life, bucket) = (Arc::clone(&self.disk), self.life, bucket.clone());
        tokio::spawn(async move {
            if let Some(outcome) = disk.write(life, bucket, transaction).await {
                // Whoever has gone away does not hear it.
                let _ = answer.send(outcome);
            }
        });
        Box::pin(async move {
            match answered.await {
                Ok(outcome) => outcome,
                Err(_) => pending().await,
            }
        })
    }

    fn freeze<'a>(&'a self, _: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        Box::pin(ready(Err(StateError::Closed)))
    }

    fn unseal<'a>(&'a self, _: &'a ServiceName, _: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        Box::pin(ready(Err(StateError::Closed)))
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        Box::pin(async move {
            let mut image = self.disk.image();
            let before = image.values.len();
            image.values.retain(|(own, _), _| own != bucket);
            Ok(image.values.len() < before)
        })
    }

    fn replace_key(&self, _: Encryption) -> BackendFuture<'_, bool> {
        Box::pin(ready(Err(StateError::Closed)))
    }

    fn takes_writes(&self) -> bool {
        true
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    fn switch_watches_on(&self) {}

    fn close(&self) {}
}
