//! What operators see of the host over time: the traffic of the last minute, and why a service does not fare well.

use super::HostOperations;
use super::topic_operations::broker_troubles;
use crate::admin::{
    CallerView, CauseView, ChangeView, HostWhyView, LastErrorView, Operations, OverviewView, UseView, WhyView,
};
use crate::breaker::{Forced, State};
use crate::diagnosis::{
    CircuitFacts, EndpointFacts, FailureFacts, PoolFacts, ServiceCause, ServiceFacts, why, why_all,
};
use crate::mesh::{BulkheadCounts, EndpointStats, Service};
use crate::telemetry::{
    ChangeKind, HostChange, LastFailure, TrafficCounts, TrafficWindow, changes, lines, log_counts, note_change, traps,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// The time from one sample to the next: a twelfth of the window.
const SAMPLE: Duration = Duration::from_secs(5);

/// How long a change is said beside what is wrong, and how many of them.
const LATELY: Duration = Duration::from_secs(600);
const MOST_CHANGES: usize = 10;

/// The counts of the last minute of one service, and how long that minute was so far.
type RecentCounts = BTreeMap<String, (Duration, TrafficCounts)>;

/// Samples the counters of all services of the host that serves, and notes which endpoints were ejected, and whether
/// the log drops lines. It never returns.
pub(in crate::app) async fn watch_traffic(host: impl Fn() -> Arc<HostOperations>) {
    let mut ticks = interval(SAMPLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ejected = BTreeSet::new();
    let mut log = LogGap::default();
    loop {
        ticks.tick().await;
        let (host, now) = (host(), Instant::now());
        for (name, counts) in host.traffic_counts() {
            let mut windows = host.recent.lock();
            match windows.get_mut(&name) {
                Some(window) => window.note(now, counts),
                None => drop(windows.insert(name, TrafficWindow::new(now, counts))),
            }
        }
        host.note_ejections(&mut ejected, now);
        log.note(log_counts().map_or(0, |counts| counts.dropped));
    }
}

/// The lines of the log that were dropped of late. Nothing of the log itself can say so while nobody reads it.
#[derive(Debug, Default)]
struct LogGap {
    /// All that were dropped up to the last sample.
    dropped: u64,
    /// How many there were before the gap, while there is one.
    before: Option<u64>,
}

impl LogGap {
    /// Notes the begin of a gap, and its end: the first sample without a dropped line.
    fn note(&mut self, dropped: u64) {
        let grown = dropped - self.dropped.min(dropped);
        match self.before {
            None if grown > 0 => {
                self.before = Some(self.dropped);
                let reason = "the reader of the log is too slow, or it cannot be written: lines are dropped";
                note_change(ChangeKind::LogDropped, "", None, reason);
            }
            Some(before) if grown == 0 => {
                self.before = None;
                let lines = dropped - before;
                note_change(ChangeKind::LogBack, "", None, &format!("lines are written again; {lines} were dropped"));
            }
            _ => {}
        }
        self.dropped = dropped;
    }
}

impl HostOperations {
    /// An ejection has no event of its own: the review of the endpoints runs within a call. It lasts for many samples.
    fn note_ejections(&self, known: &mut BTreeSet<(String, String)>, now: Instant) {
        let table = self.registry.snapshot();
        let endpoints = table.iter().flat_map(|(_, service)| {
            service.group.endpoints.iter().map(move |endpoint| (service.group.name.to_string(), &endpoint.stats))
        });
        let out = endpoints.filter(|(_, stats)| stats.state(now).ejected);
        let out: BTreeSet<_> = out.map(|(service, stats)| (service, stats.id.to_string())).collect();
        for (service, id) in out.difference(known) {
            tracing::warn!(service, endpoint = id, "ejected: it fails more often than the others, and gets no calls");
            note_change(ChangeKind::Ejected, service, Some(id), "it fails more often than the others");
        }
        for (service, id) in known.difference(&out) {
            tracing::info!(service, endpoint = id, "no longer ejected: it gets calls");
            note_change(ChangeKind::Returned, service, Some(id), "its pause is over");
        }
        *known = out;
    }

    /// What was counted of each service so far.
    fn traffic_counts(&self) -> Vec<(String, TrafficCounts)> {
        let troubles = self.gateway.as_ref().map(|gateway| gateway.metrics().troubles()).unwrap_or_default();
        let left_out = log_counts().unwrap_or_default().left_out;
        let table = self.registry.snapshot();
        let counts = table.iter().map(|(_, service)| {
            let name = service.group.name.to_string();
            let mut counts = TrafficCounts::default();
            service.group.traffic.metrics.count_into(&mut counts);
            service.group.endpoints.iter().for_each(|endpoint| endpoint.stats.count_into(&mut counts));
            counts.left_out_lines = left_out.get(&name).copied().unwrap_or(0);
            counts.at_gateway = troubles.get(name.as_str()).cloned().unwrap_or_default();
            (name, counts)
        });
        counts.collect()
    }

    /// The counts of the last minute.
    fn recent_counts(&self) -> RecentCounts {
        let (now, counts) = (Instant::now(), self.traffic_counts());
        let windows = self.recent.lock();
        let recent = counts.into_iter().map(|(name, counts)| {
            let recent = windows.get(&name).map(|window| window.recent(now, &counts));
            (name, recent.unwrap_or((Duration::ZERO, counts)))
        });
        recent.collect()
    }

    /// How every service fares.
    pub(super) fn overview_views(&self) -> Vec<OverviewView> {
        let recent = self.recent_counts();
        let table = self.registry.snapshot();
        let newest = newest_changes();
        table.iter().map(|(_, service)| self.overview_view(service, &recent, &newest)).collect()
    }

    fn overview_view(
        &self,
        service: &Service,
        recent: &RecentCounts,
        newest: &BTreeMap<String, (u64, Arc<HostChange>)>,
    ) -> OverviewView {
        let name = service.group.name.to_string();
        let (length, counts) = recent.get(&name).cloned().unwrap_or_default();
        let seconds = length.as_secs_f64();
        let share = |part: u64, whole: f64| if whole > 0.0 { as_float(part) / whole } else { 0.0 };
        let BulkheadCounts { permits, taken, waiting } = service.group.traffic.bulkhead.counts();
        let limits = service.group.traffic.bulkhead.settings();
        let pool = service.pool().map(|pool| pool.share());
        let open = service
            .group
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.stats.state(Instant::now()).breaker.state != State::Closed);
        let bodies = self.gateway.as_ref().and_then(|gateway| gateway.body_memory(&name));
        let callers = counts.callers.iter().map(|(caller, traffic)| CallerView {
            caller: caller.clone(),
            calls_per_second: share(traffic.calls, seconds),
            failures_per_second: share(traffic.failures, seconds),
        });
        OverviewView {
            callers: callers.collect(),
            window_seconds: seconds,
            requests_per_second: share(counts.requests, seconds),
            failed_percent: 100.0 * share(counts.failures, as_float(counts.requests)),
            p99_ms: counts.quantile(0.99).map(|p99| p99.as_secs_f64() * 1e3),
            refused: counts.refused.values().sum(),
            retries: counts.retries,
            in_flight: limit(taken, permits),
            waiting: limit(waiting, limits.waiting),
            body_memory: bodies.map(|(used, most)| limit(used, most)).unwrap_or_default(),
            pool: limit(
                pool.map_or(0, |pool| pool.held),
                self.runtime.as_ref().map_or(0, |runtime| runtime.pool_slots()),
            ),
            open_circuits: limit(open.count(), service.group.endpoints.len()),
            last_error: last_failure(service).map(|last| LastErrorView {
                seconds_ago: seconds_since(last.time),
                kind: last.kind.to_owned(),
                detail: last.detail,
            }),
            newest_change: newest.get(&name).map(|(number, change)| ChangeView::of(*number, change)),
            service: name,
        }
    }

    /// Why the service `name` does not fare well.
    pub(super) fn why_view(&self, name: &str) -> Option<WhyView> {
        let causes: Vec<_> = why(name, &self.all_facts())?;
        Some(why_view(name, causes))
    }

    /// Which services do not fare well, and what else is wrong.
    pub(super) fn host_why_view(&self) -> HostWhyView {
        let facts = self.all_facts();
        let since = SystemTime::now().checked_sub(LATELY).unwrap_or(SystemTime::UNIX_EPOCH);
        let changes =
            changes().newest(MOST_CHANGES, |change: &HostChange| change.kind.is_deed() && change.time >= since);
        let failing = self.deliveries.get().map(|deliveries| broker_troubles(deliveries)).unwrap_or_default();
        let troubles = self.troubles().into_iter().map(|(part, meaning)| format!("{part}: {meaning}")).chain(failing);
        HostWhyView {
            of_services: facts.len() as u64,
            services: why_all(&facts).into_iter().map(|(name, causes)| why_view(&name, causes)).collect(),
            troubles: troubles.collect(),
            changes: changes.entries.iter().rev().map(|(number, change)| ChangeView::of(*number, change)).collect(),
        }
    }

    /// What is known of all services, also of those that are left out.
    fn all_facts(&self) -> Vec<ServiceFacts> {
        let recent = self.recent_counts();
        let table = self.registry.snapshot();
        let mut facts: Vec<_> = table.iter().map(|(_, service)| self.facts(service, &recent)).collect();
        // A service that is left out may have no entry in the table.
        for (name, reason) in self.left_out_services().iter() {
            match facts.iter_mut().find(|facts| facts.name == name.as_str()) {
                Some(facts) => facts.left_out = Some(reason.clone()),
                None => {
                    let (name, left_out) = (name.to_string(), Some(reason.clone()));
                    facts.push(ServiceFacts { name, left_out, ..ServiceFacts::default() });
                }
            }
        }
        facts
    }

    fn facts(&self, service: &Service, recent: &RecentCounts) -> ServiceFacts {
        let name = service.group.name.to_string();
        let now = Instant::now();
        let (_, counts) = recent.get(&name).cloned().unwrap_or_default();
        let kinds = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect::<BTreeMap<String, u64>>()
        };
        let BulkheadCounts { permits, taken, waiting } = service.group.traffic.bulkhead.counts();
        let pool = service.pool().map(|pool| pool.share());
        let grants = self.grants.get(&name);
        let read_only = self.store.as_ref().is_some_and(|store| !store.takes_writes());
        let has_state = grants.is_some_and(|grants| grants.state);
        let faults = service.group.traffic.faults.active(now);
        ServiceFacts {
            revision: service.revision.as_ref().map(|revision| revision.digest.short()),
            endpoints: service
                .group
                .endpoints
                .iter()
                .map(|one| endpoint_facts(&one.stats.id, &one.stats, now))
                .collect(),
            calls: grants.map(|grants| grants.calls.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            outside: service.outside.all().iter().map(|host| endpoint_facts(&host.name, &host.stats, now)).collect(),
            left_out: None,
            faults: faults.iter().map(|one| format!("a fault on purpose affects `{name}`: {}", one.fault)).collect(),
            store: (read_only && has_state).then(|| "the store takes no writes: the log says why".to_owned()),
            requests: counts.requests,
            failed: kinds(&counts.failed),
            refused: kinds(&counts.refused),
            timeouts: kinds(&counts.timeouts),
            at_gateway: kinds(&counts.at_gateway),
            trap: traps().reports(Some(&name)).into_iter().next().map(|report| FailureFacts {
                kind: report.kind.as_str().to_owned(),
                detail: match report.place() {
                    Some(frame) => format!("{} in {frame}", report.cause),
                    None => report.cause.clone(),
                },
                seconds_ago: seconds_since(report.last),
                count: report.count,
                revision: Some(report.revision.short()),
            }),
            in_flight: (taken as u64, permits as u64),
            waiting: (waiting as u64, service.group.traffic.bulkhead.settings().waiting as u64),
            pool: pool.map_or_else(PoolFacts::default, |pool| PoolFacts {
                held: pool.held as u64,
                waiting: pool.waiting as u64,
            }),
            left_out_lines: counts.left_out_lines,
            newest_swap: newest_swap(&name),
            name,
        }
    }
}

fn why_view(name: &str, causes: Vec<ServiceCause>) -> WhyView {
    let causes: Vec<_> = causes.into_iter().map(|cause| cause_view(cause, lines().is_on())).collect();
    WhyView { service: name.to_owned(), well: causes.is_empty(), causes }
}

fn endpoint_facts(id: &str, stats: &EndpointStats, now: Instant) -> EndpointFacts {
    let state = stats.state(now);
    let circuit = match (state.breaker.state, state.breaker.forced) {
        (_, Some(Forced::Open)) => CircuitFacts::HeldOpen,
        (State::Closed, _) => CircuitFacts::Closed,
        (State::Open | State::HalfOpen, _) => CircuitFacts::Open,
    };
    let failures = stats.last_failures().into_iter().map(|LastFailure { time, kind, detail, revision }| FailureFacts {
        kind: kind.to_owned(),
        detail,
        seconds_ago: seconds_since(time),
        count: 1,
        revision: revision.map(|digest| digest.short()),
    });
    let failures = failures.collect();
    let unready = !state.ready && !state.starting;
    EndpointFacts { id: id.to_owned(), circuit, starting: state.starting, unready, ejected: state.ejected, failures }
}

/// `kept`: whether the host keeps the lines of its log, so that `atoll logs` shows them.
fn cause_view(cause: ServiceCause, kept: bool) -> CauseView {
    let ServiceCause { kind, path, revision, detail, next, reads_log } = cause;
    let lacks = "`keep` in [telemetry.logs], which this host does not have; its log on standard error says the same";
    let needs = (reads_log && !kept).then(|| lacks.to_owned());
    CauseView { cause: kind.as_str().to_owned(), path, revision, detail, next, needs }
}

/// The latest failure of any endpoint of the service.
fn last_failure(service: &Service) -> Option<LastFailure> {
    let failures = service.group.endpoints.iter().filter_map(|endpoint| endpoint.stats.last_failure());
    failures.max_by_key(|failure| failure.time)
}

/// The latest change of each service.
fn newest_changes() -> BTreeMap<String, (u64, Arc<HostChange>)> {
    let all = changes().newest(usize::MAX, |_| true).entries;
    all.into_iter().map(|(number, change)| (change.service.clone(), (number, change))).collect()
}

/// The latest swap or rollback of a service, in words.
fn newest_swap(service: &str) -> Option<String> {
    let is_swap = |change: &HostChange| {
        change.service == service && matches!(change.kind, ChangeKind::Swapped | ChangeKind::RolledBack)
    };
    let (_, change) = changes().newest(1, is_swap).entries.pop()?;
    Some(format!("{} {} s ago: {}", change.kind.as_str(), seconds_since(change.time), change.reason))
}

fn seconds_since(time: SystemTime) -> u64 {
    SystemTime::now().duration_since(time).unwrap_or_default().as_secs()
}

fn limit(used: usize, limit: usize) -> UseView {
    UseView { used: used as u64, limit: limit as u64 }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people: counts above 2⁵³ may be rounded")]
fn as_float(count: u64) -> f64 {
    count as f64
}
