//! The lines that wait to be written, and the thread that writes them.
//!
//! A reader of the log may be slow, or may stop reading: a pipe takes 64 KiB, and then a write waits for as long as the
//! reader likes. So only the thread of this file ever waits for a reader. Whoever logs puts its line into a bounded
//! queue; if the queue is full, the line is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A buffer that grew beyond this many bytes in a burst is given back after it.
const KEPT: usize = 256 << 10;

/// At most this long after a batch, the thread takes the next one: the lines that come meanwhile wake nobody. Without
/// the pause each line of a busy host would wake the thread, which took a quarter of a small request's processor time.
const PAUSE: Duration = Duration::from_millis(5);

/// How long the thread rests if a pipe is full that does not wait by itself.
const FULL_PIPE: Duration = Duration::from_millis(10);

/// What the thread does beside writing.
pub(super) trait LineSource: Send + 'static {
    /// Puts the lines that are due by now into `queue`. Returns the time at which it wants to be asked again.
    fn due(&mut self, queue: &LineQueue, now: Instant) -> Option<Instant>;

    /// The line that says that `count` lines before it were dropped, with its newline; empty: it is not said.
    fn gap(&self, count: u64) -> String;
}

/// A bounded queue of lines. It is two buffers of bytes: lines are added to one while the thread writes the other. So
/// a line costs a copy, and the lines that came during a write are written together.
#[derive(Debug)]
pub(super) struct LineQueue {
    state: Mutex<LineQueueState>,
    /// The thread waits here for lines.
    filled: Condvar,
    /// [`LineQueue::flush`] waits here for the thread.
    emptied: Condvar,
    /// The most bytes that may wait.
    most: AtomicUsize,
    /// All lines that were dropped.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct LineQueueState {
    waiting: LineBatch,
    /// Whether the thread waits for lines, so that it has to be woken.
    idle: bool,
    /// Whether the next batch is taken without a pause: somebody waits for it, or the queue is half full.
    hurried: bool,
    /// Whether the source is to be asked.
    asked: bool,
    /// How many batches the thread has taken, and how many of them it has ended.
    taken: u64,
    ended: u64,
    /// The batch at which the last flush gave up: the reader has stalled there.
    stalled: Option<u64>,
}

/// Lines in the order in which they came. Those that were dropped came after them.
#[derive(Debug, Default)]
struct LineBatch {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    dropped: u64,
}

impl LineQueue {
    /// Starts the thread `name`, which writes to `sink` what is put into the queue. At most `most` bytes wait.
    pub(super) fn start(
        name: &str,
        sink: impl Write + Send + 'static,
        source: impl LineSource,
        most: usize,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            most: AtomicUsize::new(most),
            dropped: AtomicU64::new(0),
        });
        let writer = LineWriter { queue: Arc::clone(&queue), sink, source, unsaid: 0, torn: false };
        thread::Builder::new().name(name.into()).spawn(move || writer.run())?;
        Ok(queue)
    }

    /// Bounds the queue anew. Lines that wait already stay.
    pub(super) fn resize(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// How many lines were dropped so far: the queue was full, or they could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Adds a line with its newline, or drops it. It never waits for the reader. Returns whether it was added.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        let LineQueueState { waiting, .. } = &mut *state;
        // Once a line was dropped, so are those after it, until the thread takes the batch: then the place of the gap
        // is known, and the line that tells of it stands there.
        let added = waiting.dropped == 0 && waiting.bytes.len() + line.len() <= self.most.load(Relaxed);
        if added {
            waiting.bytes.extend_from_slice(line);
            waiting.ends.push(waiting.bytes.len());
            if waiting.bytes.len() >= self.most.load(Relaxed) / 2 && !state.hurried {
                state.hurried = true;
                self.filled.notify_one();
            }
        } else {
            waiting.dropped += 1;
            self.dropped.fetch_add(1, Relaxed);
        }
        self.wake(state);
        added
    }

    /// Has the source asked for its lines now.
    pub(super) fn ask(&self) {
        let mut state = self.lock();
        state.asked = true;
        self.wake(state);
    }

    /// Waits until all lines so far are written, for `within` at most. If the reader has stalled since before the last
    /// flush, it does not wait at all. Returns whether they are written.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let mut state = self.lock();
        let wanted = state.taken + u64::from(!state.waiting.is_empty());
        state.hurried = true;
        self.filled.notify_one();
        if state.stalled == Some(state.ended) {
            return state.ended >= wanted;
        }
        let until = Instant::now() + within;
        while state.ended < wanted {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.stalled = Some(state.ended);
                return false;
            }
            state = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn wake(&self, mut state: MutexGuard<'_, LineQueueState>) {
        // A thread that writes looks at the queue again by itself. So under load nobody pays for waking it.
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Ends the batch before, and waits for the next one, which is swapped into `batch`. Returns false if the source is
    /// to be asked first: it was wished, or `until` is over.
    fn take(&self, batch: &mut LineBatch, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.ended = state.taken;
        self.emptied.notify_all();
        let rested = Instant::now() + PAUSE;
        loop {
            let now = Instant::now();
            let left = until.map(|until| until.saturating_duration_since(now));
            if std::mem::take(&mut state.asked) || left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            if !state.waiting.is_empty() && (state.hurried || now >= rested) {
                std::mem::swap(&mut state.waiting, batch);
                state.taken += 1;
                state.hurried = false;
                return true;
            }
            if now < rested {
                // Not idle: a line alone does not wake the thread.
                let pause = left.map_or(rested - now, |left| left.min(rested - now));
                state = self.filled.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.idle = true;
            state = match left {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.idle = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, LineQueueState> {
        // Nothing panics under this lock; if it did, the log would have to go on all the more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineBatch {
    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.dropped == 0
    }

    fn clear(&mut self) {
        if self.bytes.capacity() > KEPT {
            *self = Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
        self.dropped = 0;
    }
}

/// What the thread knows.
struct LineWriter<W, S> {
    queue: Arc<LineQueue>,
    sink: W,
    source: S,
    /// Dropped lines that no line has told of yet.
    unsaid: u64,
    /// Whether a failed write has left a part of a line.
    torn: bool,
}

impl<W: Write, S: LineSource> LineWriter<W, S> {
    fn run(mut self) {
        let mut batch = LineBatch::default();
        let mut due = None;
        loop {
            if self.queue.take(&mut batch, due) {
                self.write(&mut batch);
                batch.clear();
            } else {
                due = self.source.due(&self.queue, Instant::now());
            }
        }
    }

    /// Writes the batch, and what is to be said of dropped lines after it.
    fn write(&mut self, batch: &mut LineBatch) {
        self.unsaid += batch.dropped;
        if self.unsaid > 0 {
            batch.bytes.extend_from_slice(self.source.gap(self.unsaid).as_bytes());
        }
        if self.torn && self.sink.write_all(b"\n").is_ok() {
            self.torn = false;
        }
        let (written, whole) = if self.torn { (0, false) } else { self.write_all(&batch.bytes) };
        if whole {
            self.unsaid = 0;
            return;
        }
        // Nobody reads any more, or the disk of the log is full. The lines are lost; the next ones are tried again.
        let whole_lines = batch.ends.partition_point(|end| *end <= written);
        let lost = (batch.ends.len() - whole_lines) as u64;
        self.torn |= whole_lines.checked_sub(1).map_or(0, |last| batch.ends[last]) < written;
        self.unsaid += lost;
        self.queue.dropped.fetch_add(lost, Relaxed);
    }

    /// Returns how many bytes were written, and whether these are all.
    fn write_all(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut written = 0;
        while written < bytes.len() {
            match self.sink.write(&bytes[written..]) {
                Ok(0) => return (written, false),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process may have made the pipe that it shares with this one non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(FULL_PIPE),
                Err(_) => return (written, false),
            }
        }
        (written, true)
    }
}

#[cfg(test)]
mod tests;
