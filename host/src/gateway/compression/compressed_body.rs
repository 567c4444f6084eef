//! The body of an answer while it is compressed.

use crate::base::{Body, BodyError, ErrorKind};
use crate::coding::{ContentCoding, Encoder, EncodingError};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How much is compressed before other tasks get a turn: less than a millisecond of work.
const TURN: usize = 32 << 10;
/// How much is gathered before it is sent, unless the service is silent meanwhile.
const PIECE: usize = 8 << 10;

/// A body that is compressed as it is read. When the service has no more for the moment, all that it has given so far
/// is sent: a client that waits for a line gets it.
pub(super) struct CompressedBody {
    /// `None` after its end.
    body: Option<Body>,
    encoder: Encoder,
    /// What was read of the body and is not compressed yet.
    input: Bytes,
    /// What was made and is not sent yet.
    output: Vec<u8>,
    /// Whether the encoder was given something that it may have kept.
    keeps: bool,
    trailers: Option<Frame<Bytes>>,
}

impl CompressedBody {
    pub(super) fn new(body: Body, coding: ContentCoding) -> Self {
        let encoder = Encoder::new(coding);
        Self { body: Some(body), encoder, input: Bytes::new(), output: Vec::new(), keeps: false, trailers: None }
    }

    /// The next frame; `None` after the last.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        let mut turn = TURN;
        while let Some(body) = &mut self.body {
            if self.input.is_empty() {
                match Pin::new(body).poll_frame(context) {
                    Poll::Ready(Some(frame)) => match frame?.into_data() {
                        Ok(data) => self.input = data,
                        Err(trailers) => self.trailers = Some(trailers),
                    },
                    Poll::Ready(None) => {
                        self.body = None;
                        self.encoder.finish(&mut self.output).map_err(failed)?;
                    }
                    Poll::Pending => {
                        if std::mem::take(&mut self.keeps) {
                            self.encoder.flush(&mut self.output).map_err(failed)?;
                        }
                        return if self.output.is_empty() { Poll::Pending } else { self.piece() };
                    }
                }
                continue;
            }
            if turn == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let some = self.input.split_to(self.input.len().min(turn));
            turn -= some.len();
            self.keeps = true;
            self.encoder.push(&some, &mut self.output).map_err(failed)?;
            if self.output.len() >= PIECE {
                return self.piece();
            }
        }
        if self.output.is_empty() { Poll::Ready(Ok(self.trailers.take())) } else { self.piece() }
    }

    fn piece(&mut self) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        Poll::Ready(Ok(Some(Frame::data(std::mem::take(&mut self.output).into()))))
    }
}

fn failed(error: EncodingError) -> BodyError {
    BodyError::new(ErrorKind::Host, error.to_string())
}

impl http_body::Body for CompressedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = self.next(context);
        next.map(|next| {
            if next.is_err() {
                // Nothing that follows would be whole.
                (self.body, self.trailers) = (None, None);
                self.output.clear();
            }
            next.transpose()
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.output.is_empty() && self.trailers.is_none()
    }
}
