//! The log: one line for each event, on standard error.
//!
//! Nothing but two threads of `line_queue` writes to standard error and standard output while the host serves, so a
//! reader that stalls holds up neither a request nor the admin, and at the end of the host at most [`LAST_LINES`].

use super::access_line::AccessFormat;
use super::kept_line::{MemoryLayer, lines};
use super::limit_layer::{LimitLayer, LogLimits, LogQuotas};
use super::line_format::{LogFormat, Notice};
use super::line_limiter::LeftOut;
use super::line_queue::{LineQueue, LineSource};
use super::switched_format::{FormatSwitch, SwitchedFormat};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The bounds of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The most bytes that wait for a slow reader: 64 KiB to 1 GiB. Further lines are dropped, counted and said.
    pub queue: usize,
    /// How many lines of one kind about failed requests are written before they are only counted: at least 1.
    pub repeats: u32,
    /// The lines that the instances of one service may print in a second, on average: at least 1.
    pub guest_lines: u32,
    /// The lines that they may print at once: at least 1.
    pub guest_burst: u32,
    /// The access lines of requests that one service's open circuit refuses in a second, on average: at least 1.
    pub refusals: u32,
    /// The most bytes of written lines that stay in memory, for operators: 0 to 1 GiB. 0: none stays.
    pub keep: usize,
    /// The format; `None`: the one that the log has begun with.
    pub format: Option<LogFormat>,
    /// How the access log is written.
    pub access: AccessFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        let (keep, format, access) = (0, None, AccessFormat::default());
        Self { queue: 4 << 20, repeats: 1, guest_lines: 100, guest_burst: 1000, refusals: 100, keep, format, access }
    }
}

impl LogSettings {
    fn quotas(&self) -> LogQuotas {
        let Self { repeats, guest_lines, guest_burst, refusals, .. } = *self;
        LogQuotas { repeats, guest_lines, guest_burst, refusals }
    }
}

/// Lines that are not in the log, since the host has begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// The reader was too slow, or the lines could not be written.
    pub dropped: u64,
    /// They were over the quota of their kind, by service; an empty name: of no service.
    pub left_out: BTreeMap<String, u64>,
}

/// The filter when `ATOLL_LOG` is not set or not valid, in the syntax of `tracing_subscriber`'s `EnvFilter`.
const DEFAULT_FILTER: &str = "info";
/// Libraries that say at `info` what the host says itself, again and again while a broker is away. `ATOLL_LOG` may name
/// them.
const LOUD: [(&str, LevelFilter); 1] = [("async_nats", LevelFilter::WARN)];
/// Libraries that say nothing, whatever `ATOLL_LOG` says: a password is in what they write at `trace`.
const SILENT: [&str; 3] = ["lapin", "amq_protocol", "async_rs"];
/// The most bytes that wait for a slow reader of standard output: there is a line for each address.
const ANNOUNCEMENTS: usize = 64 << 10;
/// How long the host waits at its end, and at a panic, for a slow reader to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

static LOG: OnceLock<Log> = OnceLock::new();

/// The log of this process.
struct Log {
    /// The format was asked for where the log begun: then the manifest does not change it.
    fixed: bool,
    format: Arc<FormatSwitch>,
    errors: Arc<LineQueue>,
    announcements: Arc<LineQueue>,
    limits: Arc<LogLimits>,
}

/// Starts the log of this process, on standard error; standard output is for lines that programs read. `format`: the
/// one that holds whatever the manifest says; `None`: for people, until the manifest says otherwise. The environment
/// variable `ATOLL_LOG` sets the filter (`debug`, `access=off,info`, …). A panic becomes a line of the log too. A
/// second call changes nothing.
///
/// # Errors
/// The system has no thread or no file left.
pub fn init(format: Option<LogFormat>) -> io::Result<()> {
    if LOG.get().is_some() {
        return Ok(());
    }
    let settings = LogSettings::default();
    let fixed = format.is_some();
    let format = Arc::new(FormatSwitch::new(format.unwrap_or_default()));
    let limits = Arc::new(LogLimits::default());
    limits.change(settings.quotas());
    // Not through the handles of the standard library: their lock would be held while a write waits, and whoever else
    // prints would wait with it.
    let sink = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let source = LogSource { format: Arc::clone(&format), limits: Arc::clone(&limits) };
    let errors = LineQueue::start("log", sink, source, settings.queue)?;
    let sink = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let announcements = LineQueue::start("stdout", sink, Announcements, ANNOUNCEMENTS)?;
    let (switch, log_limits) = (Arc::clone(&format), Arc::clone(&limits));
    let log = Log { fixed, format, errors: Arc::clone(&errors), announcements, limits: log_limits };
    if LOG.set(log).is_err() {
        return Ok(());
    }

    let wanted = EnvFilter::try_from_env("ATOLL_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let limit = LimitLayer { limits, queue: Arc::clone(&errors) };
    let format =
        SwitchedFormat { switch, pretty: Format::default(), json: Format::default().json().flatten_event(true) };
    let writer = layer().event_format(format).with_writer(QueueWriter(errors)).with_ansi(io::stderr().is_terminal());
    let spoken = filter_fn(|metadata| may_speak(metadata.target()));
    let started = tracing_subscriber::registry()
        .with(bounded(wanted))
        .with(spoken)
        .with(limit)
        .with(writer)
        .with(MemoryLayer)
        .try_init();
    // This fails only if another log runs already, in a process that starts the host twice: a test.
    drop(started);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// What is logged of what is wanted.
fn bounded(wanted: EnvFilter) -> EnvFilter {
    let text = wanted.to_string();
    let loud = LOUD.into_iter().filter(|(target, _)| !text.contains(target));
    loud.fold(wanted, |filter, (target, most)| {
        filter.add_directive(format!("{target}={most}").parse().expect("a target and a level are a directive"))
    })
}

/// Whether a line with this target may be written at all. A directive could not say it: one for a part of the library
/// would go before it.
fn may_speak(target: &str) -> bool {
    SILENT
        .iter()
        .all(|silent| target.strip_prefix(silent).is_none_or(|rest| !rest.is_empty() && !rest.starts_with(':')))
}

/// Bounds and formats the log as `settings` say. Without a log it does nothing.
pub fn bound(settings: &LogSettings) {
    let Some(log) = LOG.get() else { return };
    log.errors.resize(settings.queue);
    log.limits.change(settings.quotas());
    lines().resize(settings.keep);
    let format = settings.format.filter(|_| !log.fixed).unwrap_or(log.format.lines());
    log.format.set(format, settings.access);
}

/// Puts a line, without its newline, on standard output, without waiting for its reader. Returns whether it did:
/// without a log it does not.
pub fn announce(line: &str) -> bool {
    LOG.get().is_some_and(|log| log.announcements.push(format!("{line}\n").as_bytes()))
}

/// Puts `text`, which ends with a newline, among the lines of the log as it is. Returns whether it did: without a log
/// it does not.
pub fn report(text: &str) -> bool {
    LOG.get().is_some_and(|log| log.errors.push(text.as_bytes()))
}

/// Says how many lines were left out, and waits until everything is written: a second at most, since the reader may
/// have stalled.
pub fn finish() {
    let Some(log) = LOG.get() else { return };
    let left_out = log.limits.lines().due(Instant::now(), true);
    push_left_out(&log.errors, log.format.lines(), &left_out);
    let until = Instant::now() + LAST_LINES;
    log.errors.flush(LAST_LINES);
    log.announcements.flush(until.saturating_duration_since(Instant::now()));
}

/// What the log of this process has not written; `None`: there is no log.
pub fn counts() -> Option<LogCounts> {
    let log = LOG.get()?;
    let left_out = log.limits.lines().totals().clone();
    Some(LogCounts { dropped: log.errors.dropped(), left_out })
}

/// A panic may be the last that the process does, so its line does not stay in the queue. Only the first of several
/// panics waits for a reader that has stalled.
fn log_panic(info: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| format!("\n{backtrace}"));
    let (name, backtrace) = (thread::current().name().unwrap_or("unnamed").to_owned(), backtrace.unwrap_or_default());
    if tracing::enabled!(target: "panic", Level::ERROR) {
        tracing::error!(target: "panic", thread = name, "{info}{backtrace}");
    } else {
        log.errors.push(format!("thread {name} {info}{backtrace}\n").as_bytes());
    }
    log.errors.flush(LAST_LINES);
}

fn push_left_out(queue: &LineQueue, format: LogFormat, left_out: &[LeftOut]) {
    for one in left_out {
        let LeftOut { subject, count, .. } = one;
        let (level, fields) = (subject.level, &subject.fields);
        let line = Notice { level, target: subject.target, message: one.message(), fields, count: ("more", *count) };
        queue.push(line.text(format).as_bytes());
    }
}

/// What the thread of the log says by itself.
struct LogSource {
    format: Arc<FormatSwitch>,
    limits: Arc<LogLimits>,
}

impl LineSource for LogSource {
    fn due(&mut self, queue: &LineQueue, now: Instant) -> Option<Instant> {
        let mut lines = self.limits.lines();
        let (due, next) = (lines.due(now, false), lines.next_due());
        drop(lines);
        push_left_out(queue, self.format.lines(), &due);
        next
    }

    fn gap(&self, count: u64) -> String {
        let message = "lines were dropped here: the reader of the log was too slow, or they could not be written";
        let count = ("dropped", count);
        Notice { level: Level::WARN, target: "log", message: message.into(), fields: &[], count }
            .text(self.format.lines())
    }
}

/// Standard output: it says nothing by itself, since programs read it.
struct Announcements;

impl LineSource for Announcements {
    fn due(&mut self, _: &LineQueue, _: Instant) -> Option<Instant> {
        None
    }

    fn gap(&self, _: u64) -> String {
        String::new()
    }
}

/// Puts each formatted event into the queue.
struct QueueWriter(Arc<LineQueue>);

impl<'a> MakeWriter<'a> for QueueWriter {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> QueuedLine<'a> {
        QueuedLine(&self.0)
    }
}

/// The writer for one line: `tracing_subscriber` writes a whole line at once.
struct QueuedLine<'a>(&'a LineQueue);

impl Write for QueuedLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loud_library_is_bounded_unless_it_is_named_and_one_with_secrets_is_silent_in_any_case() {
        for (wanted, loud) in [("info", "async_nats=warn"), ("info,async_nats=trace", "async_nats=trace")] {
            let text = bounded(EnvFilter::new(wanted)).to_string();
            assert!(text.split(',').any(|directive| directive == loud), "{text}");
        }
        for (target, may) in [("lapin", false), ("lapin::frames", false), ("lapin2", true), ("async_nats::x", true)] {
            assert_eq!(may_speak(target), may, "{target}");
        }
    }
}
