//! Reads the content of an answer ahead, so that it can be kept.

use crate::base::{Body, BodyError};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the content of an answer may take to come, if it is to be kept: its client gets nothing of it meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// The content of an answer, read ahead.
pub(super) enum CollectedBody {
    /// All of it.
    Whole(Bytes),
    /// It is too large, too slow, broken, or has trailers: it goes on as a stream.
    Stream(Body),
}

/// Reads `body` to its end, if that is within `most` bytes and two seconds.
pub(super) async fn collect(mut body: Body, most: usize) -> CollectedBody {
    let most_bytes = most as u64;
    if body.size_hint().lower() > most_bytes {
        return CollectedBody::Stream(body);
    }
    let (mut begun, mut length) = (VecDeque::new(), 0_usize);
    let until = Instant::now() + PATIENCE;
    loop {
        let frame = match timeout_at(until, body.frame()).await {
            Ok(None) => return CollectedBody::Whole(joined(begun, length)),
            Ok(Some(frame)) => frame,
            Err(_) => break,
        };
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        let fits = data.is_some_and(|data| length + data.len() <= most);
        length += data.map_or(0, Bytes::len);
        begun.push_back(frame);
        if !fits {
            break;
        }
    }
    CollectedBody::Stream(ResumedBody { begun, rest: body }.boxed_unsync())
}

/// The frames as one piece of memory of the very length: the frames may be parts of larger buffers.
fn joined(frames: VecDeque<Result<Frame<Bytes>, BodyError>>, length: usize) -> Bytes {
    let mut whole = Vec::with_capacity(length);
    let data = frames.into_iter().flatten().filter_map(|frame| frame.into_data().ok());
    data.for_each(|data| whole.extend_from_slice(&data));
    whole.into()
}

/// A body whose beginning has been read.
struct ResumedBody {
    begun: VecDeque<Result<Frame<Bytes>, BodyError>>,
    rest: Body,
}

impl http_body::Body for ResumedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.begun.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let begun = self.begun.iter().flatten().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(begun + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(begun + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ErrorKind, full_body};
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    type Piece = Result<Frame<Bytes>, BodyError>;

    fn stream(pieces: Vec<Piece>) -> Body {
        StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
    }

    fn data(text: &'static str) -> Piece {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn content_within_the_bound_is_one_piece_and_more_goes_on_as_it_came() {
        let CollectedBody::Whole(whole) = collect(stream(vec![data("ab"), data("cd")]), 4).await else {
            panic!("it fits")
        };
        assert_eq!(whole, "abcd");
        let CollectedBody::Stream(rest) = collect(stream(vec![data("ab"), data("cde"), data("f")]), 4).await else {
            panic!("it does not fit")
        };
        assert_eq!(rest.collect().await.expect("whole").to_bytes(), "abcdef");
        let announced = full_body("12345");
        assert!(matches!(collect(announced, 4).await, CollectedBody::Stream(_)));
    }

    #[tokio::test]
    async fn content_that_breaks_off_or_has_trailers_goes_on_as_it_came() {
        let broken = || Err(BodyError::new(ErrorKind::Reset, "broke off"));
        let CollectedBody::Stream(rest) = collect(stream(vec![data("ab"), broken()]), 9).await else {
            panic!("it is not whole")
        };
        assert_eq!(rest.collect().await.map_err(|error| error.kind).err(), Some(ErrorKind::Reset));
        let trailers = http::HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("\"a\""))]);
        let CollectedBody::Stream(rest) = collect(stream(vec![data("ab"), Ok(Frame::trailers(trailers))]), 9).await
        else {
            panic!("kept answers have no trailers")
        };
        let whole = rest.collect().await.expect("whole");
        assert!(whole.trailers().is_some_and(|trailers| trailers.len() == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_content_goes_on_as_it_comes() {
        let (pieces, received) = mpsc::channel::<Piece>(4);
        pieces.try_send(data("ab")).expect("room");
        let slow = futures_util::stream::unfold(received, |mut received| async {
            let piece = received.recv().await?;
            Some((piece, received))
        });
        let CollectedBody::Stream(rest) = collect(StreamBody::new(Box::pin(slow)).boxed_unsync(), 9).await else {
            panic!("it does not end")
        };
        pieces.try_send(data("cd")).expect("room");
        drop(pieces);
        assert_eq!(rest.collect().await.expect("whole").to_bytes(), "abcd");
    }
}
