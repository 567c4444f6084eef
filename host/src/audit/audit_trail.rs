//! The running host's end of the file: a bounded queue, and the thread that writes what is in it.

use super::audit_file::AuditFile;
use super::audit_line::AuditLine;
use super::audit_record::AuditRecord;
use super::audit_tail::{self, AuditQuery};
use crate::telemetry::AuditMetrics;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The most events that wait for the disk.
const QUEUE: usize = 1024;
/// The most events that share one sync.
const BATCH: usize = 256;

/// Where the file is, and how many refusals it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// The most refusals that get a line in one second.
    pub refusals: u32,
}

/// Records events. The clones share one file.
#[derive(Clone, Debug)]
pub struct AuditTrail(Arc<AuditTrailShared>);

#[derive(Debug)]
struct AuditTrailShared {
    path: PathBuf,
    queue: SyncSender<QueuedRecord>,
    refusals: u32,
    window: Mutex<RefusalWindow>,
    /// Refusals without a line since the last one with a line.
    left_out: AtomicU64,
    metrics: Arc<AuditMetrics>,
}

/// The second that is counted now.
#[derive(Debug)]
struct RefusalWindow {
    began: Instant,
    count: u32,
}

struct QueuedRecord {
    event: AuditRecord,
    at: SystemTime,
    left_out: u64,
    /// Told when the line is on the disk, or could not be written.
    done: Option<SyncSender<bool>>,
}

impl AuditTrail {
    /// Opens the file and starts the thread that writes to it. The thread ends with the last clone.
    ///
    /// # Errors
    /// As [`AuditFile::open`].
    pub fn open(settings: &Settings) -> io::Result<Self> {
        let file = AuditFile::open(&settings.path)?;
        let (queue, events) = sync_channel(QUEUE);
        let metrics = Arc::new(AuditMetrics::default());
        let counted = Arc::clone(&metrics);
        thread::Builder::new().name("audit".into()).spawn(move || write(file, &events, &counted))?;
        let window = Mutex::new(RefusalWindow { began: Instant::now(), count: 0 });
        let (path, refusals, left_out) = (settings.path.clone(), settings.refusals, AtomicU64::new(0));
        Ok(Self(Arc::new(AuditTrailShared { path, queue, refusals, window, left_out, metrics })))
    }

    /// How the file does.
    pub fn metrics(&self) -> &Arc<AuditMetrics> {
        &self.0.metrics
    }

    /// The lines at the end of the file that fit, the newest first. It blocks the thread for a read of 4 MiB at most.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest(&self, query: &AuditQuery) -> io::Result<Vec<AuditLine>> {
        audit_tail::newest(&self.0.path, query)
    }

    /// Records `event`, and waits until it is on the disk. It blocks the thread: for the changes of operators, which
    /// are rare. A failure is logged; the change has happened all the same.
    pub fn record(&self, event: AuditRecord) {
        let (done, written) = sync_channel(1);
        let left_out = self.take_left_out();
        let event = QueuedRecord { event, at: SystemTime::now(), left_out, done: Some(done) };
        let what = event.event.what;
        if self.0.queue.send(event).is_err() || written.recv() != Ok(true) {
            self.0.left_out.fetch_add(left_out, Relaxed);
            tracing::error!(what, "the audit file lacks a change");
        }
    }

    /// Records `event` after all before it, and does not wait: for what must not wait for a disk that hangs.
    pub fn note(&self, event: AuditRecord) {
        let what = event.what;
        let left_out = self.take_left_out();
        let event = QueuedRecord { event, at: SystemTime::now(), left_out, done: None };
        if self.0.queue.try_send(event).is_err() {
            self.0.left_out.fetch_add(left_out, Relaxed);
            self.0.metrics.overflowed();
            tracing::error!(what, "the audit file lacks an event: its queue is full");
        }
    }

    /// Records a refusal, which a client may cause as often as it likes. It never waits: a refusal beyond the bound of
    /// this second, or one for which the queue has no room, is only counted.
    pub fn refused(&self, event: impl FnOnce() -> AuditRecord) {
        if !self.admits(Instant::now()) {
            self.0.left_out.fetch_add(1, Relaxed);
            return;
        }
        let left_out = self.take_left_out();
        let event = QueuedRecord { event: event(), at: SystemTime::now(), left_out, done: None };
        if self.0.queue.try_send(event).is_err() {
            self.0.left_out.fetch_add(left_out + 1, Relaxed);
        }
    }

    fn take_left_out(&self) -> u64 {
        self.0.left_out.swap(0, Relaxed)
    }

    /// Whether a refusal at `now` gets a line.
    fn admits(&self, now: Instant) -> bool {
        let mut window = self.0.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.began) >= Duration::from_secs(1) {
            *window = RefusalWindow { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count <= self.0.refusals
    }
}

/// Writes events until there is no trail any more. Those that came during a sync share the next one.
fn write(mut file: AuditFile, events: &Receiver<QueuedRecord>, metrics: &AuditMetrics) {
    while let Ok(first) = events.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(events.try_iter().take(BATCH - 1)).collect();
        let mut lines = Vec::with_capacity(batch.len());
        let mut waiting = Vec::new();
        for QueuedRecord { event, at, left_out, done } in batch {
            lines.push((event, at, left_out));
            waiting.extend(done);
        }
        let added = file.add(&lines);
        match &added {
            Ok(()) => metrics.wrote(),
            Err(_) => metrics.failed(lines.len() as u64),
        }
        if let Err(error) = &added {
            tracing::error!(%error, events = lines.len(), "the audit file takes no lines");
        }
        for done in waiting {
            // It fails only if the caller is gone.
            let _ = done.send(added.is_ok());
        }
    }
}
