//! The body of a guest's answer, as it streams to the caller.

use super::call_guard::CallGuard;
use super::guest_span::GuestSpan;
use crate::base::{BodyError, ErrorKind};
use crate::runtime::fault::InstanceFault;
use crate::runtime::values::read_ahead::ReadAhead;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime_wasi_http::Error;

/// The body of a guest's answer. It tells an end from a break, and it guards the instance until its end.
pub(super) struct GuestBody {
    inner: ReadAhead,
    /// Bytes that the head promised and that have not arrived yet.
    remaining: Option<u64>,
    guard: CallGuard,
    fault: InstanceFault,
    /// It ends with the body.
    span: GuestSpan,
}

impl GuestBody {
    /// `length`: the length that the head promised, in bytes.
    pub(super) fn new(inner: ReadAhead, length: Option<u64>, guard: CallGuard, fault: InstanceFault) -> Self {
        let mut body = Self { inner, remaining: length, guard, fault, span: GuestSpan::default() };
        body.release_when_whole();
        body
    }

    /// The body is written by a guest whose work is `span`.
    pub(super) fn traced(mut self, span: GuestSpan) -> Self {
        self.span = span;
        self
    }

    /// Whether all was read that the head promised, or all up to the guest's end of the body.
    fn whole(&self) -> bool {
        match self.remaining {
            Some(remaining) => remaining == 0 && !self.failed_early(),
            None => self.inner.is_end_stream(),
        }
    }

    /// Whether the instance failed before the guest ended the body. A later failure takes nothing from the answer.
    fn failed_early(&self) -> bool {
        self.fault.get().is_some() && !self.inner.has_ended()
    }

    fn release_when_whole(&mut self) {
        if self.whole() {
            self.guard.release();
        }
    }

    fn broken(&self, error: Option<&Error>) -> BodyError {
        match self.fault.get() {
            Some(fault) => BodyError::new(fault.kind, fault.detail.clone()),
            None => BodyError::new(ErrorKind::Reset, format!("the guest broke its answer off: {error:?}")),
        }
    }
}

impl Drop for GuestBody {
    /// The instance may settle its body between the reader's last poll and its look at `is_end_stream`. The reader
    /// drops the body then without a further poll, so whether it is whole is asked once more.
    fn drop(&mut self) {
        self.release_when_whole();
        if !self.whole() {
            self.inner.abandon();
        }
    }
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.inner).poll_frame(cx) else { return Poll::Pending };
        Poll::Ready(match polled {
            Some(Ok(frame)) => {
                if let (Some(remaining), Some(data)) = (self.remaining.as_mut(), frame.data_ref()) {
                    *remaining = remaining.saturating_sub(data.len() as u64);
                }
                if frame.is_trailers() {
                    // Nothing follows the trailers, and the reader may not poll again to find that out.
                    self.guard.release();
                }
                self.release_when_whole();
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.broken(Some(&error)))),
            None if self.remaining.is_some_and(|bytes| bytes > 0) => Some(Err(self.broken(None))),
            None => {
                self.guard.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.whole()
    }

    fn size_hint(&self) -> SizeHint {
        if self.failed_early() {
            // More would have arrived without the fault, so what has arrived must not be framed as a whole body.
            return SizeHint::default();
        }
        self.remaining.map_or_else(|| self.inner.size_hint(), SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::instance::guard::InstanceGuard;
    use futures_channel::mpsc;
    use futures_util::StreamExt;
    use http_body_util::{BodyExt, StreamBody};
    use std::future::pending;
    use tokio::task::JoinHandle;

    type Writer = mpsc::Sender<Bytes>;

    /// A body of this length, the guest's end of it, the instance's hold on it, and the instance.
    fn answer(length: Option<u64>) -> (GuestBody, Writer, ReadAhead, JoinHandle<()>) {
        let (writer, pieces) = mpsc::channel(4);
        let pieces = pieces.map(|piece| Ok(Frame::data(piece)));
        let hold = ReadAhead::new(StreamBody::new(pieces).boxed_unsync());
        let instance = tokio::spawn(pending());
        let guard = CallGuard::Own(InstanceGuard::new(Some(instance.abort_handle()), None));
        (GuestBody::new(hold.clone(), length, guard, InstanceFault::default()), writer, hold, instance)
    }

    /// Whether the instance lived on after its body was dropped.
    async fn is_kept(instance: JoinHandle<()>) -> bool {
        tokio::task::yield_now().await;
        !instance.is_finished()
    }

    #[tokio::test]
    async fn a_body_that_was_settled_after_its_last_poll_is_whole_when_it_is_dropped() {
        for pieces in 0..3 {
            let (mut body, mut writer, hold, instance) = answer(None);
            for _ in 0..pieces {
                writer.try_send(Bytes::from_static(b"x")).unwrap();
                body.frame().await.unwrap().unwrap();
            }
            assert!(!body.is_end_stream());
            drop(writer);
            hold.settle();
            assert!(body.is_end_stream(), "no reader polls again after this");
            drop(body);
            assert!(is_kept(instance).await, "{pieces} pieces");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_before_its_end_is_not_whole_and_its_guest_finds_it_closed() {
        for settled in [false, true] {
            let (mut body, mut writer, hold, instance) = answer(None);
            writer.try_send(Bytes::from_static(b"x")).unwrap();
            body.frame().await.unwrap().unwrap();
            if settled {
                hold.settle();
            }
            drop(body);
            assert!(writer.is_closed());
            assert!(!is_kept(instance).await, "settled: {settled}");
        }
    }

    #[tokio::test]
    async fn a_guest_finds_its_body_open_after_the_last_byte_of_its_length() {
        let (mut body, mut writer, hold, instance) = answer(Some(1));
        writer.try_send(Bytes::from_static(b"x")).unwrap();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(!writer.is_closed(), "the guest has still to end it");
        drop(hold);
        assert!(is_kept(instance).await);
    }
}
