//! A request that may be sent more than once: its head is kept, and its body is recorded up to a bound while it
//! streams.
//!
//! Nothing is read ahead. The first try streams the body as it comes; a second try gets the recorded part and then the
//! rest. A body that outgrows the bound is no longer recorded, and cannot be sent again.

use crate::base::{Body, BodyError, ErrorKind, empty_body};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// A request and what is needed to send it again.
pub(super) enum Replay {
    /// It can be sent once.
    Once(Option<Request<Body>>),
    /// It has no body.
    Bodiless(Request<()>),
    /// Its body is recorded.
    Recorded(Request<()>, Arc<Mutex<Tape>>),
}

impl Replay {
    /// A request that can be sent once.
    pub(super) fn once(request: Request<Body>) -> Self {
        Self::Once(Some(request))
    }

    /// A request that can be sent again as long as no more than `most` bytes of its body have been read.
    pub(super) fn of(request: Request<Body>, most: usize) -> Self {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        if body.is_end_stream() {
            return Self::Bodiless(head);
        }
        Self::Recorded(head, Arc::new(Mutex::new(Tape::new(body, most))))
    }

    /// The request for the next try; `None` if it cannot be sent again. The body of the try before fails from now on:
    /// two readers at once would tear the body apart.
    pub(super) fn next(&mut self) -> Option<Request<Body>> {
        match self {
            Self::Once(request) => request.take(),
            Self::Bodiless(head) => Some(head.clone().map(|()| empty_body())),
            Self::Recorded(head, tape) => {
                let mut state = lock(tape);
                if state.spoilt {
                    return None;
                }
                state.reader += 1;
                let reader = ReplayReader { tape: Arc::clone(tape), number: state.reader, at: 0 };
                Some(head.clone().map(|()| reader.boxed_unsync()))
            }
        }
    }

    /// Whether [`Replay::next`] has a request, after the first.
    pub(super) fn can_repeat(&self) -> bool {
        match self {
            Self::Once(_) => false,
            Self::Bodiless(_) => true,
            Self::Recorded(_, tape) => !lock(tape).spoilt,
        }
    }

    /// Whether no try has read anything of the body.
    pub(super) fn is_untouched(&self) -> bool {
        match self {
            Self::Once(request) => request.is_some(),
            Self::Bodiless(_) => true,
            Self::Recorded(_, tape) => !lock(tape).touched,
        }
    }
}

/// A body, and what was read of it.
pub(super) struct Tape {
    rest: Body,
    recorded: Vec<Piece>,
    /// How many more bytes may be recorded.
    room: usize,
    touched: bool,
    ended: bool,
    /// The body outgrew its bound, or broke off: the record is incomplete and gone.
    spoilt: bool,
    /// The number of the reader that may read: the last one.
    reader: u32,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Piece {
    fn frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(bytes) => Frame::data(bytes),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}

impl Tape {
    fn new(rest: Body, room: usize) -> Self {
        Self { rest, recorded: Vec::new(), room, touched: false, ended: false, spoilt: false, reader: 0 }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.touched = true;
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.rest).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => self.record(frame),
            Some(Err(_)) => self.spoil(),
            None => self.ended = true,
        }
        Poll::Ready(polled)
    }

    fn record(&mut self, frame: &Frame<Bytes>) {
        if self.spoilt {
            return;
        }
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(bytes), _) => Piece::Data(bytes.clone()),
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return self.spoil(),
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        match self.room.checked_sub(size) {
            Some(room) => {
                self.room = room;
                self.recorded.push(piece);
            }
            None => self.spoil(),
        }
    }

    fn spoil(&mut self) {
        self.spoilt = true;
        self.recorded = Vec::new();
    }
}

/// The body of one try.
struct ReplayReader {
    tape: Arc<Mutex<Tape>>,
    number: u32,
    /// How many pieces of the record it has read.
    at: usize,
}

impl http_body::Body for ReplayReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut tape = lock(&this.tape);
        if tape.reader != this.number {
            let error = BodyError::new(ErrorKind::ClientGone, "the request is tried again at another endpoint");
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(piece) = tape.recorded.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(piece.clone().frame())));
        }
        let polled = tape.poll_rest(cx);
        this.at = tape.recorded.len();
        polled
    }

    fn is_end_stream(&self) -> bool {
        let tape = lock(&self.tape);
        self.at >= tape.recorded.len() && (tape.ended || tape.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let tape = lock(&self.tape);
        let ahead = tape.recorded.iter().skip(self.at).map(|piece| match piece {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Trailers(_) => 0,
        });
        let ahead = ahead.sum::<u64>();
        let rest = tape.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}

fn lock(tape: &Mutex<Tape>) -> MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::full_body;
    use http_body_util::StreamBody;

    fn pieces(sizes: &[usize]) -> Body {
        let frames: Vec<_> = sizes.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size])))).collect();
        BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn read(request: Request<Body>) -> usize {
        request.into_body().collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn a_body_within_the_bound_can_be_sent_again_whole() {
        let mut replay = Replay::of(Request::put("/x").body(pieces(&[10, 20, 30])).unwrap(), 60);
        let mut first = replay.next().unwrap();
        assert!(replay.is_untouched());
        first.body_mut().frame().await.unwrap().unwrap();
        assert!(!replay.is_untouched() && replay.can_repeat());
        let second = replay.next().unwrap();
        assert!(first.body_mut().frame().await.unwrap().is_err(), "the body of the first try fails");
        assert_eq!((second.method().as_str(), second.uri().path()), ("PUT", "/x"));
        assert_eq!(read(second).await, 60);
        assert_eq!(read(replay.next().unwrap()).await, 60, "the third try reads the record alone");
    }

    #[tokio::test]
    async fn a_body_beyond_the_bound_is_sent_whole_once() {
        let mut replay = Replay::of(Request::put("/x").body(pieces(&[10, 20, 30])).unwrap(), 59);
        assert_eq!(read(replay.next().unwrap()).await, 60);
        assert!(!replay.can_repeat() && replay.next().is_none());
    }

    #[tokio::test]
    async fn a_recorded_body_has_the_size_hint_of_the_original() {
        let mut replay = Replay::of(Request::put("/x").body(full_body("0123456789")).unwrap(), 60);
        let mut first = replay.next().unwrap();
        assert_eq!((first.body().size_hint().exact(), first.body().is_end_stream()), (Some(10), false));
        first.body_mut().frame().await.unwrap().unwrap();
        assert!(first.body().is_end_stream());
        let second = replay.next().unwrap();
        assert_eq!((second.body().size_hint().exact(), second.body().is_end_stream()), (Some(10), false));
        assert_eq!(read(second).await, 10);
        let mut empty = Replay::of(Request::get("/").body(empty_body()).unwrap(), 0);
        assert!((0..3).all(|_| empty.next().is_some_and(|request| request.body().is_end_stream())));
    }

    #[tokio::test]
    async fn a_body_that_broke_off_cannot_be_sent_again() {
        let frames = [Err(BodyError::new(ErrorKind::ClientGone, "gone"))];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)));
        let mut replay = Replay::of(Request::put("/x").body(body).unwrap(), 60);
        assert!(replay.next().unwrap().into_body().collect().await.is_err());
        assert!(!replay.can_repeat());
    }
}
