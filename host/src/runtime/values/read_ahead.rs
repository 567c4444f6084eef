//! A body that a guest writes, shared by its reader and by the guest's instance.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::task::unconstrained;
use wasmtime_wasi_http::{Error, WasiBody};

/// Bytes of a body that are read before its reader reads any: most answers are whole then. Beyond this, a slow reader
/// holds the guest up.
const AHEAD: usize = 64 << 10;
/// Pieces of a body that are read ahead, however small they are.
const PIECES_AHEAD: usize = 64;

/// A body that a guest writes, the beginning of which may be read before its reader reads. Clones share one body.
///
/// Wasmtime passes a guest's bytes on by channels, and a channel closes both when the guest ends its body and when the
/// store goes. So the instance settles its bodies before its store goes: what the guest has ended by then is whole,
/// however the instance ends, and what it has not ended is broken off.
#[derive(Clone)]
pub(crate) struct ReadAhead(Arc<Mutex<Pieces>>);

/// The instance's hold on a body: it does not keep what the reader has dropped.
pub(crate) struct WeakReadAhead(Weak<Mutex<Pieces>>);

struct Pieces {
    /// `None` after the end of the body.
    inner: Option<WasiBody>,
    pieces: VecDeque<Result<Frame<Bytes>, Error>>,
    /// Bytes in `pieces`.
    bytes: usize,
    /// The reader that waits for the next piece.
    reader: Option<Waker>,
}

impl ReadAhead {
    pub(crate) fn new(inner: WasiBody) -> Self {
        let pieces = Pieces { inner: Some(inner), pieces: VecDeque::new(), bytes: 0, reader: None };
        Self(Arc::new(Mutex::new(pieces)))
    }

    /// Reads what has arrived, up to the two bounds.
    pub(crate) fn read_ahead(&mut self, context: &mut Context<'_>) {
        self.lock().read(context, AHEAD, PIECES_AHEAD);
    }

    /// The guest writes no more: reads what the channels still hold, which is little, and breaks the body off if the
    /// guest has not ended it.
    pub(crate) fn settle(&self) {
        let reader = {
            let mut pieces = self.lock();
            // Unconstrained: a channel of tokio says that it is empty to a task that has used up its budget, and a
            // whole body would break off.
            let rest = unconstrained(poll_fn(|context| {
                pieces.read(context, usize::MAX, usize::MAX);
                Poll::Ready(())
            }));
            let _ = pin!(rest).poll(&mut Context::from_waker(Waker::noop()));
            if pieces.inner.take().is_some() {
                pieces.pieces.push_back(Err(Error::InternalError(Some("the guest left its body unfinished".into()))));
            }
            pieces.reader.take()
        };
        // The poll above took the reader's waker out of the channel.
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Nobody reads any more: the guest finds the body closed, and does not wait for a reader.
    pub(crate) fn abandon(&self) {
        let dropped = self.lock().inner.take();
        drop(dropped);
    }

    /// Whether the end of the body has arrived, with or without pieces before it that are still to be read.
    pub(crate) fn has_ended(&self) -> bool {
        let pieces = self.lock();
        pieces.inner.is_none() && pieces.pieces.iter().all(Result::is_ok)
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn downgrade(&self) -> WeakReadAhead {
        WeakReadAhead(Arc::downgrade(&self.0))
    }
}

impl WeakReadAhead {
    /// The body, unless its reader has dropped it.
    pub(crate) fn upgrade(&self) -> Option<ReadAhead> {
        self.0.upgrade().map(ReadAhead)
    }

    /// Whether the reader has dropped the body.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Pieces {
    /// Reads what has arrived, until there are so many bytes or pieces.
    fn read(&mut self, context: &mut Context<'_>, bytes: usize, pieces: usize) {
        while self.bytes < bytes
            && self.pieces.len() < pieces
            && let Some(inner) = &mut self.inner
            && let Poll::Ready(piece) = Pin::new(inner).poll_frame(context)
        {
            match piece {
                Some(piece) => {
                    self.bytes += size(&piece);
                    // Nothing follows an error.
                    if piece.is_err() {
                        self.inner = None;
                    }
                    self.pieces.push_back(piece);
                }
                None => self.inner = None,
            }
        }
    }
}

fn size(piece: &Result<Frame<Bytes>, Error>) -> usize {
    piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

impl Body for ReadAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut guard = self.lock();
        let pieces = &mut *guard;
        if let Some(piece) = pieces.pieces.pop_front() {
            pieces.bytes -= size(&piece);
            return Poll::Ready(Some(piece));
        }
        let Some(inner) = &mut pieces.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(context);
        if polled.is_pending() {
            match &mut pieces.reader {
                Some(reader) => reader.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        let piece = ready!(polled);
        if piece.as_ref().is_none_or(Result::is_err) {
            pieces.inner = None;
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        let pieces = self.lock();
        pieces.pieces.is_empty() && pieces.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let pieces = self.lock();
        match &pieces.inner {
            // A body with trailers, or one that broke off, needs a framing that does not announce its length.
            None if pieces.pieces.iter().all(|piece| piece.as_ref().is_ok_and(Frame::is_data)) => {
                SizeHint::with_exact(pieces.bytes as u64)
            }
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::mpsc;
    use tokio::task::coop::consume_budget;

    #[tokio::test]
    async fn a_body_is_settled_whole_though_its_task_has_used_up_its_budget() {
        let (writer, mut pieces) = mpsc::channel(2);
        let pieces = futures_util::stream::poll_fn(move |context| pieces.poll_recv(context));
        let mut body = ReadAhead::new(StreamBody::new(pieces).boxed_unsync());
        writer.try_send(Ok(Frame::data(Bytes::from_static(b"x")))).unwrap();
        drop(writer);
        poll_fn(|context| {
            while pin!(consume_budget()).poll(context).is_ready() {}
            body.settle();
            Poll::Ready(())
        })
        .await;
        assert!(body.has_ended());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        assert!(body.frame().await.is_none());
    }
}
