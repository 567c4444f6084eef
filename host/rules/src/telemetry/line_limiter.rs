//! How many lines of a kind are written, and how many are only counted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use tracing::Level;

/// The time after which left-out lines are said by their number. It is also the silence after which a kind begins anew.
pub(super) const PERIOD: Duration = Duration::from_secs(10);
/// The kinds of one service that are told apart. A hostile guest can fail in very many places.
const KINDS_OF_SERVICE: usize = 64;
/// The kinds of all services that are told apart: some 2 MiB of memory at most.
const KINDS: usize = 4096;
/// The kind that stands for all further kinds of a service, or of all services.
const FURTHER: u64 = 0;

/// The field that names the service.
pub(super) const SERVICE: &str = "service";

/// How many lines of a kind are written. `burst` at once; and of the following ones, `per_second`. After [`PERIOD`] of
/// silence it is `burst` again.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineQuota {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// Which lines are alike: hashes of the service, and of what else makes a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LineKind {
    pub(super) service: u64,
    pub(super) kind: u64,
}

/// What the lines of a kind have in common, for the line that counts them. Each text is short.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LineSubject {
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, String)>,
}

impl LineSubject {
    /// The service, or an empty text.
    fn service(&self) -> &str {
        self.fields.iter().find(|(name, _)| *name == SERVICE).map_or("", |(_, service)| service)
    }

    /// What lines have in common that share nothing but that they found no room.
    fn of_further_kinds(mut self, kind: LineKind) -> Self {
        self.fields.retain(|(name, _)| *name == SERVICE && kind.service != FURTHER);
        Self { message: "lines of further kinds".into(), ..self }
    }
}

/// What is done with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is written.
    Written,
    /// It is counted. `first`: the table had no left-out lines before it.
    LeftOut { first: bool },
}

/// Lines of a kind that were left out.
#[derive(Debug, PartialEq)]
pub(super) struct LeftOut {
    pub(super) subject: LineSubject,
    pub(super) count: u64,
    /// The time since the first of them.
    pub(super) within: Duration,
}

/// The kinds of lines of late, each with its quota's state. Time is an argument.
#[derive(Debug, Default)]
pub(super) struct LineLimiter {
    kinds: HashMap<LineKind, KindState>,
    /// How many kinds of a service are in `kinds`.
    of_service: HashMap<u64, usize>,
    /// How many lines of a service were left out so far, by its name; empty: lines of no service. The names are those
    /// of the manifest.
    totals: BTreeMap<String, u64>,
    /// How many kinds have left-out lines.
    leaving_out: usize,
    /// When silent kinds were last removed to make room.
    tidied: Option<Instant>,
}

#[derive(Debug)]
struct KindState {
    subject: LineSubject,
    /// How many lines may be written now.
    tokens: f64,
    /// The time of the last line, written or not.
    last: Instant,
    left_out: u64,
    /// The time of the first line that was left out and is not said yet.
    since: Instant,
}

impl LineLimiter {
    /// Decides about a line of `kind` that comes at `now`. `subject` is asked for the first line of a kind only.
    pub(super) fn admit(
        &mut self,
        kind: LineKind,
        quota: LineQuota,
        now: Instant,
        subject: impl FnOnce() -> LineSubject,
    ) -> Admission {
        let kind = self.room_for(kind, now);
        let burst = f64::from(quota.burst);
        let state = self.kinds.entry(kind).or_insert_with(|| {
            *self.of_service.entry(kind.service).or_default() += 1;
            let subject = if kind.kind == FURTHER { subject().of_further_kinds(kind) } else { subject() };
            KindState { subject, tokens: burst, last: now, left_out: 0, since: now }
        });
        let silence = now.saturating_duration_since(state.last);
        let earned = if silence >= PERIOD { burst } else { silence.as_secs_f64() * f64::from(quota.per_second) };
        state.tokens = (state.tokens + earned).min(burst);
        state.last = now;
        if state.tokens >= 1.0 {
            state.tokens -= 1.0;
            return Admission::Written;
        }
        if state.left_out == 0 {
            state.since = now;
            self.leaving_out += 1;
        }
        state.left_out += 1;
        match self.totals.get_mut(state.subject.service()) {
            Some(total) => *total += 1,
            None => drop(self.totals.insert(state.subject.service().to_owned(), 1)),
        }
        Admission::LeftOut { first: self.leaving_out == 1 && state.left_out == 1 }
    }

    /// The left-out lines that are to be said now: those of kinds whose first one is [`PERIOD`] old; `all`: those of
    /// every kind. Kinds that are silent are forgotten.
    pub(super) fn due(&mut self, now: Instant, all: bool) -> Vec<LeftOut> {
        let mut due = Vec::new();
        for state in self.kinds.values_mut().filter(|state| state.left_out > 0) {
            let within = now.saturating_duration_since(state.since);
            if all || within >= PERIOD {
                let count = std::mem::take(&mut state.left_out);
                due.push(LeftOut { subject: state.subject.clone(), count, within });
                self.leaving_out -= 1;
            }
        }
        self.forget_silent(now);
        due
    }

    /// When [`LineLimiter::due`] has something to say next; `None` if nothing was left out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.leaving_out == 0 {
            return None;
        }
        let waiting = self.kinds.values().filter(|state| state.left_out > 0);
        waiting.map(|state| state.since + PERIOD).min()
    }

    /// How many lines of each service were left out so far; an empty name: lines of no service.
    pub(super) fn totals(&self) -> &BTreeMap<String, u64> {
        &self.totals
    }

    /// The kind as which a line counts: its own, or one for all kinds that find no room.
    fn room_for(&mut self, kind: LineKind, now: Instant) -> LineKind {
        if self.kinds.contains_key(&kind) || self.has_room(kind.service) {
            return kind;
        }
        // Not for every line, or a flood of new kinds would go through the whole table each time.
        let is_due = |last: Instant| now.saturating_duration_since(last) >= Duration::from_secs(1);
        if self.tidied.is_none_or(is_due) {
            self.tidied = Some(now);
            self.forget_silent(now);
            if self.has_room(kind.service) {
                return kind;
            }
        }
        let service = if self.kinds.len() < KINDS { kind.service } else { FURTHER };
        LineKind { service, kind: FURTHER }
    }

    fn has_room(&self, service: u64) -> bool {
        self.kinds.len() < KINDS && self.of_service.get(&service).is_none_or(|kinds| *kinds < KINDS_OF_SERVICE)
    }

    fn forget_silent(&mut self, now: Instant) {
        let of_service = &mut self.of_service;
        self.kinds.retain(|kind, state| {
            let kept = state.left_out > 0 || now.saturating_duration_since(state.last) < PERIOD;
            if !kept && let Some(kinds) = of_service.get_mut(&kind.service) {
                *kinds -= 1;
            }
            kept
        });
        of_service.retain(|_, kinds| *kinds > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: LineQuota = LineQuota { burst: 1, per_second: 0 };

    fn kind(service: u64, kind: u64) -> LineKind {
        LineKind { service, kind }
    }

    fn subject(service: &str) -> LineSubject {
        let fields = vec![("kind", "trap".into()), (SERVICE, service.into())];
        LineSubject { level: Level::WARN, target: "host::gateway", message: "a call failed".into(), fields }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_line_of_a_kind_is_written_and_the_others_are_counted_every_ten_seconds() {
        let (mut lines, start) = (LineLimiter::default(), Instant::now());
        let admit =
            |lines: &mut LineLimiter, at: u64| lines.admit(kind(1, 1), ONE, start + seconds(at), || subject("users"));
        assert_eq!(admit(&mut lines, 0), Admission::Written);
        assert_eq!(lines.next_due(), None);
        assert_eq!(admit(&mut lines, 1), Admission::LeftOut { first: true });
        assert_eq!(lines.next_due(), Some(start + seconds(11)));
        for at in 2..11 {
            assert_eq!(admit(&mut lines, at), Admission::LeftOut { first: false });
        }
        assert_eq!(lines.due(start + seconds(10), false), []);
        let ten = LeftOut { subject: subject("users"), count: 10, within: seconds(10) };
        assert_eq!(lines.due(start + seconds(11), false), [ten]);
        assert_eq!((lines.next_due(), lines.due(start + seconds(11), true).len()), (None, 0));

        // It goes on failing: only numbers, and never again a first line.
        assert_eq!(admit(&mut lines, 12), Admission::LeftOut { first: true });
        assert_eq!(admit(&mut lines, 21), Admission::LeftOut { first: false });
        let two = LeftOut { subject: subject("users"), count: 2, within: seconds(10) };
        assert_eq!(lines.due(start + seconds(22), false), [two]);
        assert_eq!(lines.totals(), &BTreeMap::from([("users".into(), 12)]));

        // After a silence it is a first line again.
        assert_eq!(admit(&mut lines, 31), Admission::Written);
        assert_eq!(admit(&mut lines, 32), Admission::LeftOut { first: true });
    }

    #[test]
    fn kinds_and_services_do_not_share_a_quota() {
        let (mut lines, now) = (LineLimiter::default(), Instant::now());
        for one in [kind(1, 1), kind(1, 2), kind(2, 1)] {
            assert_eq!(lines.admit(one, ONE, now, || subject("users")), Admission::Written, "{one:?}");
        }
        let left_out = |first| Admission::LeftOut { first };
        assert_eq!(lines.admit(kind(1, 1), ONE, now, || subject("users")), left_out(true));
        assert_eq!(lines.admit(kind(2, 1), ONE, now, || subject("orders")), left_out(false));
        assert_eq!(lines.due(now, true).iter().map(|one| one.count).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_rate_writes_the_burst_and_then_so_many_lines_a_second() {
        let (mut lines, start) = (LineLimiter::default(), Instant::now());
        let quota = LineQuota { burst: 50, per_second: 10 };
        let mut written = |from: u64, seconds: u64| {
            let at = |n: u64| start + Duration::from_millis(from * 1000 + n);
            let admit = |lines: &mut LineLimiter, n| lines.admit(kind(1, 1), quota, at(n), || subject("chatty"));
            (0..seconds * 1000).filter(|n| admit(&mut lines, *n) == Admission::Written).count()
        };
        // A line each millisecond: the burst within the first second, and 10 in each second. A thousand fractions of a
        // token add up to a little less than a whole one now and then.
        let first = written(0, 1);
        assert!((58..=60).contains(&first), "{first}");
        let more = written(1, 3);
        assert!((29..=31).contains(&more), "{more}");
        let after_silence = written(14, 1);
        assert!((58..=60).contains(&after_silence), "{after_silence}");
        assert_eq!(lines.totals()["chatty"], 5_000 - (first + more + after_silence) as u64);
    }

    /// What a guest that fails in very many places can do: to the log, to memory, and to the lines of others.
    #[test]
    fn a_service_with_very_many_kinds_gets_no_more_room_than_its_share() {
        let (mut lines, start) = (LineLimiter::default(), Instant::now());
        let mut written = 0;
        for n in 1..=100_000 {
            let now = start + Duration::from_micros(n * 100);
            written += u64::from(lines.admit(kind(1, n), ONE, now, || subject("hostile")) == Admission::Written);
        }
        assert_eq!(written, KINDS_OF_SERVICE as u64 + 1, "each of its kinds, and one for all further kinds");
        assert_eq!(lines.kinds.len(), KINDS_OF_SERVICE + 1);
        assert_eq!(lines.admit(kind(2, 1), ONE, start, || subject("users")), Admission::Written);
        let due = lines.due(start + seconds(11), true);
        assert_eq!(due.iter().map(|one| one.count).sum::<u64>(), 100_000 - written, "no line is lost from the count");
        assert_eq!((due.len(), due[0].subject.message.as_str()), (1, "lines of further kinds"));
        assert_eq!(due[0].subject.fields, [(SERVICE, "hostile".to_owned())]);
        assert!(lines.due(start + seconds(40), true).is_empty());
        assert!(lines.kinds.is_empty() && lines.of_service.is_empty(), "silent kinds are forgotten");
    }

    #[test]
    fn the_table_of_all_services_has_a_bound() {
        let (mut lines, now) = (LineLimiter::default(), Instant::now());
        for n in 1..=20_000 {
            lines.admit(kind(n, 1), ONE, now, || subject("one of many"));
        }
        assert_eq!(lines.kinds.len(), KINDS + 1);
        let due = lines.due(now, true);
        assert_eq!((due.len(), due[0].count), (1, 20_000 - KINDS as u64 - 1));
        assert_eq!(due[0].subject.fields, []);
    }
}
