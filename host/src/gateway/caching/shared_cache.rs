//! The cache of a gateway: what all its routes share.

use super::fetch_table::FetchTable;
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
    /// The most bytes of one answer's content; at most a tenth of `memory`. The default is 1 MiB.
    pub object: usize,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self { memory: 64 << 20, object: 1 << 20 }
    }
}

/// The kept answers of all routes, and the fetches under way.
///
/// One lock guards the store. It is held for one look in a map, or for one change, never across a wait; look-ups share
/// it. Parts with a lock each would bound an answer by the part's share of the memory.
pub struct SharedCache {
    bounds: CacheBounds,
    store: RwLock<AnswerStore>,
    pub(super) fetches: Arc<FetchTable>,
    refreshes: AtomicUsize,
    metrics: Arc<CacheMetrics>,
    /// The number of the discovery table now.
    table: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl SharedCache {
    /// An empty cache. `metrics` has the routes that use it; `table` is the number that the discovery table has now.
    pub fn new(
        bounds: CacheBounds,
        metrics: Arc<CacheMetrics>,
        table: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let store = RwLock::new(AnswerStore::new(bounds.memory));
        let (fetches, refreshes) = (Arc::default(), AtomicUsize::new(0));
        Self { bounds, store, fetches, refreshes, metrics, table: Box::new(table) }
    }

    /// How full it is.
    pub fn usage(&self) -> StoreUse {
        self.read().usage()
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
        let StoreUse { answers, bytes, evicted, .. } = store.usage();
        self.metrics.hold(answers, bytes, evicted);
        outcome
    }
}

/// The permit of one fetch behind the back of a request.
pub(super) struct RefreshPermit(Arc<SharedCache>);

impl Drop for RefreshPermit {
    fn drop(&mut self) {
        self.0.refreshes.fetch_sub(1, Relaxed);
    }
}
