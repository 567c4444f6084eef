//! `[limit.NAME]`: how many requests a client may make in a time, and how much their work may take.

use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{CountKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::measure;
use super::reader::report::Report;
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use crate::base::TakenWork;
use crate::gateway::{LimitKey, LimitMeasures, RateLimit, RouteLimits};
use crate::limit::{Limiter, Quota, QuotaTable, Rate, WorkBudget, WorkLimiter};
use http::HeaderName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toml::Spanned;
use toml::de::DeValue;

/// An amount in a time, with a slash between them: what it is, how it is written, and how it is read.
struct PerTimeKind<T: 'static> {
    accepts: &'static str,
    help: &'static str,
    read: fn(&str, Duration) -> Option<T>,
}

impl<T> ValueKind for PerTimeKind<T> {
    type Value = T;

    fn accepts(&self) -> String {
        self.accepts.into()
    }

    fn help(&self) -> String {
        self.help.into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<KindError>> {
        let found = value.get_ref().as_str().and_then(|text| {
            let (amount, period) = text.split_once('/')?;
            (self.read)(amount.trim(), measure::duration(period.trim())?)
        });
        found.ok_or_else(|| refused(self, value))
    }
}

/// What a limit counts by.
struct LimitKeyKind;

impl ValueKind for LimitKeyKind {
    type Value = LimitKey;

    fn accepts(&self) -> String {
        "`client`, `key`, `subject`, `claim:NAME`, `header:NAME` or `route`".into()
    }

    fn help(&self) -> String {
        "write \"client\" for the client's address, or one of the other words".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<LimitKey, Vec<KindError>> {
        let key = value.get_ref().as_str().and_then(|text| match text.split_once(':') {
            None => match text {
                "client" => Some(LimitKey::Client),
                "key" => Some(LimitKey::ApiKey),
                "subject" => Some(LimitKey::Subject),
                "route" => Some(LimitKey::Route),
                _ => None,
            },
            Some(("claim", name)) => (!name.is_empty()).then(|| LimitKey::Claim(name.into())),
            Some(("header", name)) => name.parse::<HeaderName>().ok().map(LimitKey::Header),
            Some(_) => None,
        });
        key.ok_or_else(|| refused(self, value))
    }
}

static RATE: ManifestKey<PerTimeKind<(u32, Duration)>> = ManifestKey::without_default(
    "rate",
    PerTimeKind {
        accepts: "a number of requests in 1ms to 24h",
        help: "write the number, a slash and a duration in quotes: \"100/10s\", \"5000/1h\"",
        read: |amount, period| {
            let count = amount.parse().ok()?;
            Rate::new(count, period, 1).map(|_| (count, period))
        },
    },
    "How many requests in which time. Absent: any number.",
);
static BURST: ManifestKey<CountKind<u32>> = ManifestKey::without_default(
    "burst",
    CountKind { min: 1, max: 1_000_000 },
    "How many of them may come at once; further ones as the time refills them, evenly. Absent: all of `rate`.",
);
static CPU: ManifestKey<PerTimeKind<WorkBudget>> = ManifestKey::without_default(
    "cpu",
    PerTimeKind {
        accepts: "a processor time in 1ms to 24h",
        help: "write two durations in quotes with a slash between them: \"2s/10s\"",
        read: |amount, period| WorkBudget::new(u64::try_from(measure::duration(amount)?.as_nanos()).ok()?, period),
    },
    "How much processor time the components that work for the requests may take, in which time. It is measured, and \
     taken from the client's account while they work. A request is admitted while the account is above zero.",
);
static MEMORY: ManifestKey<PerTimeKind<WorkBudget>> = ManifestKey::without_default(
    "memory",
    PerTimeKind {
        accepts: "a size in 1ms to 24h",
        help: "write a size, a slash and a duration in quotes: \"64MiB/10s\"",
        read: |amount, period| {
            // All of it, held for all of the time.
            let bytes = usize::try_from(measure::size(amount)?).ok()?;
            WorkBudget::new(TakenWork::held(bytes, period), period)
        },
    },
    "How much memory their instances may hold, on the average of which time: \"64MiB/10s\" is 64 MiB all the time, or \
     640 MiB for a second in ten. As for `cpu`, it is measured, and taken from the client's account.",
);
static QUOTA: ManifestKey<PerTimeKind<Quota>> = ManifestKey::without_default(
    "quota",
    PerTimeKind {
        accepts: "a number of requests in 1m to 366d",
        help: "write the number, a slash and a duration of whole minutes in quotes: \"10000/1d\"",
        read: |amount, window| Quota::new(amount.parse().ok()?, window),
    },
    "How many requests in each window of the calendar; those of a day begin at midnight UTC. What is used up is kept \
     in the database, and survives a restart. After a crash, a client may have lost a hundredth of it; nobody gets \
     anything back.",
);
static BY: ManifestKey<LimitKeyKind> = ManifestKey::new(
    "by",
    LimitKeyKind,
    r#""client""#,
    "Which requests count together: those of one client address (an IPv6 address by its first 64 bits), API key, \
     subject, value of a claim or of a header, or all of the route. A request that has none counts by its client.",
);
static KEYS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "keys",
    CountKind { min: 8, max: 16_777_216 },
    "65536",
    "Room for so many clients with a bucket that is not full again, at 18 bytes each, and for so many with a count in \
     `quota`, at 40 bytes each. If there is no room for one more, it shares with others that came late.",
);
/// The limits that a route names.
static LIMIT: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "limit",
    ListKind { of: TextKind { min: 1 }, max: 16 },
    "[]",
    "The limits, by their names, all of which must admit a request. A request beyond them is answered with 429.",
);

/// The longest name of a limit: it stands in a header of every answer.
const LONGEST_NAME: usize = 64;

/// The limits of the manifest, by name. One that is wrong and was reported is `None`.
#[derive(Default)]
pub(super) struct RateLimits(BTreeMap<String, Option<Arc<RateLimit>>>);

/// Reads every `[limit.NAME]`.
pub(super) fn read_all(root: &mut Section<'_>) -> RateLimits {
    let sections = root.sections("limit");
    RateLimits(sections.into_iter().map(|(key, section)| ((*key.get_ref()).into(), read(&key, section))).collect())
}

fn read(key: &Spanned<&str>, mut section: Section<'_>) -> Option<Arc<RateLimit>> {
    let report = section.report;
    let name = *key.get_ref();
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let named = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(legal);
    if !named {
        let message = format!("`{name}` cannot be the name of a limit");
        report.push(ValueOrigin::Text(key.span()), message, "use 1 to 64 letters, digits, `-` and `_`");
    }
    let (rate, burst, cpu) = (section.find(&RATE), section.find(&BURST), section.find(&CPU));
    let (memory, quota) = (section.find(&MEMORY), section.find(&QUOTA));
    if [RATE.name, CPU.name, MEMORY.name, QUOTA.name].iter().all(|measure| section.lacks(measure)) {
        let help = "add rate = \"100/10s\", or one of `cpu`, `memory` and `quota`";
        report.push_if_whole(ValueOrigin::Text(key.span()), format!("limit `{name}` limits nothing"), help);
    }
    if let (Some(burst), true) = (&burst, section.lacks(RATE.name)) {
        report.push_if_whole(burst.origin.clone(), "`burst` is part of `rate`", "add `rate`, or leave `burst` out");
    }
    let (by, keys) = (section.get(&BY), section.get(&KEYS));
    section.close();
    let (keys, now) = (usize::try_from(keys).expect("at most 2^24"), Instant::now());
    let measures = LimitMeasures {
        rate: rate.map(|rate| {
            let (count, period) = rate.value;
            let rate = Rate::new(count, period, burst.map_or(count, |found| found.value));
            Limiter::new(rate.expect("checked by the kinds"), keys, now)
        }),
        cpu: cpu.map(|found| WorkLimiter::new(found.value, keys, now)),
        memory: memory.map(|found| WorkLimiter::new(found.value, keys, now)),
        quota: quota.map(|found| QuotaTable::new(found.value, keys)),
    };
    named.then(|| Arc::new(RateLimit::new(name, measures, by)))
}

/// What a route has that limits may count.
pub(super) struct LimitedRoute {
    /// Whether components work for its requests.
    pub(super) guests: bool,
    /// Whether it may know who calls.
    pub(super) callers: bool,
}

impl RateLimits {
    /// Those that are right, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<RateLimit>> {
        self.0.values().flatten().cloned().collect()
    }

    /// The limits that the route `section` names.
    pub(super) fn of_route(&self, section: &mut Section<'_>, route: LimitedRoute) -> Option<RouteLimits> {
        let report = section.report;
        let named = section.get(&LIMIT).into_iter().filter_map(|named| {
            let limit =
                self.find(&Sourced { value: named.get_ref(), origin: ValueOrigin::Text(named.span()) }, report)?;
            if let Some((why, help)) = idle(&limit, &route) {
                let message = format!("limit `{}` {why}", limit.name());
                report.push_if_whole(ValueOrigin::Text(named.span()), message, help);
            }
            Some(Spanned::new(named.span(), (named.into_inner(), limit)))
        });
        let distinct = report.distinct(named.collect(), |(name, _)| name.clone());
        RouteLimits::new(distinct.into_iter().map(|(_, limit)| limit).collect())
    }

    fn find(&self, named: &Sourced<&String>, report: &Report) -> Option<Arc<RateLimit>> {
        let found = self.0.get(named.value);
        if found.is_none() {
            let help = did_you_mean(named.value, self.0.keys().map(String::as_str), "the limits of this manifest");
            report.push_if_whole(named.origin.clone(), format!("there is no limit `{}`", named.value), help);
        }
        found.cloned().flatten()
    }
}

/// Why a limit would not do on a route what it says, and what to do about that.
fn idle(limit: &RateLimit, route: &LimitedRoute) -> Option<(&'static str, &'static str)> {
    let only_work = limit.counts_only_work();
    match limit.by() {
        _ if only_work && !route.guests => {
            Some(("has no effect here: no component works for this route", "give the limit a `rate`, or leave it out"))
        }
        LimitKey::ApiKey | LimitKey::Subject | LimitKey::Claim(_) if !route.callers => {
            Some(("counts by who calls, which this route never knows", "add `auth`, or write by = \"client\""))
        }
        _ => None,
    }
}
