//! The times at which something is due.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Due times, one after the other.
#[derive(Clone)]
pub enum Recurrence {
    /// By a cron pattern.
    Cron(Box<CronTimes>),
    /// At each multiple of so many milliseconds since 1970, so that a restart does not shift them. At least 1.
    Every(u64),
}

/// The due times of a cron pattern, by the calendar of a time zone.
#[derive(Clone)]
pub struct CronTimes {
    cron: Cron,
    zone: TimeZone,
}

/// A text that is no recurrence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecurrence {
    /// It is no cron pattern.
    #[error("`{pattern}` is no cron pattern: {reason}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It names no time zone.
    #[error("there is no time zone `{0}`")]
    Zone(String),
}

/// The fields of a pattern, each with what it takes.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31 or L"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 or SUN to SAT"),
];

/// Which field of the pattern is wrong; `None`: none by itself. croner's own text does not say.
fn misread(pattern: &str) -> Option<String> {
    let parts: Vec<_> = pattern.split_whitespace().collect();
    let fields = match parts.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => return Some(format!("it has {count} fields, and not five, or six with seconds first")),
    };
    let alone = |at: usize| {
        let one = (0..parts.len()).map(|other| if other == at { parts[at] } else { "*" });
        one.collect::<Vec<_>>().join(" ")
    };
    let wrong = (0..parts.len()).find(|at| Cron::from_str(&alone(*at)).is_err())?;
    let (name, takes) = fields[wrong];
    Some(format!("the {name} is {takes}, and not `{}`", parts[wrong]))
}

impl Recurrence {
    /// The times of a cron pattern of five fields (or six, with seconds first), by the calendar of `zone`, a name of
    /// the IANA's database: `Europe/Berlin`, `UTC`.
    ///
    /// # Errors
    /// One of the two texts is none.
    pub fn cron(pattern: &str, zone: &str) -> Result<Self, InvalidRecurrence> {
        let zone = TimeZone::get(zone).map_err(|_| InvalidRecurrence::Zone(zone.to_owned()))?;
        let cron = Cron::from_str(pattern).map_err(|error| {
            let (pattern, reason) = (pattern.to_owned(), misread(pattern).unwrap_or_else(|| error.to_string()));
            InvalidRecurrence::Pattern { pattern, reason }
        })?;
        Ok(Self::Cron(Box::new(CronTimes { cron, zone })))
    }

    /// The times that are multiples of `interval`, of whole milliseconds.
    pub fn every(interval: Duration) -> Self {
        Self::Every(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// The first due time after `time`; `None` if there is none.
    pub fn after(&self, time: u64) -> Option<u64> {
        match self {
            Self::Cron(times) => times.next(time),
            Self::Every(interval) => (time / interval).checked_add(1)?.checked_mul(*interval),
        }
    }

    /// The last due time up to `time`; `None` if there is none.
    pub fn last_until(&self, time: u64) -> Option<u64> {
        match self {
            Self::Cron(times) => times.last_until(time),
            Self::Every(interval) => Some(time / interval * interval),
        }
    }
}

impl CronTimes {
    fn next(&self, time: u64) -> Option<u64> {
        // croner counts in whole seconds: the second of `time` itself has passed.
        let next = self.cron.find_next_occurrence(&self.at(time / 1000 * 1000)?, false).ok()?;
        millis(&next)
    }

    fn last_until(&self, time: u64) -> Option<u64> {
        let last = self.cron.find_previous_occurrence(&self.at(time / 1000 * 1000)?, true).ok()?;
        millis(&last)
    }

    fn at(&self, time: u64) -> Option<Zoned> {
        let time = Timestamp::from_millisecond(i64::try_from(time).ok()?).ok()?;
        Some(time.to_zoned(self.zone.clone()))
    }
}

fn millis(time: &Zoned) -> Option<u64> {
    u64::try_from(time.timestamp().as_millisecond()).ok()
}

impl fmt::Debug for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(times) => write!(f, "Cron({})", times.cron.as_str()),
            Self::Every(interval) => write!(f, "Every({interval} ms)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The time of a text as RFC 3339 has it.
    fn time(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    fn texts(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let times = Recurrence::cron(pattern, zone).unwrap();
        let mut at = time(from);
        let mut found = Vec::new();
        for _ in 0..count {
            at = times.after(at).unwrap();
            assert_eq!(times.last_until(at), Some(at));
            found.push(Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap().to_string());
        }
        found
    }

    #[test]
    fn cron_follows_the_calendar_of_its_zone() {
        let cases: [(&str, &str, &str, &[&str]); 7] = [
            ("0 3 * * *", "UTC", "2026-11-28T03:00:00Z", &["2026-11-29T03:00:00Z", "2026-11-30T03:00:00Z"]),
            // In New York it is UTC-4 on October 31 and UTC-5 from November 1, 02:00.
            (
                "0 3 * * *",
                "America/New_York",
                "2026-10-31T00:00:00Z",
                &["2026-10-31T07:00:00Z", "2026-11-01T08:00:00Z", "2026-11-02T08:00:00Z"],
            ),
            // 02:30 happens twice in Berlin on October 25: it is due once.
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T01:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
            // 02:30 does not happen in Berlin on March 29: it is due at the end of the gap.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T02:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
            // Sunday is 0, and 7 too.
            ("0 0 * * 0", "UTC", "2026-11-28T00:00:00Z", &["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"]),
            ("0 0 * * 7", "UTC", "2026-11-28T00:00:00Z", &["2026-11-29T00:00:00Z"]),
            ("*/20 * * * * *", "UTC", "2026-11-28T00:00:10.5Z", &["2026-11-28T00:00:20Z", "2026-11-28T00:00:40Z"]),
        ];
        for (pattern, zone, from, expected) in cases {
            assert_eq!(texts(pattern, zone, from, expected.len()), expected, "{pattern} {zone}");
        }
    }

    #[test]
    fn what_is_no_pattern_and_no_zone_is_refused() {
        for pattern in ["", "0 3 * *", "61 * * * *", "0 3 * * mon-", "daily"] {
            let error = Recurrence::cron(pattern, "UTC").unwrap_err();
            assert!(matches!(&error, InvalidRecurrence::Pattern { .. }), "{pattern}");
        }
        assert_eq!(Recurrence::cron("0 3 * * *", "Mars").unwrap_err().to_string(), "there is no time zone `Mars`");
        // A day that never comes has no due time, and looking for it ends.
        assert_eq!(Recurrence::cron("0 0 30 2 *", "UTC").unwrap().after(0), None);
    }

    proptest! {
        #[test]
        fn an_interval_is_due_at_its_multiples(interval in 1u64..50, from in 0u64..500) {
            let times = Recurrence::every(Duration::from_millis(interval));
            let naive = (from + 1..).find(|time| time % interval == 0);
            prop_assert_eq!(times.after(from), naive);
            prop_assert_eq!(times.last_until(from), (0..=from).rev().find(|time| time % interval == 0));
        }
    }
}
