//! Bodies that stream, of requests and of answers.

use super::ledger::ActiveCall;
use bytes::Bytes;
use host::base::{Body, BodyError, ErrorKind};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    Break(ErrorKind),
    Silent,
}

pub struct Stream {
    pieces: u32,
    pause: Duration,
    end: End,
    /// Whether the reader learns with the last piece that it is the last.
    known_end: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// The call that this body answers; `None` for a request's body.
    active: Option<ActiveCall>,
}

/// The length of a piece in bytes.
pub const PIECE: u64 = 4;

impl Stream {
    pub fn body(pieces: u32, pause: Duration, end: End, known_end: bool, active: Option<ActiveCall>) -> Body {
        let mut stream = Self { pieces, pause, end, known_end, timer: None, active };
        stream.wait();
        stream.boxed_unsync()
    }

    fn wait(&mut self) {
        self.timer = (!self.pause.is_zero()).then(|| Box::pin(sleep(self.pause)));
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        if self.pieces > 0 {
            self.pieces -= 1;
            self.wait();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"four")))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Silent => Poll::Pending,
            End::Break(kind) => {
                if let Some(active) = &self.active {
                    active.body_failed();
                }
                Poll::Ready(Some(Err(BodyError::new(kind, "the body broke off"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.known_end && self.pieces == 0 && self.end == End::Whole
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
