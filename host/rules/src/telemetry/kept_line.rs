//! A line of the log as it is kept in memory, and the layer that keeps it.

use super::numbered_ring::NumberedRing;
use crate::base::{log_safe, mask_secrets};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::mem::size_of;
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// A line of the log.
#[derive(Debug)]
pub struct KeptLine {
    /// When it was written.
    pub time: SystemTime,
    /// Its level.
    pub level: Level,
    /// The part of the host that wrote it: `access`, `guest`, `circuit`, or a module.
    pub target: &'static str,
    /// The service that it is about.
    pub service: Option<Box<str>>,
    /// The request that it is about.
    pub request_id: Option<Box<str>>,
    /// The trace of that request, if it is traced.
    pub trace_id: Option<Box<str>>,
    /// The text.
    pub message: Box<str>,
    /// The other fields: a JSON object.
    pub fields: Box<RawValue>,
}

/// Which lines are meant.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    /// Only those about this service.
    pub service: Option<String>,
    /// Only those of this level or a worse one.
    pub level: Option<Level>,
    /// Only those from this time on.
    pub since: Option<SystemTime>,
    /// Only those of this trace, or of the request with this id.
    pub trace: Option<String>,
}

/// The memory that a line takes beside its texts, in bytes: itself, the count of its owners, and its place in the ring.
const OVERHEAD: usize = size_of::<KeptLine>() + 4 * size_of::<usize>();

/// The last lines of the log of this process. It keeps nothing before the manifest names a bound.
static LINES: NumberedRing<KeptLine> = NumberedRing::new(0);

/// The last lines of the log; the bound of the ring is in bytes.
pub fn lines() -> &'static NumberedRing<KeptLine> {
    &LINES
}

impl LineFilter {
    /// Whether `line` is meant.
    pub fn admits(&self, line: &KeptLine) -> bool {
        let is = |own: &Option<Box<str>>, meant: &String| own.as_deref() == Some(meant.as_str());
        self.level.is_none_or(|level| line.level <= level)
            && self.since.is_none_or(|since| line.time >= since)
            && self.service.as_ref().is_none_or(|service| is(&line.service, service))
            && self.trace.as_ref().is_none_or(|trace| is(&line.trace_id, trace) || is(&line.request_id, trace))
    }
}

impl KeptLine {
    fn weight(&self) -> usize {
        let texts = [&self.service, &self.request_id, &self.trace_id].into_iter().flatten().map(|text| text.len());
        OVERHEAD + texts.sum::<usize>() + self.message.len() + self.fields.get().len()
    }
}

/// Keeps each line that is written. It stands behind the limits, so a flood of lines takes no more of the memory than
/// of the log.
pub(super) struct MemoryLayer;

impl<S: Subscriber> Layer<S> for MemoryLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !LINES.is_on() {
            return;
        }
        let mut texts = FieldVisitor::default();
        event.record(&mut texts);
        let FieldVisitor { message, mut fields } = texts;
        let mut own = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text.into_boxed_str()),
            _ => None,
        };
        let (service, request_id, trace_id) = (own("service"), own("request_id"), own("trace_id"));
        let Ok(fields) = to_raw_value(&fields) else { return };
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let message = mask_secrets(&message).into_owned().into();
        let line = KeptLine { time: SystemTime::now(), level, target, service, request_id, trace_id, message, fields };
        LINES.push(line.weight(), line);
    }
}

#[derive(Default)]
struct FieldVisitor {
    message: String,
    fields: Map<String, Value>,
}

impl FieldVisitor {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for FieldVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            // A backtrace has several lines; each of them is safe.
            self.message = value.lines().map(|line| log_safe(line)).collect::<Vec<_>>().join("\n");
        } else {
            self.put(field, mask_secrets(value).into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Number::from_f64(value).map_or(Value::Null, Value::Number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(service: &str, level: Level, request: &str) -> KeptLine {
        KeptLine {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(100),
            level,
            target: "guest",
            service: Some(service.into()),
            request_id: Some(request.into()),
            trace_id: None,
            message: "text".into(),
            fields: to_raw_value(&Map::new()).unwrap(),
        }
    }

    #[test]
    fn a_filter_admits_what_has_all_that_it_names() {
        let warn = line("users", Level::WARN, "r1");
        let since = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let filter = LineFilter::default;
        for (filter, admitted) in [
            (filter(), true),
            (LineFilter { service: Some("users".into()), ..filter() }, true),
            (LineFilter { service: Some("user".into()), ..filter() }, false),
            (LineFilter { level: Some(Level::INFO), ..filter() }, true),
            (LineFilter { level: Some(Level::WARN), ..filter() }, true),
            (LineFilter { level: Some(Level::ERROR), ..filter() }, false),
            (LineFilter { since: since(100), ..filter() }, true),
            (LineFilter { since: since(101), ..filter() }, false),
            (LineFilter { trace: Some("r1".into()), ..filter() }, true),
            (LineFilter { trace: Some("r2".into()), ..filter() }, false),
        ] {
            assert_eq!(filter.admits(&warn), admitted, "{filter:?}");
        }
    }

    #[test]
    fn the_weight_of_a_line_is_at_least_its_texts() {
        let long = KeptLine { message: "x".repeat(5_000).into(), ..line("users", Level::INFO, "r") };
        assert!(long.weight() > 5_000 + size_of::<KeptLine>());
    }
}
