//! A body with the timeouts that its reading guest has set.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};
use wasmtime_wasi_http::{Error, WasiBody};

/// An answer's body that fails if its sender is silent for too long. Only the time counts in which the guest waits: a
/// guest that reads slowly is not the sender's fault.
pub(crate) struct TimedBody {
    inner: WasiBody,
    /// When the first piece is due. `None` once it has come, or if the guest has set no such timeout.
    first: Option<Instant>,
    /// The longest wait for each piece after it; for the first too, if that has no time of its own.
    between: Option<Duration>,
    /// Runs while the guest waits for a piece.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    /// `body`, unless neither timeout is set: then it stays as it is.
    pub(crate) fn wrap(body: WasiBody, first: Option<Instant>, between: Option<Duration>) -> WasiBody {
        if first.is_none() && between.is_none() || body.is_end_stream() {
            return body;
        }
        Self { inner: body, first, between, timer: None }.boxed_unsync()
    }

    /// When the next piece is due, for a wait that begins now.
    fn due(&self) -> Option<Instant> {
        self.first.or_else(|| tokio::time::Instant::now().into_std().checked_add(self.between?))
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(piece) = Pin::new(&mut self.inner).poll_frame(context) {
            (self.first, self.timer) = (None, None);
            return Poll::Ready(piece);
        }
        if self.timer.is_none() {
            self.timer = self.due().map(|due| Box::pin(sleep_until(due.into())));
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(context));
        let error = if self.first.is_some() { Error::HttpResponseTimeout } else { Error::ConnectionReadTimeout };
        // Nothing follows the error, and the sender learns at once that nobody reads.
        *self = Self { inner: nothing(), first: None, between: None, timer: None };
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn nothing() -> WasiBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use tokio::time::{advance, pause, sleep};

    /// A body whose pieces come after these waits, in milliseconds.
    fn body(waits: &'static [u64]) -> WasiBody {
        let pieces = stream::iter(waits).then(async |ms| {
            sleep(Duration::from_millis(*ms)).await;
            Ok::<_, Error>(Frame::data(Bytes::from_static(b"x")))
        });
        StreamBody::new(Box::pin(pieces)).boxed_unsync()
    }

    /// The pieces that came, and the error if there was one.
    async fn read(mut body: WasiBody) -> (usize, Option<String>) {
        let mut pieces = 0;
        while let Some(piece) = body.frame().await {
            match piece {
                Ok(_) => pieces += 1,
                Err(error) => {
                    assert!(body.frame().await.is_none(), "nothing follows the error");
                    return (pieces, Some(format!("{error:?}")));
                }
            }
        }
        (pieces, None)
    }

    #[tokio::test(start_paused = true)]
    async fn each_timeout_bounds_its_own_waits() {
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        for (waits, first, between, pieces, error) in [
            (&[500, 500][..], None, None, 2, None),
            (&[90, 90, 90], None, ms(100), 3, None),
            (&[90, 110], None, ms(100), 1, Some("ConnectionReadTimeout")),
            (&[110], None, ms(100), 0, Some("ConnectionReadTimeout")),
            (&[900, 90], ms(1_000), ms(100), 2, None),
            (&[1_100], ms(1_000), ms(100), 0, Some("HttpResponseTimeout")),
            (&[900, 5_000], ms(1_000), None, 2, None),
            (&[90, 90], None, Some(Duration::MAX), 2, None),
        ] {
            let first = first.map(|first| tokio::time::Instant::now().into_std() + first);
            let read = read(TimedBody::wrap(body(waits), first, between)).await;
            assert_eq!((read.0, read.1.as_deref()), (pieces, error), "{waits:?} {first:?} {between:?}");
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_not_the_senders_silence() {
        pause();
        let mut body = TimedBody::wrap(body(&[0, 0]), None, Some(Duration::from_millis(100)));
        assert!(body.frame().await.unwrap().is_ok());
        advance(Duration::from_secs(5)).await;
        assert!(body.frame().await.unwrap().is_ok());
    }
}
