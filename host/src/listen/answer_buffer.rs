//! Answers that are read ahead of a slow peer, so that their service is done with them and free for other calls.
//!
//! While the peer keeps up, nothing is held: hyper reads the body, piece by piece. While a write waits for the peer,
//! hyper reads nothing, and the connection reads the body in its place, within two bounds: one for each answer, and one
//! for all answers of the listener. Once the body was read to its end, it is dropped, and with it whatever its service
//! holds for it.

use crate::base::{Body, BodyError};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this length need no buffer: hyper takes them whole.
const SMALL: u64 = 64 * 1024;
/// What is reserved of the memory before a piece is read, since its length is not known before.
const STEP: u32 = 64 * 1024;
/// What a piece takes beside its bytes, so that many small pieces are bounded too.
const PIECE: usize = 64;

/// How much the connections of one listener may hold of answers.
#[derive(Debug, Clone)]
pub(super) struct AnswerMemory {
    /// Bytes of one answer.
    each: usize,
    /// The bytes that all answers together have left.
    left: Arc<Semaphore>,
}

impl AnswerMemory {
    /// Memory for `each` bytes of one answer, and for `all` bytes of all answers together.
    pub(super) fn new(each: usize, all: usize) -> Self {
        Self { each, left: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))) }
    }
}

/// Where a connection finds the answer that it sends now, to read it ahead.
#[derive(Debug)]
pub(super) struct AnswerSlot {
    memory: AnswerMemory,
    /// Whether a write waits for the peer.
    stalled: AtomicBool,
    /// hyper owns the body, and ends it by dropping it.
    answer: Mutex<Weak<Mutex<AnswerBuffer>>>,
}

impl AnswerSlot {
    pub(super) fn new(memory: AnswerMemory) -> Self {
        Self { memory, stalled: AtomicBool::new(false), answer: Mutex::default() }
    }

    /// Notes whether a write waits for the peer.
    pub(super) fn set_stalled(&self, stalled: bool) {
        // Only the connection's own task writes and reads it.
        self.stalled.store(stalled, Relaxed);
    }

    /// A body that this connection can read ahead. A small body, which hyper takes whole, comes back as it is.
    pub(super) fn hold(&self, body: Body) -> Body {
        let small = body.is_end_stream() || body.size_hint().upper().is_some_and(|most| most <= SMALL);
        if small || self.memory.each == 0 {
            return body;
        }
        let buffer = AnswerBuffer {
            source: Some(body),
            pieces: VecDeque::new(),
            bytes: 0,
            permit: None,
            memory: self.memory.clone(),
        };
        let buffer = Arc::new(Mutex::new(buffer));
        *lock(&self.answer) = Arc::downgrade(&buffer);
        BufferedBody(buffer).boxed_unsync()
    }

    /// Reads what has arrived of the answer, if a write waits for the peer. The connection does this after each poll of
    /// hyper; `context` is that of its task.
    pub(super) fn read_ahead(&self, context: &mut Context<'_>) {
        if !self.stalled.load(Relaxed) {
            return;
        }
        let answer = lock(&self.answer).upgrade();
        if let Some(answer) = answer {
            lock(&answer).read_ahead(context);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer's body, and the pieces that were read ahead of the peer.
#[derive(Debug)]
struct AnswerBuffer {
    /// `None` after the end of the body.
    source: Option<Body>,
    pieces: VecDeque<Result<Frame<Bytes>, BodyError>>,
    /// What `pieces` take.
    bytes: usize,
    /// What `pieces` take of the memory of all answers.
    permit: Option<OwnedSemaphorePermit>,
    memory: AnswerMemory,
}

impl AnswerBuffer {
    fn read_ahead(&mut self, context: &mut Context<'_>) {
        while self.bytes < self.memory.each
            && let Some(source) = &mut self.source
            && let Ok(reserved) = Arc::clone(&self.memory.left).try_acquire_many_owned(STEP)
            && let Poll::Ready(piece) = Pin::new(&mut *source).poll_frame(context)
        {
            let ended = piece.as_ref().is_none_or(Result::is_err) || source.is_end_stream();
            if ended {
                self.source = None;
            }
            if let Some(piece) = piece {
                self.push(piece, reserved);
            }
        }
    }

    fn push(&mut self, piece: Result<Frame<Bytes>, BodyError>, mut reserved: OwnedSemaphorePermit) {
        let size = size(&piece);
        self.bytes += size;
        match size.checked_sub(reserved.num_permits()) {
            // A piece beyond the step is in memory already, so it is kept even if the memory is used up.
            Some(more) => {
                let more = u32::try_from(more).unwrap_or(u32::MAX);
                if let Ok(permit) = Arc::clone(&self.memory.left).try_acquire_many_owned(more) {
                    reserved.merge(permit);
                }
            }
            None => drop(reserved.split(reserved.num_permits() - size)),
        }
        match &mut self.permit {
            Some(permit) => permit.merge(reserved),
            none => *none = Some(reserved),
        }
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let piece = self.pieces.pop_front()?;
        let size = size(&piece);
        self.bytes -= size;
        match &mut self.permit {
            Some(permit) if permit.num_permits() > size => drop(permit.split(size)),
            _ => self.permit = None,
        }
        Some(piece)
    }
}

/// What a piece takes of the memory, in bytes.
fn size(piece: &Result<Frame<Bytes>, BodyError>) -> usize {
    PIECE + piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

/// The body as hyper reads it: first what was read ahead, then the rest.
struct BufferedBody(Arc<Mutex<AnswerBuffer>>);

impl http_body::Body for BufferedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut buffer = lock(&self.0);
        if let Some(piece) = buffer.pop() {
            return Poll::Ready(Some(piece));
        }
        let Some(source) = &mut buffer.source else { return Poll::Ready(None) };
        let piece = ready!(Pin::new(source).poll_frame(context));
        if piece.is_none() {
            buffer.source = None;
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        let buffer = lock(&self.0);
        buffer.pieces.is_empty() && buffer.source.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let buffer = lock(&self.0);
        let ahead: u64 = buffer.pieces.iter().map(|piece| (size(piece) - PIECE) as u64).sum();
        let rest = buffer.source.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(ahead + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(ahead + upper);
        }
        hint
    }
}
