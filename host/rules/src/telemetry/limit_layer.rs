//! Which lines of the log are bounded, and by which quota.

use super::access_line::{ACCESS, REFUSALS};
use super::line_limiter::{Admission, LeftOut, LineKind, LineLimiter, LineQuota, LineSubject, SERVICE};
use super::line_queue::LineQueue;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The fields that tell the kinds of one message apart. Others, such as the request's id, differ from line to line.
const TELLING: [&str; 11] =
    [SERVICE, "kind", "case", "reason", "state", "endpoint", "callee", "authority", "place", "stack", "cause"];
/// What clients and guests can cause has the id of the request. These targets have lines without one that they can
/// cause too.
const CAUSED: [&str; 2] = ["circuit", "store"];
/// The target of what guests print.
const GUEST: &str = "guest";
/// The seconds of whose refusals each has its line at once, after a silence.
const REFUSALS_AT_ONCE: u32 = 10;
/// The longest text that is kept of a message or a field, in characters.
const LONGEST: usize = 120;

/// The bounds of lines as the manifest has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogQuotas {
    pub(super) repeats: u32,
    pub(super) guest_lines: u32,
    pub(super) guest_burst: u32,
    pub(super) refusals: u32,
}

/// The quotas and what was used of them.
#[derive(Debug, Default)]
pub(super) struct LogLimits {
    lines: Mutex<LineLimiter>,
    repeats: AtomicU32,
    guest_lines: AtomicU32,
    guest_burst: AtomicU32,
    refusals: AtomicU32,
}

impl LogLimits {
    pub(super) fn change(&self, quotas: LogQuotas) {
        self.repeats.store(quotas.repeats, Relaxed);
        self.guest_lines.store(quotas.guest_lines, Relaxed);
        self.guest_burst.store(quotas.guest_burst, Relaxed);
        self.refusals.store(quotas.refusals, Relaxed);
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, LineLimiter> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The quota of the lines of this kind; `None` if each of them is written.
    fn quota(&self, line: &Metadata<'_>) -> Option<LineQuota> {
        let repeats = || LineQuota { burst: self.repeats.load(Relaxed), per_second: 0 };
        match line.target() {
            ACCESS if line.name() == REFUSALS => {
                let per_second = self.refusals.load(Relaxed);
                Some(LineQuota { burst: per_second.saturating_mul(REFUSALS_AT_ONCE), per_second })
            }
            GUEST => {
                Some(LineQuota { burst: self.guest_burst.load(Relaxed), per_second: self.guest_lines.load(Relaxed) })
            }
            target if CAUSED.contains(&target) => Some(repeats()),
            // The rest of the access log and what operators do are at INFO: each line counts.
            _ if *line.level() <= Level::WARN && line.fields().field("request_id").is_some() => Some(repeats()),
            _ => None,
        }
    }
}

/// Leaves out lines that are over their quota.
pub(super) struct LimitLayer {
    pub(super) limits: Arc<LogLimits>,
    pub(super) queue: Arc<LineQueue>,
}

impl<S: Subscriber> Layer<S> for LimitLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let Some(quota) = self.limits.quota(event.metadata()) else { return true };
        let kind = kind(event);
        let admission = self.limits.lines().admit(kind, quota, Instant::now(), || subject(event));
        if admission == (Admission::LeftOut { first: true }) {
            // The thread of the log may wait without end for a line; now it has a time to wait for.
            self.queue.ask();
        }
        admission == Admission::Written
    }
}

fn kind(event: &Event<'_>) -> LineKind {
    let is_guest = event.metadata().target() == GUEST;
    let mut hashes = KindVisitor { service: DefaultHasher::new(), kind: DefaultHasher::new(), is_guest };
    // The two streams of a guest share one quota.
    if !is_guest {
        event.metadata().callsite().hash(&mut hashes.kind);
    }
    event.record(&mut hashes);
    LineKind { service: hashes.service.finish(), kind: hashes.kind.finish() }
}

/// Hashes the telling fields, without an allocation.
struct KindVisitor {
    service: DefaultHasher,
    kind: DefaultHasher,
    is_guest: bool,
}

impl KindVisitor {
    fn hasher(&mut self, name: &str) -> Option<&mut DefaultHasher> {
        match name {
            SERVICE => Some(&mut self.service),
            name if !self.is_guest && TELLING.contains(&name) => {
                name.hash(&mut self.kind);
                Some(&mut self.kind)
            }
            _ => None,
        }
    }
}

impl Visit for KindVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(hasher) = self.hasher(field.name()) {
            hasher.write(value.as_bytes());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some(hasher) = self.hasher(field.name()) {
            // A hasher takes everything.
            let _ = write!(KindText(hasher), "{value:?}");
        }
    }
}

/// Text that goes into a hash.
struct KindText<'a>(&'a mut DefaultHasher);

impl Write for KindText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn subject(event: &Event<'_>) -> LineSubject {
    let metadata = event.metadata();
    let mut texts = LineVisitor { message: String::new(), fields: Vec::new() };
    event.record(&mut texts);
    let LineVisitor { mut message, mut fields } = texts;
    if metadata.target() == GUEST {
        message = "standard output and error of the service's instances".into();
        fields.retain(|(name, _)| *name == SERVICE);
    }
    if metadata.target() == ACCESS {
        message = "requests that an open circuit has refused".into();
    }
    LineSubject { level: *metadata.level(), target: metadata.target(), message, fields }
}

/// Keeps the beginning of the message, and the telling fields.
struct LineVisitor {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for LineVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = short(&format!("{value:?}"));
        } else if TELLING.contains(&field.name()) {
            self.fields.push((field.name(), short(&format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// The beginning of the text's first line.
fn short(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(LONGEST).collect()
}

impl LeftOut {
    /// What the line says that tells of them.
    pub(super) fn message(&self) -> String {
        // Rounded up: "in the last 0 s" would be no time.
        let seconds = self.within.as_secs() + u64::from(self.within.subsec_nanos() > 0);
        format!("{} … and {} more in the last {} s", self.subject.message, self.count, seconds.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    /// Notes of each line whether it has a quota.
    struct QuotaProbe {
        limits: LogLimits,
        seen: Arc<Mutex<Vec<bool>>>,
    }

    impl<S: Subscriber> Layer<S> for QuotaProbe {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.seen.lock().unwrap().push(self.limits.quota(event.metadata()).is_some());
        }
    }

    #[test]
    fn of_the_access_log_only_the_lines_of_refusals_are_bounded_whatever_their_fields_say() {
        let seen = Arc::default();
        let probe = QuotaProbe { limits: LogLimits::default(), seen: Arc::clone(&seen) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(probe), || {
            tracing::info!(name: REFUSALS, target: "access", kind = "circuit-open", request_id = "a");
            tracing::info!(target: "access", kind = "circuit-open", request_id = "b");
            tracing::info!(name: REFUSALS, target: "elsewhere", kind = "circuit-open");
        });
        assert_eq!(*seen.lock().unwrap(), [true, false, false]);
    }
}
