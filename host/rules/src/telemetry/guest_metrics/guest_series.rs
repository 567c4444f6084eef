//! The totals of what guests measure: for each service, of its last revisions.

use super::guest_counters::SeriesKey;
use super::guest_sample::{GuestSample, GuestValue};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The most lines that the series of one service take in an exposition.
const MOST_LINES: usize = 200;
/// The most lines for values that had no room: each instrument has one series for these.
const MOST_OVERFLOW: usize = 40;
/// The most revisions of a service whose series are kept: the one that serves, a canary, and the one before.
const MOST_REVISIONS: usize = 3;
/// The mark of what had no room (OpenTelemetry's metrics SDK, "Overflow attribute").
const OVERFLOW: (&str, &str) = ("otel.metric.overflow", "true");

/// What a guest handed over that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuestSignal {
    /// A span of its own.
    Spans,
    /// A value of a series.
    Points,
}

/// What all guests measure.
#[derive(Default)]
pub struct GuestMetrics(Mutex<BTreeMap<String, ServiceSeries>>);

/// What the guests of one service measure.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct ServiceSeries {
    /// The one that has been silent for longest first.
    pub(in super::super) revisions: VecDeque<RevisionSeries>,
    /// What was left out.
    pub(in super::super) left_out: BTreeMap<GuestSignal, u64>,
}

/// The series of one revision.
#[derive(Debug, Clone)]
pub(in super::super) struct RevisionSeries {
    pub(in super::super) revision: String,
    pub(in super::super) series: BTreeMap<SeriesKey, GuestSeries>,
}

/// One series.
#[derive(Debug, Clone)]
pub(in super::super) struct GuestSeries {
    pub(in super::super) unit: String,
    pub(in super::super) help: String,
    pub(in super::super) total: GuestValue,
    is_overflow: bool,
}

impl GuestSignal {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Points => "points",
        }
    }
}

static GUESTS: LazyLock<GuestMetrics> = LazyLock::new(GuestMetrics::default);

/// What the guests of this host measure.
pub fn guest_metrics() -> &'static GuestMetrics {
    &GUESTS
}

impl GuestMetrics {
    /// Adds `news` of an instance of this service and revision to the series of `sample`.
    pub fn add(&self, service: &str, revision: &str, sample: &GuestSample, news: &GuestValue) {
        let mut services = self.lock();
        let own = services.entry(service.to_owned()).or_default();
        if !own.add(revision, sample, news) {
            *own.left_out.entry(GuestSignal::Points).or_default() += 1;
        }
    }

    /// Something of a guest of this service was left out.
    pub fn left_out(&self, service: &str, signal: GuestSignal, count: u64) {
        *self.lock().entry(service.to_owned()).or_default().left_out.entry(signal).or_default() += count;
    }

    /// Forgets the services that are not there any more: `has` tells which are.
    pub fn keep(&self, has: impl Fn(&str) -> bool) {
        self.lock().retain(|service, _| has(service));
    }

    /// All that was measured, by service.
    pub(in super::super) fn read(&self) -> BTreeMap<String, ServiceSeries> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ServiceSeries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceSeries {
    /// Whether there was room, and the value fitted the series.
    fn add(&mut self, revision: &str, sample: &GuestSample, news: &GuestValue) -> bool {
        let at = self.place(revision);
        let key = (sample.name.clone(), sample.labels.clone());
        if let Some(series) = self.revisions[at].series.get_mut(&key) {
            return series.total.add(news);
        }
        if self.lines(false) + news.lines() <= MOST_LINES {
            self.revisions[at].begin(key, sample, (news, false));
            return true;
        }
        // The last one of several gauges says nothing of the others.
        if matches!(news, GuestValue::Gauge(_)) {
            return false;
        }
        *self.left_out.entry(GuestSignal::Points).or_default() += 1;
        let key = (sample.name.clone(), vec![(OVERFLOW.0.to_owned(), OVERFLOW.1.to_owned())]);
        if let Some(series) = self.revisions[at].series.get_mut(&key) {
            series.total.add(news);
        } else if self.lines(true) + news.lines() <= MOST_OVERFLOW {
            self.revisions[at].begin(key, sample, (news, true));
        }
        true
    }

    /// The place of a revision, at the end. It may need that of the one that has been silent for longest.
    fn place(&mut self, revision: &str) -> usize {
        let found = self.revisions.iter().position(|own| own.revision == revision);
        let own = found.and_then(|at| self.revisions.remove(at));
        if own.is_none() && self.revisions.len() >= MOST_REVISIONS {
            self.revisions.pop_front();
        }
        let new = || RevisionSeries { revision: revision.to_owned(), series: BTreeMap::new() };
        self.revisions.push_back(own.unwrap_or_else(new));
        self.revisions.len() - 1
    }

    fn lines(&self, overflow: bool) -> usize {
        let all = self.revisions.iter().flat_map(|own| own.series.values());
        all.filter(|series| series.is_overflow == overflow).map(|series| series.total.lines()).sum()
    }
}

impl RevisionSeries {
    fn begin(&mut self, key: SeriesKey, sample: &GuestSample, (news, is_overflow): (&GuestValue, bool)) {
        let (unit, help, total) = (sample.unit.clone(), sample.help.clone(), news.clone());
        self.series.insert(key, GuestSeries { unit, help, total, is_overflow });
    }
}
