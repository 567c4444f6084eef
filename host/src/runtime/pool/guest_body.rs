//! The body of a guest's answer, as it streams to the caller.

use super::call_guard::CallGuard;
use crate::base::{BodyError, ErrorKind};
use crate::runtime::fault::InstanceFault;
use crate::runtime::values::body::ReadAhead;
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
}

impl GuestBody {
    /// `length`: the length that the head promised, in bytes.
    pub(super) fn new(inner: ReadAhead, length: Option<u64>, guard: CallGuard, fault: InstanceFault) -> Self {
        let mut body = Self { inner, remaining: length, guard, fault };
        body.release_when_whole();
        body
    }

    fn whole(&self) -> bool {
        self.fault.get().is_none() && (self.remaining == Some(0) || self.inner.is_end_stream())
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
                if frame.is_trailers() && self.fault.get().is_none() {
                    // Nothing follows the trailers, and the reader may not poll again to find that out.
                    self.guard.release();
                }
                self.release_when_whole();
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.broken(Some(&error)))),
            // The channel closes both when the guest ends its body and when its store is dropped. The fault shows which
            // of the two happened.
            None if self.fault.get().is_some() || self.remaining.is_some_and(|bytes| bytes > 0) => {
                Some(Err(self.broken(None)))
            }
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
        if self.fault.get().is_some() {
            // More would have arrived without the fault, so what has arrived must not be framed as a whole body.
            return SizeHint::default();
        }
        self.remaining.map_or_else(|| self.inner.size_hint(), SizeHint::with_exact)
    }
}
