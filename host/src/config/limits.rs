//! The tables of a `[service.NAME]` that bound its calls and the life of its instances: `limits` and `reuse`.

use super::idle_keys;
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{ChoiceKind, CountKind};
use super::reader::measure::{DurationKind, GIB, HOUR, KIB, SizeKind, TIB, in_memory};
use super::reader::section::Section;
use crate::mesh::{BulkheadSettings, TrafficSettings};
use crate::runtime;
use std::time::Duration;

/// The bodies that requests may have: the kind of a service's `limits.body` and of a route's `body`.
pub(super) const BODY: SizeKind = SizeKind { min: 0, max: TIB };
/// How long one step of a call may take.
const TIME: DurationKind = DurationKind { min: 1, max: HOUR };

/// The memory of a 32-bit component ends at 4 GiB. Below 64 KiB, which is one page, no component can start.
static MEMORY: ManifestKey<SizeKind> = ManifestKey::new(
    "memory",
    SizeKind { min: 64 * KIB, max: 4 * GIB },
    r#""128MiB""#,
    "The memory of one instance. An instance that asks for more ends, and its request is answered with 502.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "timeout",
    TIME,
    r#""10s""#,
    "How long one try of a call may take until the head of its answer, with the wait for an instance. Then the answer \
     is 504.",
);
/// If it is absent, it is never shorter than one try.
static TOTAL: ManifestKey<DurationKind> = ManifestKey::without_default(
    "total",
    TIME,
    "How long a call may take until the head of its answer, with all its waits and tries. Then the answer is 504. It \
     may be shorter than `timeout`, and then it ends a single try as well. Absent: 15s, or `timeout` if that is \
     longer.",
);
static CONNECT: ManifestKey<DurationKind> = ManifestKey::new(
    "connect",
    TIME,
    r#""1s""#,
    "How long it may take to connect to an address of `urls`, or to a host of `egress`. Then the try has failed.",
);
static CONCURRENCY: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "concurrency",
    CountKind { min: 1, max: 10_000 },
    "256",
    "The number of calls at the same time at each replica or address. The service may have that many for each of its \
     endpoints.",
);
/// Clients that send slowly leave at least a quarter of the places to the others.
static OPEN_UPLOADS: ManifestKey<CountKind<u16>> = ManifestKey::without_default(
    "open_uploads",
    CountKind { min: 1, max: 10_000 },
    "How many of these calls may be under way, for each replica or address, while their clients have still to send: \
     beyond the first 64 KiB of a body, or after a pause in one whose length was not said. A further request waits \
     until another client has sent all. Absent: three quarters of `concurrency`, rounded up.",
);
static WAITING: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "waiting",
    CountKind { min: 0, max: 10_000 },
    "128",
    "The number of calls of the whole service that may wait until one of those ends. Further calls are answered with \
     503.",
);
static WAIT: ManifestKey<DurationKind> = ManifestKey::new(
    "wait",
    TIME,
    r#""100ms""#,
    "How long such a call may wait. Then the answer is 503. The answer is 503 at once if the recent calls took so long \
     that the wait would be longer than this. It is also how long a try may wait for an instance of the engine's pool.",
);
static SHARE: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "share",
    CountKind { min: 1, max: 100 },
    "1",
    "The weight of the service when services share what there is too little of: instances of the engine's pool, and \
     turns of guests that compute for long. A service of weight 2 gets twice as much as one of weight 1, if both need \
     it.",
);
static BODY_LIMIT: ManifestKey<SizeKind> = ManifestKey::new(
    "body",
    BODY,
    r#""2MiB""#,
    "The largest body of a request. A larger one is answered with 413. A route can have another limit.",
);

/// Whether instances are used again.
static ISOLATION: ManifestKey<ChoiceKind<bool>> = ManifestKey::new(
    "isolation",
    ChoiceKind(&[("request", false), ("reuse", true)]),
    r#""request""#,
    "`\"request\"`: each call gets an instance of its own. `\"reuse\"`: requests and calls share instances, and what \
     one of them leaves in memory the next one finds; see `reuse`.",
);

/// The section with the bounds of reuse.
const REUSE: &str = "reuse";
static MAX_REQUESTS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "max_requests",
    CountKind { min: 1, max: 1_000_000 },
    "1000",
    "The number of requests and calls that one instance serves before a new instance replaces it.",
);
static MAX_CONCURRENT: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "max_concurrent",
    CountKind { min: 1, max: 1000 },
    "1",
    "The number of requests and calls that one instance serves at the same time. A trap in one of them ends them all.",
);
static IDLE_TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "idle_timeout",
    DurationKind { min: 1, max: HOUR },
    r#""1s""#,
    "How long an instance may be idle before it is dropped. It is dropped earlier if others wait for the engine's \
     pool.",
);

/// The values of `limits`, by what they bound.
pub(super) struct LimitKeys {
    pub(super) instance: runtime::Limits,
    pub(super) bulkhead: BulkheadSettings,
    pub(super) connect: Duration,
    pub(super) total: Duration,
    pub(super) body: u64,
    /// For each endpoint.
    pub(super) open_uploads: usize,
}

/// The limits of instances, of calls, and of the bodies of requests.
pub(super) fn limits(service: &mut Section<'_>) -> LimitKeys {
    let before = service.report.count();
    let mut section = service.section("limits");
    let (concurrency, waiting): (usize, _) = (section.get(&CONCURRENCY).into(), section.get(&WAITING).into());
    let open_uploads = section.find(&OPEN_UPLOADS).map_or(concurrency - concurrency / 4, |found| found.value.into());
    let (timeout, wait, share) = (section.get(&TIMEOUT), section.get(&WAIT), section.get(&SHARE));
    let memory = in_memory(section.get(&MEMORY));
    let limits = LimitKeys {
        instance: runtime::Limits { memory, timeout, concurrency, wait, share },
        bulkhead: BulkheadSettings { concurrency, waiting, wait },
        connect: section.get(&CONNECT),
        total: section.find(&TOTAL).map_or(timeout.max(TrafficSettings::default().total), |found| found.value),
        body: section.get(&BODY_LIMIT),
        open_uploads,
    };
    // A wrong value is a finding already.
    if service.report.count() == before {
        idle_keys::refuse_of_limits(service, &section);
    }
    section.close();
    limits
}

/// The meaning of `isolation` and `reuse` together.
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
    // A wrong `isolation` was reported already, and may have been meant as "reuse".
    if written && !reused && report.count() == before {
        let message = "`reuse` has no effect, since no instance is used again";
        let help = "add isolation = \"reuse\", or leave `reuse` out";
        report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, help);
    }
    section.close();
    if reused { runtime::Isolation::Reuse(reuse) } else { runtime::Isolation::Request }
}
