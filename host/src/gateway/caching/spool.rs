//! An answer on its way to the disk, and to the clients that read it meanwhile.
//!
//! The service is read as fast as it sends and the disk takes it, and each client reads from the file. So no client
//! waits for another one, and a slow one holds no place of the service.

use super::super::disk::{PIECE, read};
use super::cache_disk::{CacheDisk, StoredFile};
use crate::base::{Body, BodyError, ErrorKind};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How much of an answer is in memory on its way to the disk.
const BATCH: usize = 256 << 10;
/// By how much the room of an answer grows that does not say how long it is.
pub(super) const STEP: u64 = 4 << 20;
/// How long an answer waits for room, for which others have left.
pub(super) const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// How long the disk may take to write a batch.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// An answer's content that is being written into a file.
pub(super) struct Spool {
    pub(super) stored: Arc<StoredFile>,
    file: Arc<File>,
    disk: Arc<CacheDisk>,
    /// The length, if the service says it.
    length: Option<u64>,
    progress: watch::Sender<SpoolProgress>,
    state: Mutex<SpoolState>,
}

#[derive(Debug, Clone, Default)]
struct SpoolProgress {
    written: u64,
    end: Option<SpoolEnd>,
}

#[derive(Debug, Clone)]
enum SpoolEnd {
    /// All is in the file.
    Whole,
    /// The service broke off.
    Broken(BodyError),
    /// The rest is not for the file: the first reader who comes to it gets it.
    Rest,
}

#[derive(Default)]
struct SpoolState {
    /// Nobody read it any more, and it was given up.
    given_up: bool,
    rest: Option<Body>,
}

/// How it ended, for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpoolOutcome {
    /// The file has all of it: so many bytes.
    Whole(u64),
    /// It broke off, has trailers, or nobody reads it any more.
    Incomplete,
    /// It is longer than what is kept.
    TooLarge,
    /// There is no room for it.
    NoRoom,
    /// The disk fails.
    DiskFailed,
}

/// What is done with the content.
pub(super) struct SpoolPlan {
    /// The most bytes that are kept of one answer.
    pub(super) most: u64,
    /// Whether it goes on without a reader.
    pub(super) unattended: bool,
}

impl Spool {
    pub(super) fn new(
        disk: Arc<CacheDisk>,
        (stored, file): (Arc<StoredFile>, Arc<File>),
        length: Option<u64>,
    ) -> Arc<Self> {
        let (progress, state) = (watch::Sender::new(SpoolProgress::default()), Mutex::default());
        Arc::new(Self { stored, file, disk, length, progress, state })
    }

    /// The length of the content, if it is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Where it goes.
    pub(super) fn disk(&self) -> &CacheDisk {
        &self.disk
    }

    /// One reader more; `None`: it has been given up.
    pub(super) fn join(self: &Arc<Self>) -> Option<SpoolReader> {
        // Who counts the readers has the same lock.
        let state = self.state();
        let progress = (!state.given_up).then(|| self.progress.subscribe())?;
        Some(SpoolReader { spool: Arc::clone(self), progress })
    }

    fn state(&self) -> MutexGuard<'_, SpoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody reads it, and nobody will any more.
    fn give_up(&self) -> bool {
        let mut state = self.state();
        state.given_up |= self.progress.receiver_count() == 0;
        state.given_up
    }

    /// Writes `body` into the file, to its end. `free` has others make room, if they can. That it is whole is told to
    /// the readers by [`Spool::finish`], after the cache has heard of it.
    pub(super) async fn write(&self, body: Body, plan: &SpoolPlan, free: impl Fn(u64) -> bool) -> SpoolOutcome {
        let mut source = SpoolSource { body, frames: VecDeque::new() };
        let outcome = self.write_all(&mut source, plan, free).await;
        match outcome {
            Ok(outcome) => outcome,
            Err(SpoolFailure::Broken(error)) => {
                self.end(SpoolEnd::Broken(error));
                SpoolOutcome::Incomplete
            }
            Err(SpoolFailure::Rest(outcome)) => {
                self.state().rest = Some(source.into_body());
                self.end(SpoolEnd::Rest);
                outcome
            }
        }
    }

    async fn write_all(
        &self,
        source: &mut SpoolSource,
        plan: &SpoolPlan,
        free: impl Fn(u64) -> bool,
    ) -> Result<SpoolOutcome, SpoolFailure> {
        let mut written = 0;
        loop {
            let batch = tokio::select! {
                batch = source.next() => batch?,
                () = self.progress.closed(), if !plan.unattended => {
                    if self.give_up() {
                        return Ok(SpoolOutcome::Incomplete);
                    }
                    continue;
                }
            };
            let Some(batch) = batch else { break };
            let after = written + batch.len() as u64;
            let refused = if after > plan.most {
                Some(SpoolOutcome::TooLarge)
            } else if !self.has_room(after, plan.most, &free).await {
                Some(SpoolOutcome::NoRoom)
            } else if let Err(error) = self.put(batch.clone(), written).await {
                tracing::warn!(%error, "an answer cannot be written to the disk of the cache");
                Some(SpoolOutcome::DiskFailed)
            } else {
                None
            };
            if let Some(outcome) = refused {
                source.frames.push_front(Ok(Frame::data(batch)));
                return Err(SpoolFailure::Rest(outcome));
            }
            written = after;
            self.progress.send_modify(|progress| progress.written = written);
        }
        if self.length.is_some_and(|length| length != written) {
            let detail = "the service sent another length than it said";
            return Err(SpoolFailure::Broken(BodyError::new(ErrorKind::Reset, detail)));
        }
        self.stored.settle(written);
        Ok(SpoolOutcome::Whole(written))
    }

    async fn has_room(&self, bytes: u64, most: u64, free: impl Fn(u64) -> bool) -> bool {
        let reserved = self.stored.reserved();
        if bytes <= reserved {
            return true;
        }
        let wanted = (reserved + STEP).min(most).max(bytes);
        free(wanted - reserved) && self.stored.grow(wanted, ROOM_PATIENCE).await
    }

    async fn put(&self, batch: Bytes, at: u64) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let put = self.disk.permits().run(move || file.write_all_at(&batch, at));
        timeout(DISK_PATIENCE, put).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The readers get what is still missing to them; nothing follows.
    pub(super) fn finish(&self) {
        self.end(SpoolEnd::Whole);
    }

    fn end(&self, end: SpoolEnd) {
        self.progress.send_if_modified(|progress| {
            let open = progress.end.is_none();
            if open {
                progress.end = Some(end);
            }
            open
        });
    }
}

/// Ends a spool whose task ends, however it does: no reader must wait for ever.
pub(super) struct SpoolEndGuard(pub(super) Arc<Spool>);

impl Drop for SpoolEndGuard {
    fn drop(&mut self) {
        self.0.end(SpoolEnd::Broken(BodyError::new(ErrorKind::Host, "the answer was given up on its way to the disk")));
    }
}

enum SpoolFailure {
    Broken(BodyError),
    /// What the source still has is for a reader.
    Rest(SpoolOutcome),
}

/// The content as it comes.
struct SpoolSource {
    body: Body,
    /// What was taken of it and is not in the file.
    frames: VecDeque<Result<Frame<Bytes>, BodyError>>,
}

impl SpoolSource {
    /// What has come, joined up to a batch; `None`: the end. If it is dropped while it waits, nothing is lost.
    async fn next(&mut self) -> Result<Option<Bytes>, SpoolFailure> {
        let first = match self.frames.pop_front() {
            Some(frame) => Some(frame),
            None => self.body.frame().await,
        };
        let Some(first) = first else { return Ok(None) };
        let mut batch = match data(first) {
            Ok(data) => data,
            Err(Ok(trailers)) => {
                // Kept answers have none.
                self.frames.push_front(Ok(trailers));
                return Err(SpoolFailure::Rest(SpoolOutcome::Incomplete));
            }
            Err(Err(error)) => return Err(SpoolFailure::Broken(error)),
        };
        while batch.len() < BATCH {
            let Some(Some(frame)) = self.body.frame().now_or_never() else { break };
            match data(frame) {
                Ok(more) if batch.is_empty() => batch = more,
                Ok(more) => {
                    let mut joined = batch.try_into_mut().unwrap_or_else(|batch| BytesMut::from(&batch[..]));
                    joined.extend_from_slice(&more);
                    batch = joined.freeze();
                }
                Err(other) => {
                    self.frames.push_front(other);
                    break;
                }
            }
        }
        Ok(Some(batch))
    }

    fn into_body(self) -> Body {
        let Self { body, frames } = self;
        let rest = futures_util::stream::unfold((frames, body), async |(mut frames, mut body)| {
            let frame = match frames.pop_front() {
                Some(frame) => frame,
                None => body.frame().await?,
            };
            Some((frame, (frames, body)))
        });
        StreamBody::new(Box::pin(rest)).boxed_unsync()
    }
}

/// The data of a frame; or the frame, if it has none.
fn data(frame: Result<Frame<Bytes>, BodyError>) -> Result<Bytes, Result<Frame<Bytes>, BodyError>> {
    frame.map_err(Err)?.into_data().map_err(Ok)
}

/// One client that reads along.
#[derive(Clone)]
pub(super) struct SpoolReader {
    spool: Arc<Spool>,
    progress: watch::Receiver<SpoolProgress>,
}

/// Where a reader is.
enum ReaderState {
    /// In the file.
    Reading(SpoolReader, Range<u64>),
    /// Behind the file: the body, how many bytes of it are before the part, and how many are in it.
    Rest(Body, u64, u64),
}

impl SpoolReader {
    /// The length of the content, if it is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.spool.length()
    }

    /// The bytes `part` as they come; the end of the part may lie behind that of the content.
    pub(super) fn body(self, part: Range<u64>) -> Body {
        let begin = Some(ReaderState::Reading(self, part));
        let pieces = futures_util::stream::unfold(begin, async |state| match state? {
            ReaderState::Reading(reader, part) => reader.next(part).await,
            ReaderState::Rest(body, skip, left) => next_of_rest(body, skip, left).await,
        });
        StreamBody::new(Box::pin(pieces)).boxed_unsync()
    }

    async fn next(mut self, part: Range<u64>) -> Option<(Result<Frame<Bytes>, BodyError>, Option<ReaderState>)> {
        if part.is_empty() {
            return None;
        }
        loop {
            let SpoolProgress { written, end } = self.progress.borrow_and_update().clone();
            if part.start < written {
                let piece = part.start..part.end.min(written).min(part.start + PIECE);
                let read = read(self.spool.disk.permits(), &self.spool.file, piece.clone()).await;
                return Some(match read {
                    Ok(data) => (Ok(Frame::data(data)), Some(ReaderState::Reading(self, piece.end..part.end))),
                    Err(error) => {
                        let detail = format!("a file of the cache cannot be read: {error}");
                        (Err(BodyError::new(ErrorKind::Host, detail)), None)
                    }
                });
            }
            match end {
                None => {}
                Some(SpoolEnd::Whole) => return None,
                Some(SpoolEnd::Broken(error)) => return Some((Err(error), None)),
                Some(SpoolEnd::Rest) => {
                    let rest = self.spool.state().rest.take();
                    let Some(rest) = rest else {
                        let detail = "the rest of the answer went to another client that read along";
                        return Some((Err(BodyError::new(ErrorKind::Host, detail)), None));
                    };
                    return next_of_rest(rest, part.start - written, part.end - part.start).await;
                }
            }
            if self.progress.changed().await.is_err() {
                return None;
            }
        }
    }
}

/// The next piece of what is behind the file.
async fn next_of_rest(
    mut body: Body,
    mut skip: u64,
    left: u64,
) -> Option<(Result<Frame<Bytes>, BodyError>, Option<ReaderState>)> {
    if left == 0 {
        return None;
    }
    loop {
        let frame = match data(body.frame().await?) {
            Ok(mut data) => {
                let skipped = skip.min(data.len() as u64);
                skip -= skipped;
                let end = skipped.saturating_add(left).min(data.len() as u64);
                // Both are within the frame.
                data = data.slice(usize::try_from(skipped).ok()?..usize::try_from(end).ok()?);
                if data.is_empty() {
                    continue;
                }
                let left = left - data.len() as u64;
                return Some((Ok(Frame::data(data)), Some(ReaderState::Rest(body, skip, left))));
            }
            Err(frame) => frame,
        };
        return Some((frame, Some(ReaderState::Rest(body, skip, left))));
    }
}
