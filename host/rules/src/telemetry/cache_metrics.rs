//! The metric handles of the gateway's cache.

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What the cache did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    /// It gave a fresh answer.
    Hit,
    /// It gave a stale answer, while it was validated or in place of an error.
    Stale,
    /// It gave the answer to another request, for which this one had waited.
    Collapsed,
    /// It gave an answer of which the service said that it still holds.
    Validated,
    /// The service answered, and the answer is kept.
    Miss,
    /// The service answered, and the answer is not kept.
    Pass,
}

impl CacheOutcome {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Hit, "hit"),
        (Self::Stale, "stale"),
        (Self::Collapsed, "collapsed"),
        (Self::Validated, "validated"),
        (Self::Miss, "miss"),
        (Self::Pass, "pass"),
    ];
}

/// The counters of the cache: six for each route that uses it, and how full it is.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    /// By the position of the route.
    routes: ArcSwap<BTreeMap<usize, Arc<RouteCounters>>>,
    answers: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
    /// How many of the answers have their content on the disk, and its bytes there; unset without a disk.
    disk: OnceLock<[AtomicU64; 2]>,
}

#[derive(Debug)]
struct RouteCounters {
    route: String,
    service: String,
    counts: [AtomicU64; CacheOutcome::ALL.len()],
    /// By the reason why an answer was not kept. Reasons are words of the code, so there are few.
    unkept: Mutex<BTreeMap<&'static str, u64>>,
}

impl CacheMetrics {
    /// The counters of these routes, all 0: the position of each, its label `route`, and the name of its service.
    pub fn new(routes: impl IntoIterator<Item = (usize, String, String)>) -> Self {
        let all = Self::default();
        all.serve(routes);
        all
    }

    /// Counts these routes from now on: the position of each, its label `route`, and the name of its service. One that
    /// was counted at this position goes on.
    pub fn serve(&self, routes: impl IntoIterator<Item = (usize, String, String)>) {
        let before = self.routes.load();
        let counters = |(at, route, service)| {
            let known = before.get(&at).filter(|own| own.route == route && own.service == service).map(Arc::clone);
            let new =
                || Arc::new(RouteCounters { route, service, counts: Default::default(), unkept: Mutex::default() });
            (at, known.unwrap_or_else(new))
        };
        self.routes.store(Arc::new(routes.into_iter().map(counters).collect()));
    }

    /// Counts a request to the route at this position.
    pub fn count(&self, route: usize, outcome: CacheOutcome) {
        if let Some(counters) = self.routes.load().get(&route) {
            counters.counts[outcome as usize].fetch_add(1, Relaxed);
        }
    }

    /// Counts an answer of the route at this position that is not kept, for this reason.
    pub fn count_unkept(&self, route: usize, reason: &'static str) {
        if let Some(counters) = self.routes.load().get(&route) {
            *counters.unkept.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
        }
    }

    /// How many answers of the route at this position were not kept for this reason.
    #[cfg(any(test, feature = "testing"))]
    pub fn unkept(&self, route: usize, reason: &str) -> u64 {
        let routes = self.routes.load();
        let unkept = routes[&route].unkept.lock().unwrap_or_else(PoisonError::into_inner);
        unkept.get(reason).copied().unwrap_or_default()
    }

    /// The cache has so many answers of so many bytes, and so many have left for others.
    pub fn hold(&self, answers: usize, bytes: usize, evicted: u64) {
        self.answers.store(answers as u64, Relaxed);
        self.bytes.store(bytes as u64, Relaxed);
        self.evicted.store(evicted, Relaxed);
    }

    /// So many of its answers have their content on the disk, with so many bytes.
    pub fn hold_on_disk(&self, answers: usize, bytes: usize) {
        let [held_answers, held_bytes] = self.disk.get_or_init(Default::default);
        held_answers.store(answers as u64, Relaxed);
        held_bytes.store(bytes as u64, Relaxed);
    }
}

/// Writes the metrics of one cache at each scrape.
pub(super) struct CacheCollector(pub(super) Arc<CacheMetrics>);

impl fmt::Debug for CacheCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheCollector")
    }
}

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Requests to routes with a cache, by what it did: hit, stale, collapsed, validated, miss or pass";
        let mut family = encoder.encode_descriptor("cache_requests", help, None, MetricType::Counter)?;
        for counters in self.0.routes.load().values() {
            for ((_, outcome), count) in CacheOutcome::ALL.iter().zip(&counters.counts) {
                let labels =
                    [("route", counters.route.as_str()), ("service", counters.service.as_str()), ("outcome", *outcome)];
                let count = count.load(Relaxed);
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "Answers that the cache does not keep, by the reason";
        let mut family = encoder.encode_descriptor("cache_unkept", help, None, MetricType::Counter)?;
        for counters in self.0.routes.load().values() {
            let unkept = counters.unkept.lock().unwrap_or_else(PoisonError::into_inner);
            for (reason, count) in &*unkept {
                let labels =
                    [("route", counters.route.as_str()), ("service", counters.service.as_str()), ("reason", *reason)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
            }
        }
        let gauges = [
            ("cache_answers", "Answers that the cache has now", &self.0.answers),
            ("cache_bytes", "Bytes of memory that these answers hold", &self.0.bytes),
        ];
        let of_disk = self.0.disk.get().map(|[answers, bytes]| {
            [
                ("cache_disk_answers", "Answers of these whose content is on the disk", answers),
                ("cache_disk_bytes", "Bytes of the disk that this content takes", bytes),
            ]
        });
        for (name, help, value) in gauges.into_iter().chain(of_disk.into_iter().flatten()) {
            let value = ConstGauge::new(i64::try_from(value.load(Relaxed)).unwrap_or(i64::MAX));
            value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)?;
        }
        let evicted = ConstCounter::new(self.0.evicted.load(Relaxed));
        let help = "Answers that had to leave the cache for others";
        evicted.encode(encoder.encode_descriptor("cache_evicted", help, None, evicted.metric_type())?)
    }
}
