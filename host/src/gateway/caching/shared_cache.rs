//! The cache of a gateway: what all its routes share.

use super::cache_disk::{CacheDisk, blocks};
use super::fetch_table::FetchTable;
use super::open_answer::OpenAnswer;
use crate::cache::{AnswerStore, CacheKey, KeptAnswer, KeyDigest, Purge, StoreLookup, StoreUse, Unkept};
use crate::telemetry::{CacheMetrics, CacheOutcome};
use http::HeaderMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// How long a URI whose answer was not kept counts as one whose answers are not: requests for it do not wait for one
/// another then. Varnish takes two minutes; the shorter, the sooner a page that becomes cacheable is fetched once.
const PASS: Duration = Duration::from_secs(10);

/// The most fetches at a time behind the back of requests. Beyond them a stale answer is given and stays stale.
const MOST_REFRESHES: usize = 64;

/// The bounds of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBounds {
    /// The most bytes of kept answers. The default is 64 MiB.
    pub memory: usize,
    /// The most bytes of one answer's content in memory; at most a tenth of `memory`. The default is 1 MiB.
    pub object: usize,
    /// The most bytes of one answer's content on the disk, where there is one.
    pub disk_object: u64,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self { memory: 64 << 20, object: 1 << 20, disk_object: 0 }
    }
}

/// The most answers at a time that are on their way to the disk. Each has some 300 KiB of memory.
const MOST_SPOOLS: usize = 64;

/// The kept answers of all routes, and the fetches under way.
///
/// One lock guards the store. It is held for one look in a map, or for one change, never across a wait; look-ups share
/// it. Parts with a lock each would bound an answer by the part's share of the memory.
pub struct SharedCache {
    bounds: CacheBounds,
    store: RwLock<AnswerStore>,
    pub(super) fetches: Arc<FetchTable>,
    refreshes: AtomicUsize,
    /// Where content lies that is too large for the memory.
    disk: Option<Arc<CacheDisk>>,
    /// How many answers are on their way there.
    spools: AtomicUsize,
    metrics: Arc<CacheMetrics>,
    /// The number of the discovery table now.
    table: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl SharedCache {
    /// An empty cache. `metrics` has the routes that use it; `table` is the number that the discovery table has now.
    pub fn new(
        bounds: CacheBounds,
        disk: Option<Arc<CacheDisk>>,
        metrics: Arc<CacheMetrics>,
        table: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let most_stored = disk.as_ref().map_or(0, |disk| usize::try_from(disk.most_bytes()).unwrap_or(usize::MAX));
        let store = RwLock::new(AnswerStore::new(bounds.memory, most_stored));
        let (fetches, refreshes, spools) = (Arc::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { bounds, store, fetches, refreshes, disk, spools, metrics, table: Box::new(table) }
    }

    /// How full it is.
    pub fn usage(&self) -> StoreUse {
        self.read().usage()
    }

    /// Where content lies that is too large for the memory.
    pub fn disk(&self) -> Option<&Arc<CacheDisk>> {
        self.disk.as_ref()
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<CacheMetrics> {
        &self.metrics
    }

    /// Takes answers out. Those that are being fetched are not kept. Returns how many there were.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.change(|store| store.purge(purge))
    }

    pub(in crate::gateway) fn bounds(&self) -> CacheBounds {
        self.bounds
    }

    pub(super) fn find(&self, key: &CacheKey, digest: KeyDigest, request: &HeaderMap, now: Instant) -> StoreLookup {
        self.read().find(key, digest, request, now)
    }

    /// The answer with its content. If that cannot be read, the answer is taken out.
    pub(super) async fn open(&self, key: &CacheKey, kept: &Arc<KeptAnswer>) -> Option<OpenAnswer> {
        let open = OpenAnswer::open(self.disk.as_ref(), kept).await;
        if open.is_none() {
            self.drop_answer(key, kept);
        }
        open
    }

    pub(super) fn is_current(&self, key: &CacheKey, begun: u64) -> bool {
        self.read().is_current(key, begun)
    }

    /// Has answers leave the disk, so that there is room for `bytes` as soon as their files are gone. False: too much
    /// of it is being written or sent.
    pub(super) fn free_disk(&self, disk: &CacheDisk, bytes: u64) -> bool {
        self.change(|store| {
            let stored = store.usage().stored_bytes;
            // What has left and is not gone yet, and what is on its way.
            let others = disk.used().saturating_sub(stored as u64);
            let most = disk.most_bytes().checked_sub(blocks(bytes) + others);
            most.is_some_and(|most| store.shrink_stored(usize::try_from(most).unwrap_or(usize::MAX)))
        })
    }

    /// A permit for one more answer on its way to the disk.
    pub(super) fn begin_spool(self: &Arc<Self>) -> Option<SpoolPermit> {
        let begun = self.spools.fetch_add(1, Relaxed);
        let permit = SpoolPermit(Arc::clone(self));
        (begun < MOST_SPOOLS).then_some(permit)
    }

    /// How many answers are on their way to the disk.
    #[cfg(test)]
    pub(super) fn open_spools(&self) -> usize {
        self.spools.load(Relaxed)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.read().epoch()
    }

    pub(super) fn insert(&self, key: &CacheKey, digest: KeyDigest, kept: Arc<KeptAnswer>, begun: u64) -> bool {
        self.change(|store| store.insert(key, digest, kept, begun))
    }

    pub(super) fn pass(&self, key: &CacheKey, digest: KeyDigest, now: Instant) {
        self.change(|store| store.pass(key, digest, now + PASS));
    }

    pub(super) fn invalidate(&self, keys: &[CacheKey]) {
        self.change(|store| {
            for key in keys {
                store.invalidate(key);
            }
        });
    }

    pub(super) fn drop_answer(&self, key: &CacheKey, kept: &Arc<KeptAnswer>) {
        self.change(|store| store.drop_answer(key, kept));
    }

    /// The number of the discovery table now. An answer that is kept by state was made by the revisions of one table.
    pub(super) fn table(&self) -> u64 {
        (self.table)()
    }

    /// Counts an answer of the route that is not kept, and why.
    pub(super) fn count_unkept(&self, scope: usize, reason: Unkept) {
        self.metrics.count_unkept(scope, reason.as_str());
    }

    pub(super) fn count(&self, scope: usize, outcome: CacheOutcome) {
        self.metrics.count(scope, outcome);
    }

    /// A permit for one more fetch behind the back of a request.
    pub(super) fn begin_refresh(self: &Arc<Self>) -> Option<RefreshPermit> {
        let begun = self.refreshes.fetch_add(1, Relaxed);
        let permit = RefreshPermit(Arc::clone(self));
        // Over the bound, the permit is dropped here, and counted back.
        (begun < MOST_REFRESHES).then_some(permit)
    }

    fn read(&self) -> RwLockReadGuard<'_, AnswerStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut AnswerStore) -> T) -> T {
        let mut store: RwLockWriteGuard<'_, _> = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut store);
        let StoreUse { answers, bytes, evicted, stored, stored_bytes, .. } = store.usage();
        self.metrics.hold(answers, bytes, evicted);
        if self.disk.is_some() {
            self.metrics.hold_on_disk(stored, stored_bytes);
        }
        outcome
    }
}

/// The permit of one answer on its way to the disk.
pub(super) struct SpoolPermit(Arc<SharedCache>);

impl Drop for SpoolPermit {
    fn drop(&mut self) {
        self.0.spools.fetch_sub(1, Relaxed);
    }
}

/// The permit of one fetch behind the back of a request.
pub(super) struct RefreshPermit(Arc<SharedCache>);

impl Drop for RefreshPermit {
    fn drop(&mut self) {
        self.0.refreshes.fetch_sub(1, Relaxed);
    }
}
