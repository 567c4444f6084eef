//! The traffic of the last minute, from counters that only grow.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The bounds of the latency histogram in microseconds: a fresh instance answers in tens of them, and a deadline is
/// seconds away.
pub(super) const LATENCY: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How far back the window looks.
const WINDOW: Duration = Duration::from_secs(60);
/// The most samples: one each 5 s, and some to spare.
const MOST_SAMPLES: usize = 16;

/// What was counted of one service up to a moment, or between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Tries at its endpoints.
    pub requests: u64,
    /// Tries that failed by the service's fault.
    pub failures: u64,
    /// Further tries of failed calls.
    pub retries: u64,
    /// The failed tries by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Calls refused before an endpoint got them, by kind.
    pub refused: BTreeMap<&'static str, u64>,
    /// Tries without an answer in time, by whose deadline it was.
    pub timeouts: BTreeMap<&'static str, u64>,
    /// Requests of the service's routes that ended otherwise than with its answer, by kind; an answer of 5xx is
    /// `answered-5xx`.
    pub at_gateway: BTreeMap<&'static str, u64>,
    /// The calls of each caller that is a service, and those that failed.
    pub callers: BTreeMap<String, CallerTraffic>,
    /// Lines about it, or printed by it, that the log only counted.
    pub left_out_lines: u64,
    /// Tries by their latency: those up to each bound of [`LATENCY`], then those beyond.
    pub(super) latency: [u64; LATENCY.len() + 1],
}

/// The calls of one caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerTraffic {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
}

impl TrafficCounts {
    /// What was counted between `earlier` and this moment. A counter that has shrunk counts from 0: an address has
    /// gone.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let kinds = |now: &BTreeMap<&'static str, u64>, then: &BTreeMap<&'static str, u64>| {
            let grown =
                now.iter().map(|(kind, count)| (*kind, count.saturating_sub(then.get(kind).copied().unwrap_or(0))));
            grown.filter(|(_, count)| *count > 0).collect()
        };
        let callers = self.callers.iter().map(|(caller, now)| {
            let then = earlier.callers.get(caller).copied().unwrap_or_default();
            let calls = now.calls.saturating_sub(then.calls);
            (caller.clone(), CallerTraffic { calls, failures: now.failures.saturating_sub(then.failures) })
        });
        Self {
            callers: callers.filter(|(_, traffic)| traffic.calls > 0).collect(),
            left_out_lines: self.left_out_lines.saturating_sub(earlier.left_out_lines),
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
            retries: self.retries.saturating_sub(earlier.retries),
            failed: kinds(&self.failed, &earlier.failed),
            refused: kinds(&self.refused, &earlier.refused),
            timeouts: kinds(&self.timeouts, &earlier.timeouts),
            at_gateway: kinds(&self.at_gateway, &earlier.at_gateway),
            latency: std::array::from_fn(|at| self.latency[at].saturating_sub(earlier.latency[at])),
        }
    }

    /// The latency below which this share of the tries is, 0 to 1, estimated within its bucket as Prometheus does
    /// (`histogram_quantile`). Beyond the last bound it is that bound. `None` without tries.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.latency.iter().sum();
        if total == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate: counts above 2⁵³ may be rounded")]
        let (rank, as_float) = (share * total as f64, |count: u64| count as f64);
        let (mut below, mut lower) = (0, 0);
        for (bound, count) in LATENCY.iter().zip(self.latency) {
            if count > 0 && as_float(below + count) >= rank {
                let part = ((rank - as_float(below)) / as_float(count)).clamp(0.0, 1.0);
                return Some(Duration::from_secs_f64((as_float(lower) + as_float(bound - lower) * part) / 1e6));
            }
            (below, lower) = (below + count, *bound);
        }
        Some(Duration::from_micros(lower))
    }
}

/// Samples of the counters of one service.
#[derive(Debug)]
pub struct TrafficWindow {
    samples: VecDeque<(Instant, TrafficCounts)>,
}

impl TrafficWindow {
    /// A window that begins at `now`, when `counts` was counted.
    pub fn new(now: Instant, counts: TrafficCounts) -> Self {
        Self { samples: VecDeque::from([(now, counts)]) }
    }

    /// Adds the counts at `now`, and forgets what is older than the window.
    pub fn note(&mut self, now: Instant, counts: TrafficCounts) {
        self.samples.push_back((now, counts));
        // The sample at the edge of the window stays: the counts since then are those of the whole window.
        while self.samples.len() > MOST_SAMPLES
            || self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// What was counted in the window until `now`, when `counts` was counted, and how long the window is.
    pub fn recent(&self, now: Instant, counts: &TrafficCounts) -> (Duration, TrafficCounts) {
        let (began, earlier) = self.samples.front().expect("a window begins with a sample, and keeps one");
        (now.saturating_duration_since(*began), counts.since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64) -> TrafficCounts {
        TrafficCounts { requests, failed: BTreeMap::from([("trap", requests / 2)]), ..TrafficCounts::default() }
    }

    #[test]
    fn the_window_is_a_minute_and_forgets_what_is_older() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = TrafficWindow::new(start, counts(100));
        let (length, recent) = window.recent(at(2), &counts(110));
        assert_eq!((length, recent.requests, recent.failed["trap"]), (Duration::from_secs(2), 10, 5));
        for tick in 1..=40 {
            window.note(at(5 * tick), counts(100 + tick));
        }
        let (length, recent) = window.recent(at(200), &counts(140));
        assert_eq!((length, recent.requests), (Duration::from_secs(60), 12));
        assert!(window.samples.len() <= MOST_SAMPLES);
        let called = |calls| {
            let traffic = CallerTraffic { calls, failures: calls / 2 };
            TrafficCounts { callers: BTreeMap::from([("orders".to_owned(), traffic)]), ..TrafficCounts::default() }
        };
        assert_eq!(called(10).since(&called(4)).callers["orders"], CallerTraffic { calls: 6, failures: 3 });
        assert!(called(4).since(&called(4)).callers.is_empty());
        let (_, gone) = window.recent(at(200), &counts(0));
        assert_eq!((gone.requests, gone.failed.len()), (0, 0));
    }

    #[test]
    fn a_quantile_is_estimated_within_its_bucket() {
        let mut counts = TrafficCounts::default();
        assert_eq!(counts.quantile(0.99), None);
        // 98 up to 1 ms, two up to 100 ms.
        counts.latency[3] = 98;
        counts.latency[9] = 2;
        assert_eq!(counts.quantile(0.5).unwrap().as_micros(), 755);
        assert_eq!(counts.quantile(0.99).unwrap(), Duration::from_millis(75));
        counts.latency[LATENCY.len()] = 1_000;
        assert_eq!(counts.quantile(0.99), Some(Duration::from_secs(10)));
    }
}
