//! The tables of a `[service.NAME]` that say what bounds its calls and how long its instances live: `limits` and `reuse`.

use crate::config::finding::ValueOrigin;
use crate::config::kind::{Choice, Count};
use crate::config::measure::{Duration, GIB, HOUR, KIB, Size, TIB, in_memory};
use crate::config::section::{ManifestKey, Section};
use crate::mesh::BulkheadSettings;
use crate::runtime;
use std::time;

/// The memory of a 32-bit component ends at 4 GiB; below 64 KiB, one page, nothing can start.
const MEMORY: Size = Size { min: 64 * KIB, max: 4 * GIB };
/// The bodies that requests may have: the kind of a service's `limits.body` and of a route's `body`.
pub(super) const BODY: Size = Size { min: 0, max: TIB };

static MEMORY_LIMIT: ManifestKey<Size> = ManifestKey { name: "memory", kind: MEMORY, default: Some(r#""128MiB""#) };
/// How long something may take, and a call wait.
const TIME: Duration = Duration { min: 1, max: HOUR };
static TIMEOUT: ManifestKey<Duration> = ManifestKey { name: "timeout", kind: TIME, default: Some(r#""10s""#) };
/// Absent it is no shorter than one try.
static TOTAL: ManifestKey<Duration> = ManifestKey { name: "total", kind: TIME, default: None };
const LEAST_TOTAL: time::Duration = time::Duration::from_secs(15);
static CONNECT: ManifestKey<Duration> = ManifestKey { name: "connect", kind: TIME, default: Some(r#""1s""#) };
static CONCURRENCY: ManifestKey<Count<u16>> =
    ManifestKey { name: "concurrency", kind: Count { min: 1, max: 10_000 }, default: Some("256") };
static WAITING: ManifestKey<Count<u16>> =
    ManifestKey { name: "waiting", kind: Count { min: 0, max: 10_000 }, default: Some("128") };
static WAIT: ManifestKey<Duration> = ManifestKey { name: "wait", kind: TIME, default: Some(r#""100ms""#) };
static BODY_LIMIT: ManifestKey<Size> = ManifestKey { name: "body", kind: BODY, default: Some(r#""2MiB""#) };

/// Whether instances are used again.
static ISOLATION: ManifestKey<Choice<bool>> = ManifestKey {
    name: "isolation",
    kind: Choice(&[("request", false), ("reuse", true)]),
    default: Some(r#""request""#),
};

/// The section of their bounds.
const REUSE: &str = "reuse";
static MAX_REQUESTS: ManifestKey<Count<u32>> =
    ManifestKey { name: "max_requests", kind: Count { min: 1, max: 1_000_000 }, default: Some("1000") };
static MAX_CONCURRENT: ManifestKey<Count<u16>> =
    ManifestKey { name: "max_concurrent", kind: Count { min: 1, max: 1000 }, default: Some("1") };
static IDLE_TIMEOUT: ManifestKey<Duration> =
    ManifestKey { name: "idle_timeout", kind: Duration { min: 1, max: HOUR }, default: Some(r#""1s""#) };

/// What `limits` says, sorted by those whom it bounds.
pub(super) struct LimitKeys {
    pub(super) instance: runtime::Limits,
    pub(super) bulkhead: BulkheadSettings,
    pub(super) connect: time::Duration,
    pub(super) total: time::Duration,
    pub(super) body: u64,
}

/// The limits of instances, of calls, and of the bodies of requests.
pub(super) fn limits(service: &mut Section<'_>) -> LimitKeys {
    let mut section = service.section("limits");
    let (concurrency, waiting) = (section.get(&CONCURRENCY).into(), section.get(&WAITING).into());
    let timeout = section.get(&TIMEOUT);
    let limits = LimitKeys {
        instance: runtime::Limits { memory: in_memory(section.get(&MEMORY_LIMIT)), timeout, concurrency },
        bulkhead: BulkheadSettings { concurrency, waiting, wait: section.get(&WAIT) },
        connect: section.get(&CONNECT),
        total: section.find(&TOTAL).map_or(timeout.max(LEAST_TOTAL), |found| found.value),
        body: section.get(&BODY_LIMIT),
    };
    section.close();
    limits
}

/// What `isolation` and `reuse` say together.
pub(super) fn isolation(service: &mut Section<'_>) -> runtime::Isolation {
    let report = service.report;
    let written = service.has(REUSE);
    let before = report.count();
    let reused = service.get(&ISOLATION);
    let mut section = service.section(REUSE);
    let reuse = runtime::Reuse {
        max_requests: usize::try_from(section.get(&MAX_REQUESTS)).expect("at most a million"),
        max_concurrent: section.get(&MAX_CONCURRENT).into(),
        idle_timeout: section.get(&IDLE_TIMEOUT),
    };
    // An isolation that is wrong was noted, and may have been meant to be this one.
    if written && !reused && report.count() == before {
        let message = "`reuse` has no effect, since no instance is used again";
        let help = "add isolation = \"reuse\", or leave `reuse` out";
        report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, help);
    }
    section.close();
    if reused { runtime::Isolation::Reuse(reuse) } else { runtime::Isolation::Request }
}
