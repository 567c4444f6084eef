//! `[limit.NAME]`: how many requests a client may make in a time.

use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{CountKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::measure;
use super::reader::report::Report;
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use crate::gateway::{LimitKey, RateLimit, RouteLimits};
use crate::limit::{Limiter, Rate};
use http::HeaderName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toml::Spanned;
use toml::de::DeValue;

/// A number of requests in a time: `"100/10s"`.
struct RateKind;

impl ValueKind for RateKind {
    type Value = (u32, Duration);

    fn accepts(&self) -> String {
        "a number of requests in 1ms to 24h".into()
    }

    fn help(&self) -> String {
        "write the number, a slash and a duration in quotes: \"100/10s\", \"5000/1h\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let rate = value.get_ref().as_str().and_then(|text| {
            let (count, period) = text.split_once('/')?;
            let (count, period) = (count.trim().parse().ok()?, measure::duration(period.trim())?);
            Rate::new(count, period, 1).map(|_| (count, period))
        });
        rate.ok_or_else(|| refused(self, value))
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

static RATE: ManifestKey<RateKind> =
    ManifestKey::without_default("rate", RateKind, "How many requests in which time. It is required.");
static BURST: ManifestKey<CountKind<u32>> = ManifestKey::without_default(
    "burst",
    CountKind { min: 1, max: 1_000_000 },
    "How many of them may come at once; further ones as the time refills them, evenly. Absent: all of `rate`.",
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
    "Room for so many clients with a bucket that is not full again, at 17 bytes each. If there is no room for one \
     more, it shares a bucket with others that came late.",
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
    let rate = section.find(&RATE);
    if section.lacks(RATE.name) {
        let help = "add rate = \"100/10s\"";
        report.push_if_whole(ValueOrigin::Text(key.span()), format!("limit `{name}` has no `rate`"), help);
    }
    let (burst, by, keys) = (section.find(&BURST), section.get(&BY), section.get(&KEYS));
    section.close();
    let (count, period) = rate?.value;
    let rate = Rate::new(count, period, burst.map_or(count, |found| found.value)).expect("checked by the kinds");
    let keys = usize::try_from(keys).expect("at most 2^24");
    named.then(|| Arc::new(RateLimit::new(Limiter::new(name, rate, keys, Instant::now()), by)))
}

impl RateLimits {
    /// The limits that the route `section` names.
    pub(super) fn of_route(&self, section: &mut Section<'_>) -> Option<RouteLimits> {
        let report = section.report;
        let named = section.get(&LIMIT).into_iter().filter_map(|named| {
            let limit =
                self.find(&Sourced { value: named.get_ref(), origin: ValueOrigin::Text(named.span()) }, report)?;
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
