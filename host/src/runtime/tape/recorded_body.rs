//! Bodies that are recorded while they stream.

use super::call_tape::CallTape;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What happens to a body that is read.
#[derive(Clone, Copy)]
pub(crate) enum BodyMoment<'a> {
    /// A piece has come.
    Piece(&'a Bytes),
    /// It has come to its end.
    End,
    /// It broke off.
    Broken,
}

/// A body of which each piece is told to its tape. Its reader notices nothing.
pub(crate) struct RecordedBody<B, F> {
    inner: B,
    tape: CallTape,
    /// Gone when the body has come to its end.
    tell: Option<F>,
}

impl<B, F> RecordedBody<B, F>
where
    B: Body<Data = Bytes> + Unpin,
    F: FnMut(&CallTape, BodyMoment<'_>) + Unpin,
{
    /// `tell` puts what happens on the tape.
    pub(crate) fn new(inner: B, tape: CallTape, tell: F) -> Self {
        let mut body = Self { inner, tape, tell: Some(tell) };
        body.look_for_the_end();
        body
    }

    /// A reader that knows that nothing follows does not poll again.
    fn look_for_the_end(&mut self) {
        if self.inner.is_end_stream() {
            self.finish(&BodyMoment::End);
        }
    }

    fn finish(&mut self, moment: &BodyMoment<'_>) {
        if let Some(mut tell) = self.tell.take() {
            tell(&self.tape, *moment);
        }
    }
}

impl<B, F> Body for RecordedBody<B, F>
where
    B: Body<Data = Bytes> + Unpin,
    F: FnMut(&CallTape, BodyMoment<'_>) + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let Self { tape, tell, .. } = &mut *self;
                match (frame.data_ref(), tell) {
                    (Some(piece), Some(tell)) => tell(tape, BodyMoment::Piece(piece)),
                    (Some(_), None) => {}
                    // Trailers have no place in a recording.
                    (None, _) => tape.abandon(),
                }
                self.look_for_the_end();
            }
            Poll::Ready(Some(Err(_))) => self.finish(&BodyMoment::Broken),
            Poll::Ready(None) => self.finish(&BodyMoment::End),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
