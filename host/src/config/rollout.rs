//! `rollout` of a `[service.NAME]`: how a new revision gets its calls; and `[history]`: where revisions are kept.

use super::reader::file::{CreatedPath, PathKind};
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, FlagKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DAY, DurationKind, MINUTE};
use super::reader::report::Report;
use super::reader::section::Section;
use crate::archive;
use crate::fault::Share;
use crate::rollout::CanaryPlan;
use http::HeaderName;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

static CANARY: ManifestKey<ListKind<PercentKind>> = ManifestKey::new(
    "canary",
    ListKind { of: PercentKind, max: 20 },
    r#"["1%", "5%", "25%", "50%"]"#,
    "The shares of the calls that a new revision gets, step by step, each larger than the one before. After the last \
     step it gets all calls.",
);
static STEP: ManifestKey<DurationKind> =
    ManifestKey::new("step", DurationKind { min: 1000, max: DAY }, r#""2m""#, "How long a step lasts at least.");
static CALLS: ManifestKey<CountKind<u64>> = ManifestKey::new(
    "calls",
    CountKind { min: 1, max: 1_000_000 },
    "50",
    "How many calls the new revision gets in a step at least. A step with fewer goes on: it neither passes nor fails.",
);
static MAX_ERRORS: ManifestKey<LimitKind> = ManifestKey::without_default(
    "max_errors",
    LimitKind,
    "The share of its calls that the new revision may fail, however the old one fares. Absent: only the comparison \
     with the old one decides. It does not count while the old one fails as much.",
);
static STICKY: ManifestKey<StickyKind> = ManifestKey::without_default(
    "sticky",
    StickyKind,
    "Whose calls stick to one revision: those of one subject, or those with one value of a header or a cookie of the \
     request at the gateway. Absent, or where a request has no such field: each request is drawn by itself.",
);
static SHADOW: ManifestKey<DurationKind> = ManifestKey::without_default(
    "shadow",
    DurationKind { min: 1000, max: DAY },
    "How long calls are compared in the shadow first: the new revision gets what the old one got, and what it answers, \
     writes and calls is compared and goes nowhere. Absent: not at all.",
);
static FAIL_ON_DIFF: ManifestKey<FlagKind> = ManifestKey::new(
    "fail_on_diff",
    FlagKind,
    "false",
    "Whether the first difference in the shadow takes the new revision back.",
);
static ASK: ManifestKey<DurationKind> = ManifestKey::new(
    "ask",
    DurationKind { min: 1000, max: 30 * DAY },
    r#""10m""#,
    "After how long a step with too few calls asks for a decision, in the log and in `atoll rollout`.",
);

static PATH: ManifestKey<PathKind> = ManifestKey::new(
    "path",
    PathKind,
    r#"".atoll/history""#,
    "The folder of the revisions that were swapped in. The section, or a `rollout` of a service, turns the history on: \
     then what was swapped in serves after a restart too, until the manifest names another component.",
);
static REVISIONS: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "revisions",
    CountKind { min: 1, max: 1000 },
    "10",
    "The most revisions of a service that are kept. Those in use stay.",
);
static AGE: ManifestKey<DurationKind> = ManifestKey::new(
    "age",
    DurationKind { min: MINUTE, max: 3650 * DAY },
    r#""7d""#,
    "How long a revision is kept that is not in use.",
);

/// A whole number of percent, from 1 to 99.
struct PercentKind;

impl ValueKind for PercentKind {
    type Value = u8;

    fn accepts(&self) -> String {
        "a share of 1% to 99%, in whole percent".into()
    }

    fn help(&self) -> String {
        "write whole numbers with % in quotes: \"5%\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<u8, Vec<KindError>> {
        let percent = value.get_ref().as_str().and_then(CanaryPlan::percent);
        percent.ok_or_else(|| refused(self, value))
    }
}

/// A share of calls, more than none and less than all of them.
struct LimitKind;

impl ValueKind for LimitKind {
    type Value = f64;

    fn accepts(&self) -> String {
        "a share of more than 0% and less than 100%".into()
    }

    fn help(&self) -> String {
        "write a number with % in quotes: \"5%\" or \"0.5%\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<f64, Vec<KindError>> {
        let share = value.get_ref().as_str().and_then(|text| Share::parse(text).ok());
        let share = share.filter(|share| *share > Share::NONE && *share < Share::ALL);
        share.map(|share| f64::from(share.millionths()) / 1e6).ok_or_else(|| refused(self, value))
    }
}

/// `subject`, `header:NAME`, `cookie:NAME`.
struct StickyKind;

impl ValueKind for StickyKind {
    type Value = Arc<str>;

    fn accepts(&self) -> String {
        "\"subject\" or \"header:NAME\" or \"cookie:NAME\"".into()
    }

    fn help(&self) -> String {
        "write \"subject\", \"header:x-tenant\" or \"cookie:session\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let text = value.get_ref().as_str().unwrap_or_default();
        let legal = match text.split_once(':') {
            None => text == "subject",
            Some(("header", name)) => name.parse::<HeaderName>().is_ok(),
            // A cookie's name is a token, as a header's is (RFC 6265, section 4.1.1).
            Some(("cookie", name)) => name.parse::<HeaderName>().is_ok(),
            Some(_) => false,
        };
        if legal { Ok(text.into()) } else { Err(refused(self, value)) }
    }
}

/// Reads `rollout`; `None`: a new revision gets all calls at once.
pub(super) fn read(service: &mut Section<'_>) -> Option<CanaryPlan> {
    let there = service.has("rollout");
    let mut section = service.section("rollout");
    let shares = section.get_sourced(&CANARY);
    let plan = CanaryPlan {
        shares: shares.value.iter().map(|share| *share.get_ref()).collect(),
        step: section.get(&STEP),
        calls: section.get(&CALLS),
        max_errors: section.find(&MAX_ERRORS).map(|limit| limit.value),
        sticky: section.find(&STICKY).map(|sticky| sticky.value),
        shadow: section.find(&SHADOW).map(|shadow| shadow.value),
        fail_on_diff: section.get(&FAIL_ON_DIFF),
        ask: section.get(&ASK),
    };
    if !plan.shares.is_sorted_by(|one, next| one < next) || plan.shares.is_empty() {
        let help = "write one share at least, each larger than the one before: [\"5%\", \"25%\"]";
        section.report.push_if_whole(shares.origin, "`canary` has steps that do not grow, or none", help);
    }
    section.close();
    there.then_some(plan)
}

const HISTORY_FOLDER: CreatedPath =
    CreatedPath { is_folder: true, help: "name a folder of its own for the history: the host creates it" };

/// Of debug builds: at which moment of what it writes into the history the host ends itself, for tests.
const STOP_VARIABLE: &str = "ATOLL_TEST_HISTORY_STOP";

/// Reads that moment, counted from 1; `None`: the host does not end itself.
pub(super) fn history_stop(report: &Report, env: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let text = env(STOP_VARIABLE).filter(|_| cfg!(debug_assertions))?;
    let at = text.parse().ok().filter(|at| *at > 0);
    if at.is_none() {
        let help = "it is for tests of Atoll alone: unset it";
        report.push(ValueOrigin::Variable(STOP_VARIABLE), "this is no number from 1 on", help);
    }
    at
}

/// Reads `[history]`. `wanted`: whether a service has a `rollout`. `None`: nothing is kept.
pub(super) fn history(
    root: &mut Section<'_>,
    (folder, cache): (&Path, &Path),
    wanted: bool,
) -> Option<archive::Settings> {
    let there = root.has("history");
    let mut section = root.section("history");
    let found = section.get_sourced(&PATH);
    let path = folder.join(&found.value);
    if (there || wanted) && (path.starts_with(cache) || cache.starts_with(&path)) {
        let message = format!("`{}` and the cache of compiled code are in one another", found.value.display());
        let help =
            "the host clears its cache by itself: name another folder for the history, or for `cache` of [runtime]";
        root.report.push(found.origin.clone(), message, help);
    }
    let settings = archive::Settings {
        path: HISTORY_FOLDER.resolve(found, folder, root.report),
        revisions: section.get(&REVISIONS).into(),
        age: section.get(&AGE),
    };
    section.close();
    (there || wanted).then_some(settings)
}

#[cfg(test)]
mod tests {
    use super::STOP_VARIABLE;
    use crate::config::Manifest;
    use std::path::Path;

    #[test]
    fn a_kill_switch_of_a_test_that_says_no_moment_is_refused() {
        let read = |value: Option<&str>| {
            let env = |name: &str| value.filter(|_| name == STOP_VARIABLE).map(str::to_owned);
            Manifest::parse("atoll.toml", "[history]\n".into(), Path::new(""), &env)
        };
        assert_eq!(read(None).unwrap().history_stop, None);
        assert_eq!(read(Some("7")).unwrap().history_stop, Some(7));
        for wrong in ["x", "0", "", "-1"] {
            let error = read(Some(wrong)).map(drop).unwrap_err().to_string();
            assert!(error.contains("ATOLL_TEST_HISTORY_STOP: this is no number from 1 on"), "{wrong}: {error}");
        }
    }
}
