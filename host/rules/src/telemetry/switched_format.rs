//! The format of the log, which the manifest may change after the log has begun.

use super::access_line::{ACCESS, AccessFormat, AccessLine};
use super::line_format::LogFormat;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::SystemTime;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Which formats are in use now.
#[derive(Debug, Default)]
pub(super) struct FormatSwitch {
    /// 1: JSON.
    lines: AtomicU8,
    access: AtomicU8,
}

impl FormatSwitch {
    pub(super) fn new(format: LogFormat) -> Self {
        let switch = Self::default();
        switch.set(format, AccessFormat::default());
        switch
    }

    pub(super) fn set(&self, format: LogFormat, access: AccessFormat) {
        self.lines.store(u8::from(format == LogFormat::Json), Relaxed);
        let access = match access {
            AccessFormat::Short | AccessFormat::Full => 0,
            AccessFormat::Common => 1,
            AccessFormat::Combined => 2,
        };
        self.access.store(access, Relaxed);
    }

    pub(super) fn lines(&self) -> LogFormat {
        if self.lines.load(Relaxed) == 1 { LogFormat::Json } else { LogFormat::Pretty }
    }
}

/// Writes each event in the format that is in use.
pub(super) struct SwitchedFormat {
    pub(super) switch: Arc<FormatSwitch>,
    pub(super) pretty: Format<Full>,
    pub(super) json: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for SwitchedFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let access = self.switch.access.load(Relaxed);
        if access > 0 && event.metadata().target() == ACCESS {
            return AccessLine::of(event).write(&mut writer, SystemTime::now(), access == 2);
        }
        match self.switch.lines() {
            LogFormat::Json => self.json.format_event(context, writer, event),
            LogFormat::Pretty => self.pretty.format_event(context, writer, event),
        }
    }
}
