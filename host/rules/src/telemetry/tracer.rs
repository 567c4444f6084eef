//! Begins the trace of each request, and decides at its end whether it is kept.
//!
//! The decision comes at the end, when all is known: a sample that is drawn at the beginning would miss 99 of 100
//! failures. What is not kept is dropped at once.

use super::kept_trace::{KeepRule, KeptTrace};
use super::slow_threshold::SlowThreshold;
use super::trace_memory::{TraceMemory, TraceQuery};
use super::trace_queue::TraceQueue;
use super::trace_settings::TraceSettings;
use crate::base::{EndedTree, RequestId, TraceId, TraceMark, TraceParent, TraceStart, TraceState, TraceTree};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The traces of the gateway's requests.
pub struct Tracer {
    settings: TraceSettings,
    memory: Mutex<TraceMemory>,
    /// `None`: traces are sent nowhere.
    queue: Option<Arc<TraceQueue>>,
    ended: AtomicU64,
    kept: [AtomicU64; RULES.len()],
    lost: AtomicU64,
}

/// All rules. Each has its place here: `RULES[rule as usize]` is `rule`.
pub(super) const RULES: [KeepRule; 6] =
    [KeepRule::Trapped, KeepRule::CircuitOpen, KeepRule::Failed, KeepRule::Slow, KeepRule::Parent, KeepRule::Sampled];

/// What is known of a request when it has ended.
#[derive(Debug)]
pub struct TraceEnd<'a> {
    /// The route, or a word in brackets.
    pub route: &'a str,
    /// The request's id.
    pub request_id: &'a RequestId,
    /// The status of its answer; 499 if the client went away before; [`TraceEnd::NO_STATUS`] for an event.
    pub status: u16,
    /// How long it took.
    pub took: Duration,
}

impl TraceEnd<'_> {
    /// The status of what has none: nobody asked by HTTP.
    pub const NO_STATUS: u16 = 0;
}

impl Tracer {
    /// A tracer without traces. Those that it keeps also go to `queue`.
    pub fn new(settings: TraceSettings, queue: Option<Arc<TraceQueue>>) -> Self {
        let memory = Mutex::new(TraceMemory::new(settings.keep));
        let (ended, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { settings, memory, queue, ended, kept: Default::default(), lost }
    }

    /// Begins a trace at `began`. A trusted peer's trace is continued; a stranger's only gets a link. `own` is the id
    /// of a trace that begins here, `seed` random bits.
    pub fn begin(
        &self,
        (parent, state): (Option<TraceParent>, Option<TraceState>),
        trusted: bool,
        (own, seed): (u128, u64),
        began: Instant,
    ) -> Arc<TraceTree> {
        let (parent, stranger) = if trusted { (parent, None) } else { (None, parent) };
        let id = parent.map_or_else(|| TraceId::from_random(own), |parent| parent.trace);
        let start = TraceStart {
            id,
            random: parent.is_none(),
            parent,
            stranger,
            state: state.filter(|_| parent.is_some()),
            sampled: parent.is_some_and(|parent| parent.sampled) || self.is_in_sample(id),
            most: self.settings.spans,
            seed,
        };
        Arc::new(TraceTree::new(start, began))
    }

    fn is_in_sample(&self, id: TraceId) -> bool {
        id.share() < self.settings.sample
    }

    /// Whether the trace of a request that has ended is kept, and why. `threshold`: that of its route, to which it is
    /// added; `None`: it is of a kind that is never slow.
    pub fn decide(
        &self,
        tree: &TraceTree,
        threshold: Option<&SlowThreshold>,
        failed: bool,
        took: Duration,
    ) -> Option<KeepRule> {
        self.ended.fetch_add(1, Relaxed);
        let is_slow = threshold.is_some_and(|threshold| threshold.add(took));
        self.rule(tree, failed, is_slow)
    }

    /// Keeps a trace, all of whose spans have ended.
    pub fn keep(&self, tree: &TraceTree, rule: KeepRule, end: &TraceEnd<'_>) {
        let EndedTree { mut spans, lost } = tree.end();
        let start = tree.start();
        let above = start.parent.map(|parent| parent.span);
        // The first span begins with the trace, and is the only one with this parent.
        spans.sort_by_key(|span| (span.began, span.parent != above));
        if spans.first().is_none_or(|root| root.parent != above) {
            return;
        }
        spans.shrink_to_fit();
        let chance = self.settings.sample;
        let kept = Arc::new(KeptTrace {
            id: start.id,
            random: start.random,
            request_id: end.request_id.clone(),
            began: SystemTime::now().checked_sub(end.took).unwrap_or(SystemTime::UNIX_EPOCH),
            took: end.took,
            route: end.route.to_owned(),
            status: end.status,
            rule,
            weight: if rule == KeepRule::Sampled && chance > 0.0 { 1.0 / chance } else { 1.0 },
            state: start.state.clone(),
            stranger: start.stranger,
            spans,
            lost,
        });
        self.kept[rule as usize].fetch_add(1, Relaxed);
        self.lost.fetch_add(lost.into(), Relaxed);
        if let Some(queue) = &self.queue {
            queue.add(&kept);
        }
        self.memory().add(kept);
    }

    fn rule(&self, tree: &TraceTree, failed: bool, is_slow: bool) -> Option<KeepRule> {
        let start = tree.start();
        if tree.has(TraceMark::Trapped) {
            Some(KeepRule::Trapped)
        } else if tree.has(TraceMark::CircuitOpen) {
            Some(KeepRule::CircuitOpen)
        } else if failed || tree.has(TraceMark::Failed) {
            Some(KeepRule::Failed)
        } else if is_slow {
            Some(KeepRule::Slow)
        } else if start.parent.is_some_and(|parent| parent.sampled) {
            Some(KeepRule::Parent)
        } else {
            self.is_in_sample(start.id).then_some(KeepRule::Sampled)
        }
    }

    /// The kept traces that fit the query, the newest first.
    pub fn find(&self, query: &TraceQuery) -> Vec<Arc<KeptTrace>> {
        self.memory().find(query)
    }

    /// The kept trace with this id, or that of the request with this id.
    pub fn get(&self, id: &str) -> Option<Arc<KeptTrace>> {
        self.memory().get(id)
    }

    /// The queue of the traces that are sent.
    pub(super) fn queue(&self) -> Option<&Arc<TraceQueue>> {
        self.queue.as_ref()
    }

    /// How many traces have ended, how many of them were kept by each rule in the order of [`RULES`], and how many
    /// spans of these were lost.
    pub(super) fn counts(&self) -> (u64, [u64; RULES.len()], u64) {
        let kept = std::array::from_fn(|rule| self.kept[rule].load(Relaxed));
        (self.ended.load(Relaxed), kept, self.lost.load(Relaxed))
    }

    /// How many traces are in memory, and what they take in bytes.
    pub(super) fn remembered(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.len(), memory.bytes())
    }

    fn memory(&self) -> MutexGuard<'_, TraceMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tracer").field(&self.settings).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SpanId, SpanKind};

    fn tracer(sample: f64) -> Tracer {
        Tracer::new(TraceSettings { sample, keep: 1 << 20, spans: 8 }, Some(Arc::new(TraceQueue::new(64))))
    }

    fn end(tracer: &Tracer, tree: &TraceTree, failed: bool, took: Duration) -> Option<KeepRule> {
        end_on(tracer, None, tree, failed, took)
    }

    fn end_on(
        tracer: &Tracer,
        route: Option<&SlowThreshold>,
        tree: &TraceTree,
        failed: bool,
        took: Duration,
    ) -> Option<KeepRule> {
        let rule = tracer.decide(tree, route, failed, took)?;
        let (request_id, status) = (RequestId::from_random(1), if failed { 502 } else { 200 });
        tracer.keep(tree, rule, &TraceEnd { route: "/a", request_id: &request_id, status, took });
        Some(rule)
    }

    /// The rule by which the trace number `own` is kept, after `mark`.
    fn rule(tracer: &Tracer, own: u128, failed: bool, mark: Option<TraceMark>) -> Option<KeepRule> {
        let tree = tracer.begin((None, None), false, (own, 1), Instant::now());
        let root = tree.root("GET");
        if let Some(mark) = mark {
            tree.mark(mark);
        }
        root.scope().open(SpanKind::Client, "try", Instant::now());
        drop(root);
        end(tracer, &tree, failed, Duration::from_millis(1))
    }

    #[test]
    fn each_failure_is_kept_and_a_share_of_the_rest() {
        let tracer = tracer(0.25);
        for (failed, mark, expected) in [
            (true, None, KeepRule::Failed),
            (false, Some(TraceMark::Failed), KeepRule::Failed),
            (true, Some(TraceMark::Trapped), KeepRule::Trapped),
            (true, Some(TraceMark::CircuitOpen), KeepRule::CircuitOpen),
        ] {
            // An id that is not in the sample.
            assert_eq!(rule(&tracer, u128::MAX, failed, mark), Some(expected));
        }
        let share = |n: u128| n << 48;
        let kept: Vec<_> = (0..256).filter_map(|n| rule(&tracer, share(n), false, None)).collect();
        assert_eq!((kept.len(), kept[0]), (64, KeepRule::Sampled));
        let sample = tracer.find(&TraceQuery { error: Some(false), limit: 1, ..TraceQuery::default() });
        assert!((sample[0].weight - 4.0).abs() < 1e-9);
        assert_eq!(sample[0].spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["GET", "try"]);
        assert_eq!(sample[0].root(), sample[0].spans[1].parent.unwrap());
        assert_eq!(tracer.counts().0, 260);
    }

    #[test]
    fn what_is_slower_than_its_route_is_kept() {
        let (tracer, route) = (tracer(0.0), SlowThreshold::default());
        let ended = |millis| {
            let tree = tracer.begin((None, None), false, (u128::MAX, 1), Instant::now());
            drop(tree.root("GET"));
            end_on(&tracer, Some(&route), &tree, false, Duration::from_millis(millis))
        };
        assert!((0..1000).filter_map(|_| ended(5)).count() == 0);
        assert_eq!(ended(50), Some(KeepRule::Slow));
        assert_eq!(ended(5), None);
    }

    #[test]
    fn a_trusted_peers_trace_is_continued_and_a_strangers_gets_a_link() {
        let tracer = tracer(0.0);
        let parent = TraceParent { trace: TraceId::from_random(9), span: SpanId::from_random(8), sampled: true };
        let begin = |trusted| tracer.begin((Some(parent), None), trusted, (5, 1), Instant::now());
        let (continued, begun) = (begin(true), begin(false));
        assert_eq!((continued.start().id, continued.start().random), (parent.trace, false));
        assert!(continued.start().sampled && continued.start().stranger.is_none());
        assert_eq!((begun.start().id, begun.start().random), (TraceId::from_random(5), true));
        assert_eq!((begun.start().parent, begun.start().stranger), (None, Some(parent)));
        assert!(!begun.start().sampled, "a stranger does not choose what is recorded");
        let close = |tree: &Arc<TraceTree>| {
            drop(tree.root("GET"));
            end(&tracer, tree, false, Duration::from_millis(1))
        };
        assert_eq!((close(&continued), close(&begun)), (Some(KeepRule::Parent), None));
        assert_eq!(tracer.get("00000000000000000000000000000009").unwrap().spans[0].parent, Some(parent.span));
    }

    #[test]
    fn the_queue_takes_so_many_spans_and_counts_the_others() {
        let queue = Arc::new(TraceQueue::new(5));
        let tracer = Tracer::new(TraceSettings { sample: 1.0, keep: 1 << 20, spans: 8 }, Some(Arc::clone(&queue)));
        for own in 1..=3 {
            rule(&tracer, own, false, None);
        }
        assert_eq!((queue.waiting(), queue.counts()), (4, (0, 2)));
        assert_eq!(queue.take(1).len(), 1, "a trace is never split");
        assert_eq!((queue.take(9).len(), queue.waiting()), (1, 0));
    }

    #[test]
    fn each_rule_has_its_place() {
        for (at, rule) in RULES.into_iter().enumerate() {
            assert_eq!(rule as usize, at);
        }
    }
}
