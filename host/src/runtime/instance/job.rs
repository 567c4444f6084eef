//! A job for an instance, and the caller's side of it: the answer that is awaited.

use crate::base::CallContext;
use crate::runtime::code::linked::Export;
use crate::runtime::error::InvokeError;
use crate::runtime::values::detached::DetachedValues;
use crate::runtime::values::read_ahead::ReadAhead;
use std::sync::Arc;
use std::task::Context;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::WasiBody;

/// One call or request for an instance.
pub(crate) struct Job {
    pub(crate) context: CallContext,
    pub(crate) work: Work,
}

impl Job {
    /// Whether a guest makes this call. Then the caller is within a poll of that guest, and the engine does not let
    /// another instance begin its work there. An instance that has begun may go on there.
    pub(super) fn is_nested(&self) -> bool {
        self.context.depth > 0
    }

    /// Whether a stream of the job may outlast its answer.
    pub(super) fn has_streams(&self) -> bool {
        matches!(&self.work, Work::Call { export, .. } if export.streams)
    }
}

/// What an instance does for a job. The answer is sent through `answer`. If the instance drops `answer` without sending
/// anything, the instance has failed; how it failed is in its recorded fault.
pub(crate) enum Work {
    /// A call of a function.
    Call { export: Arc<Export>, arguments: DetachedValues, answer: oneshot::Sender<DetachedValues> },
    /// A request by HTTP. Boxed: a job is moved a dozen times on its way, and each future on the way has room for it.
    Request { request: Box<http::Request<WasiBody>>, answer: oneshot::Sender<HttpAnswer> },
}

/// The answer to a request: a response with a body that streams, or the error that the guest returned instead.
pub(crate) type HttpAnswer = Result<http::Response<ReadAhead>, InvokeError>;

impl Work {
    pub(crate) fn call(export: Arc<Export>, arguments: DetachedValues) -> (Self, PendingAnswer<DetachedValues>) {
        let (answer, receiver) = oneshot::channel();
        (Self::Call { export, arguments, answer }, PendingAnswer::Pending(receiver))
    }

    pub(crate) fn request(request: http::Request<WasiBody>) -> (Self, PendingAnswer<HttpAnswer>) {
        let (answer, receiver) = oneshot::channel();
        (Self::Request { request: Box::new(request), answer }, PendingAnswer::Pending(receiver))
    }
}

/// An answer, part of which may arrive later.
pub(crate) trait JobAnswer {
    /// Takes what has arrived of the rest, up to a bound.
    fn read_ahead(&mut self, _: &mut Context<'_>) {}
}

impl JobAnswer for DetachedValues {}

impl JobAnswer for HttpAnswer {
    fn read_ahead(&mut self, context: &mut Context<'_>) {
        if let Ok(response) = self {
            response.body_mut().read_ahead(context);
        }
    }
}

/// The caller's side of a job.
pub(crate) enum PendingAnswer<T> {
    /// Nothing has arrived.
    Pending(oneshot::Receiver<T>),
    /// The answer has arrived.
    Arrived(T),
    /// No answer will arrive: the instance failed.
    Lost,
}

impl<T: JobAnswer> PendingAnswer<T> {
    /// Takes what has arrived of the answer. The caller does this after each poll of the instance that it makes itself.
    pub(crate) fn poll_answer(&mut self, context: &mut Context<'_>) {
        if let Self::Pending(receiver) = self {
            match receiver.try_recv() {
                Ok(answer) => *self = Self::Arrived(answer),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => *self = Self::Lost,
            }
        }
        if let Self::Arrived(answer) = self {
            answer.read_ahead(context);
        }
    }

    /// Waits for the answer until `deadline`. `None` if the instance failed.
    ///
    /// # Errors
    /// When neither had happened by the deadline.
    pub(crate) async fn wait_until(self, deadline: Instant) -> Result<Option<T>, Elapsed> {
        match self {
            Self::Arrived(answer) => Ok(Some(answer)),
            Self::Lost => Ok(None),
            // Boxed: most answers have arrived by now.
            Self::Pending(receiver) => Box::pin(timeout_at(deadline, receiver)).await.map(Result::ok),
        }
    }
}
