//! What the gateway counts: each request that has ended, by route, status and kind, and how long it took.

use super::histogram::{Histogram, HistogramSnapshot};
use super::status_slot::{CLASSES, SLOTS, class, slot, slot_name};
use crate::base::TraceId;
use std::array::from_fn;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

/// The bounds of the histogram of durations in microseconds. Each is a line of the exposition for each route and class
/// of status, so there are few: dense where answers are, and above a second only what a deadline is made of. The
/// manifest's `total` is 15 s by default; a body may stream for longer.
const DURATION: [u64; 11] =
    [250, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 60_000_000];

/// The kinds that occur with any status, since a service chose the status. The last one is for a kind that a scope does
/// not know.
const OF_ANY_STATUS: [&str; 5] = ["answer", "function-error", "client-gone", "broken-off", "other"];
const OTHER: usize = OF_ANY_STATUS.len() - 1;

/// What is counted at one scope of the gateway: a route, or what is common to all requests without one.
pub struct CountScope {
    /// The label `route`: the route's rule, or a word in brackets. No two scopes of a gateway have the same.
    pub route: String,
    /// The label `service`; empty for a scope without a service.
    pub service: String,
    /// The statuses and kinds of the host's own answers that can occur here.
    pub outcomes: Vec<&'static [(u16, &'static str)]>,
}

/// The counters of the gateway: a bounded number for each [`CountScope`].
#[derive(Default)]
pub struct GatewayMetrics {
    scopes: Vec<(CountScope, Arc<ScopeCounters>)>,
}

/// The counters of one scope. They are made by its first request: a gateway may have thousands of routes of which few
/// are used.
#[derive(Default)]
struct ScopeCounters {
    used: OnceLock<Box<UsedCounters>>,
    /// The open WebSockets, once there has been one.
    sockets: OnceLock<AtomicU64>,
}

struct UsedCounters {
    /// By kind of [`OF_ANY_STATUS`], and by slot of the status.
    any: [[AtomicU64; SLOTS]; OF_ANY_STATUS.len()],
    /// In the order of the scope's outcomes.
    own: Box<[AtomicU64]>,
    /// By class of the status, in the order of [`CLASSES`].
    durations: [Histogram<{ DURATION.len() }>; CLASSES.len()],
    /// By class too: the last kept trace of each bucket. Made by the first one.
    exemplars: OnceLock<Box<Mutex<[Exemplars; CLASSES.len()]>>>,
}

/// The last kept trace of each bucket, and of the durations above the last bound.
type Exemplars = [Option<DurationExemplar>; DURATION.len() + 1];

/// A kept trace that stands for the requests that took about as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationExemplar {
    /// The trace.
    pub trace: TraceId,
    /// How long its request took.
    pub took: Duration,
    /// When its request had ended.
    pub at: SystemTime,
}

/// One series of ended requests.
pub(super) struct EndedSample<'a> {
    pub(super) scope: &'a CountScope,
    /// A status, or the class of a status that is not registered (`2xx`).
    pub(super) status: String,
    pub(super) kind: &'static str,
    pub(super) count: u64,
}

/// How many requests of a scope have ended with a 5xx.
pub(super) struct FailedSample<'a> {
    pub(super) scope: &'a CountScope,
    pub(super) count: u64,
}

/// One series of durations.
pub(super) struct DurationSample<'a> {
    pub(super) scope: &'a CountScope,
    pub(super) class: &'static str,
    pub(super) durations: HistogramSnapshot,
    pub(super) exemplars: Exemplars,
}

impl GatewayMetrics {
    /// The counters of these scopes, all 0.
    pub fn new(scopes: Vec<CountScope>) -> Self {
        Self { scopes: scopes.into_iter().map(|scope| (scope, Arc::default())).collect() }
    }

    /// The counters of these scopes in place of those of `self`. A scope that both have goes on counting, also for
    /// those who still use the others; one whose outcomes are others begins at 0.
    #[must_use]
    pub fn succeeded(&self, scopes: Vec<CountScope>) -> Self {
        let before: BTreeMap<_, _> = self.scopes.iter().map(|entry| (entry.0.route.as_str(), entry)).collect();
        let counters = |scope: CountScope| {
            let own = before.get(scope.route.as_str());
            let same = |own: &CountScope| own.service == scope.service && own.outcomes().eq(scope.outcomes());
            let counters = own.filter(|(own, _)| same(own)).map(|(_, counters)| Arc::clone(counters));
            (scope, counters.unwrap_or_default())
        };
        Self { scopes: scopes.into_iter().map(counters).collect() }
    }

    /// The label `route` of the scope with this index.
    pub fn label(&self, scope: usize) -> &str {
        self.scopes.get(scope).map_or("", |(scope, _)| &scope.route)
    }

    /// Counts a request that has ended at the scope with this index. `status` is that of its answer; `kind` is one of
    /// the scope's outcomes, `answer`, `function-error`, `client-gone` or `broken-off`, and counts as `other` if it is
    /// none of them. `took`: from the arrival of the head to the end of the answer, if that is known.
    pub fn ended(&self, scope: usize, status: u16, kind: &str, took: Option<Duration>) {
        let Some((scope, counters)) = self.scopes.get(scope) else { return };
        let counters = counters.used(scope);
        counters.of(scope, status, kind).fetch_add(1, Relaxed);
        if let Some(took) = took {
            counters.durations[class(status)].observe(took);
        }
    }

    /// The label `route` of the scope with this index.
    pub fn route(&self, scope: usize) -> Option<&str> {
        self.scopes.get(scope).map(|(scope, _)| scope.route.as_str())
    }

    /// The trace of a request with this status that has ended at this scope is kept: it becomes the exemplar of its
    /// bucket. Only for kept traces: the id of another one leads nowhere.
    pub fn exemplify(&self, scope: usize, status: u16, exemplar: DurationExemplar) {
        let Some((scope, counters)) = self.scopes.get(scope) else { return };
        let (counters, class) = (counters.used(scope), class(status));
        let bucket = counters.durations[class].bucket(exemplar.took);
        let exemplars = counters.exemplars.get_or_init(Box::default);
        exemplars.lock().unwrap_or_else(PoisonError::into_inner)[class][bucket] = Some(exemplar);
    }

    /// How many WebSockets are open now at each scope that has had one.
    pub(super) fn socket_samples(&self) -> Vec<(&CountScope, u64)> {
        let all = self.scopes.iter();
        all.filter_map(|(scope, counters)| Some((scope, counters.sockets.get()?.load(Relaxed)))).collect()
    }

    /// The scopes, each with its counters.
    fn iter(&self) -> impl Iterator<Item = (&CountScope, Option<&UsedCounters>)> {
        self.scopes.iter().map(|(scope, counters)| (scope, counters.used.get().map(|used| &**used)))
    }

    /// How many requests of the routes of each service have ended otherwise than with its answer, by kind; an answer of
    /// 5xx counts as `answered-5xx`.
    pub fn troubles(&self) -> BTreeMap<&str, BTreeMap<&'static str, u64>> {
        let mut troubles: BTreeMap<&str, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for (scope, used) in self.iter().filter_map(|(scope, used)| Some((scope, used?))) {
            let kinds = troubles.entry(scope.service.as_str()).or_default();
            let any = OF_ANY_STATUS.into_iter().zip(&used.any).map(|(kind, row)| {
                let answered = matches!(kind, "answer" | "function-error");
                let counted = row.iter().enumerate().filter(|(at, _)| !answered || slot_name(*at).starts_with('5'));
                let count = counted.map(|(_, count)| count.load(Relaxed)).sum();
                (if answered { "answered-5xx" } else { kind }, count)
            });
            let own = scope.outcomes().zip(&used.own).map(|((_, kind), count)| (kind, count.load(Relaxed)));
            any.chain(own).filter(|(_, count): &(_, u64)| *count > 0).for_each(|(kind, count)| {
                *kinds.entry(kind).or_default() += count;
            });
        }
        troubles
    }

    /// All series of ended requests: that of status 200 of a scope with a service always, others once there was one. A
    /// route has thirty outcomes of its own, and most of them never come: [`GatewayMetrics::failed_samples`] is there
    /// from the start instead.
    pub(super) fn ended_samples(&self) -> impl Iterator<Item = EndedSample<'_>> {
        self.iter().flat_map(|(scope, used)| {
            let own = scope.outcomes().enumerate().filter_map(move |(at, (status, kind))| {
                let count = used.map_or(0, |used| used.own[at].load(Relaxed));
                (count > 0).then(|| EndedSample { scope, status: status.to_string(), kind, count })
            });
            let has_service = !scope.service.is_empty();
            let any = OF_ANY_STATUS.into_iter().enumerate().flat_map(move |(row, kind)| {
                (0..SLOTS).filter_map(move |at| {
                    let count = used.map_or(0, |used| used.any[row][at].load(Relaxed));
                    let always = has_service && row == 0 && at == slot(200);
                    (count > 0 || always).then(|| EndedSample { scope, status: slot_name(at), kind, count })
                })
            });
            any.chain(own)
        })
    }

    /// The requests that ended with a 5xx, of every scope where that can be: what an alert takes the rate of.
    pub(super) fn failed_samples(&self) -> impl Iterator<Item = FailedSample<'_>> {
        let fails = |scope: &CountScope| !scope.service.is_empty() || scope.outcomes().any(|(status, _)| status >= 500);
        self.iter().filter(move |(scope, _)| fails(scope)).map(|(scope, used)| {
            let count = used.map_or(0, |used| {
                let any = used.any.iter().flat_map(|row| row.iter().enumerate());
                let any = any.filter(|(at, count)| count.load(Relaxed) > 0 && slot_name(*at).starts_with('5'));
                let own = scope.outcomes().zip(&used.own).filter(|((status, _), _)| *status >= 500);
                any.map(|(_, count)| count).chain(own.map(|(_, count)| count)).map(|count| count.load(Relaxed)).sum()
            });
            FailedSample { scope, count }
        })
    }

    /// The series of durations of all scopes and classes that have one.
    pub(super) fn duration_samples(&self) -> impl Iterator<Item = DurationSample<'_>> {
        let used = self.iter().filter_map(|(scope, used)| used.map(|used| (scope, used)));
        let all = used.flat_map(|(scope, used)| {
            let exemplars = used.exemplars.get().map(|all| *all.lock().unwrap_or_else(PoisonError::into_inner));
            let exemplars = exemplars.unwrap_or_default();
            CLASSES.iter().zip(&used.durations).zip(exemplars).map(move |((class, durations), exemplars)| {
                DurationSample { scope, class, durations: durations.snapshot(), exemplars }
            })
        });
        all.filter(|sample| !sample.durations.is_empty())
    }
}

/// An open WebSocket: it is counted from [`OpenSocket::begin`] until it is dropped.
pub struct OpenSocket(Option<Arc<ScopeCounters>>);

impl OpenSocket {
    /// Counts a WebSocket at the scope with this index of `metrics`.
    pub fn begin(metrics: &Arc<GatewayMetrics>, scope: usize) -> Self {
        let counters = metrics.scopes.get(scope).map(|(_, counters)| Arc::clone(counters));
        if let Some(counters) = &counters {
            counters.sockets.get_or_init(AtomicU64::default).fetch_add(1, Relaxed);
        }
        Self(counters)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        if let Some(count) = self.0.as_ref().and_then(|counters| counters.sockets.get()) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

impl CountScope {
    fn outcomes(&self) -> impl Iterator<Item = (u16, &'static str)> {
        self.outcomes.iter().flat_map(|table| table.iter().copied())
    }
}

impl ScopeCounters {
    fn used(&self, scope: &CountScope) -> &UsedCounters {
        self.used.get_or_init(|| {
            Box::new(UsedCounters {
                any: from_fn(|_| from_fn(|_| AtomicU64::new(0))),
                own: scope.outcomes().map(|_| AtomicU64::new(0)).collect(),
                durations: from_fn(|_| Histogram::new(&DURATION)),
                exemplars: OnceLock::new(),
            })
        })
    }
}

impl UsedCounters {
    fn of(&self, scope: &CountScope, status: u16, kind: &str) -> &AtomicU64 {
        // Most requests get an answer of their service, so that kind is compared first.
        if let Some(row) = OF_ANY_STATUS.iter().position(|own| *own == kind) {
            return &self.any[row][slot(status)];
        }
        let known = scope.outcomes().position(|own| own == (status, kind));
        debug_assert!(known.is_some(), "`{}` does not know status {status} with kind `{kind}`", scope.route);
        known.map_or(&self.any[OTHER][slot(status)], |at| &self.own[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [(u16, &str); 2] = [(502, "trap"), (503, "overloaded")];

    fn metrics() -> GatewayMetrics {
        let route =
            CountScope { route: "/a".into(), service: "a".into(), outcomes: vec![&OUTCOMES[..1], &OUTCOMES[1..]] };
        let none = CountScope { route: "(none)".into(), service: String::new(), outcomes: vec![&[(404, "no-route")]] };
        GatewayMetrics::new(vec![route, none])
    }

    fn samples(metrics: &GatewayMetrics) -> Vec<(String, u64)> {
        let sample = |sample: EndedSample<'_>| {
            (format!("{} {} {}", sample.scope.route, sample.status, sample.kind), sample.count)
        };
        metrics.ended_samples().map(sample).collect()
    }

    #[test]
    fn an_outcome_has_its_series_with_its_first_request_and_the_failures_have_theirs_from_the_start() {
        let metrics = metrics();
        let failed = |metrics: &GatewayMetrics| -> Vec<(String, u64)> {
            metrics.failed_samples().map(|sample| (sample.scope.route.clone(), sample.count)).collect()
        };
        assert_eq!(samples(&metrics), [("/a 200 answer".to_owned(), 0)]);
        assert_eq!(failed(&metrics), [("/a".to_owned(), 0)], "a scope that cannot fail has no series");
        assert_eq!(metrics.duration_samples().count(), 0);
        for (status, kind) in [(502, "trap"), (503, "answer"), (599, "answer"), (404, "answer"), (200, "broken-off")] {
            metrics.ended(0, status, kind, None);
        }
        assert!(samples(&metrics).contains(&("/a 502 trap".to_owned(), 1)));
        assert_eq!(failed(&metrics), [("/a".to_owned(), 3)]);
    }

    #[test]
    fn a_scope_that_stays_goes_on_counting_and_another_begins_at_0() {
        let before = Arc::new(metrics());
        before.ended(0, 502, "trap", None);
        before.ended(1, 404, "no-route", None);
        let socket = OpenSocket::begin(&before, 1);
        let none = CountScope { route: "(none)".into(), service: String::new(), outcomes: vec![&[(404, "no-route")]] };
        let route = CountScope { route: "/a".into(), service: "a".into(), outcomes: vec![&OUTCOMES[..1]] };
        let after = before.succeeded(vec![none, route]);
        before.ended(1, 404, "no-route", None);
        after.ended(0, 404, "no-route", None);
        let expected = [("(none) 404 no-route", 3), ("/a 200 answer", 0)];
        assert_eq!(samples(&after), expected.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!(after.socket_samples().len(), 1);
        drop(socket);
        assert_eq!(after.socket_samples()[0].1, 0);
    }

    #[test]
    fn each_request_counts_once_by_status_and_kind() {
        let metrics = metrics();
        for (scope, status, kind) in [
            (0, 200, "answer"),
            (0, 200, "answer"),
            (0, 200, "broken-off"),
            (0, 299, "answer"),
            (0, 298, "answer"),
            (0, 999, "answer"),
            (0, 503, "overloaded"),
            (0, 503, "answer"),
            (0, 499, "client-gone"),
            (1, 404, "no-route"),
        ] {
            metrics.ended(scope, status, kind, Some(Duration::from_millis(1)));
        }
        metrics.ended(1, 404, "no-route", None);
        let mut counted = samples(&metrics);
        counted.sort();
        let expected = [
            ("(none) 404 no-route", 2),
            ("/a 200 answer", 2),
            ("/a 200 broken-off", 1),
            ("/a 2xx answer", 2),
            ("/a 499 client-gone", 1),
            ("/a 503 answer", 1),
            ("/a 503 overloaded", 1),
            ("/a other answer", 1),
        ];
        assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)));
        let troubles = metrics.troubles();
        let expected = [("answered-5xx", 1), ("broken-off", 1), ("client-gone", 1), ("overloaded", 1)];
        assert_eq!(troubles["a"], BTreeMap::from(expected));
        assert_eq!(troubles[""], BTreeMap::from([("no-route", 2)]));
        let durations: Vec<_> = metrics.duration_samples().map(|one| (one.scope.route.as_str(), one.class)).collect();
        assert_eq!(durations, [("/a", "other"), ("/a", "2xx"), ("/a", "4xx"), ("/a", "5xx"), ("(none)", "4xx")]);
    }
}
