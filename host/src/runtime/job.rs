//! What an instance is asked to do, and where its answer is awaited.

use super::body::ReadAhead;
use super::error::InvokeError;
use super::loaded::Export;
use super::parcel::DetachedValues;
use crate::base::CallContext;
use std::sync::Arc;
use std::task::Context;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::WasiBody;

/// One question on its way into an instance.
pub(super) struct Job {
    pub(super) context: CallContext,
    pub(super) ask: Ask,
}

impl Job {
    /// Whether a guest asks, in whose poll we are: the engine does not let an instance begin its work within the poll of another. One that
    /// has begun may go on there.
    pub(super) fn is_nested(&self) -> bool {
        self.context.depth > 0
    }

    /// Whether something of it may outlast its answer.
    pub(super) fn has_streams(&self) -> bool {
        matches!(&self.ask, Ask::Call { export, .. } if export.streams)
    }
}

/// An answer that is dropped before it is sent means that the instance failed; how, its fault tells.
pub(super) enum Ask {
    /// A call of a function.
    Call { export: Arc<Export>, arguments: DetachedValues, answer: oneshot::Sender<DetachedValues> },
    /// A request by HTTP.
    Request { request: http::Request<WasiBody>, answer: oneshot::Sender<Head> },
}

/// The answer to a request: with a body that streams, or what the guest said in its place.
pub(super) type Head = Result<http::Response<ReadAhead>, InvokeError>;

impl Ask {
    pub(super) fn call(export: Arc<Export>, arguments: DetachedValues) -> (Self, Awaited<DetachedValues>) {
        let (answer, receiver) = oneshot::channel();
        (Self::Call { export, arguments, answer }, Awaited::Coming(receiver))
    }

    pub(super) fn request(request: http::Request<WasiBody>) -> (Self, Awaited<Head>) {
        let (answer, receiver) = oneshot::channel();
        (Self::Request { request, answer }, Awaited::Coming(receiver))
    }
}

/// An answer that goes on after it has come.
pub(super) trait JobAnswer {
    /// Takes what has come of the rest, within bounds.
    fn read_ahead(&mut self, _: &mut Context<'_>) {}
}

impl JobAnswer for DetachedValues {}

impl JobAnswer for Head {
    fn read_ahead(&mut self, context: &mut Context<'_>) {
        if let Ok(response) = self {
            response.body_mut().read_ahead(context);
        }
    }
}

/// The caller's side of a job.
pub(super) enum Awaited<T> {
    Coming(oneshot::Receiver<T>),
    Here(T),
    /// There will be none: the instance failed.
    Dropped,
}

impl<T: JobAnswer> Awaited<T> {
    /// Takes what has come of the answer, while the instance is driven.
    pub(super) fn look(&mut self, context: &mut Context<'_>) {
        if let Self::Coming(receiver) = self {
            match receiver.try_recv() {
                Ok(answer) => *self = Self::Here(answer),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => *self = Self::Dropped,
            }
        }
        if let Self::Here(answer) = self {
            answer.read_ahead(context);
        }
    }

    /// The answer; `None` if the instance failed; an error if neither came about by `deadline`.
    pub(super) async fn by(self, deadline: Instant) -> Result<Option<T>, Elapsed> {
        match self {
            Self::Here(answer) => Ok(Some(answer)),
            Self::Dropped => Ok(None),
            Self::Coming(receiver) => timeout_at(deadline, receiver).await.map(Result::ok),
        }
    }
}
