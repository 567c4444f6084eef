//! One HTTP call.

use super::answer_body::AnswerBody;
use super::answer_head;
use super::call_in_progress::CallInProgress;
use super::engine::{self, Accepted, CallPolicy, Next};
use super::mesh::Mesh;
use super::replay::Replay;
use super::try_guard::TryGuard;
use super::upload_watch::UploadWatch;
use crate::base::{
    Body, BodyError, CallContext, ErrorKind, OpenSpan, ServiceName, SingleTry, UnreadContent, known_method,
};
use crate::mesh::error::{CallBeginning, CallError, TryError};
use crate::mesh::table::target::{CallKind, Invoke};
use crate::mesh::table::traffic::Traffic;
use crate::retry::{self, is_safe};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;

impl<P: Invoke> Mesh<P> {
    /// Calls `service`. The answer's body streams, and the call lasts until its end.
    ///
    /// A status of 5xx is an answer like any other, and counts as the service's fault. 502, 503 and 504 do not count if
    /// a call of the service's own has failed. Dropping the future or the body ends the call and is nobody's fault. A
    /// call that may be made twice is tried again after an endpoint fault, as the service's retry policy says, but
    /// never once an answer is on its way to the caller.
    ///
    /// # Errors
    /// No endpoint could take the call, or the failure of the last try; see [`ErrorKind`].
    pub async fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, CallError> {
        let (group, tossed) = self.admit(service, context, |entry, tossed| (Arc::clone(&entry.group), tossed))?;
        let mut call = CallInProgress::begin(group, Some(&self.registry), &self.rng, context).await?;
        call.tossed = tossed;
        // Not by a function that takes the call: its future would hold call and request twice, and be moved here.
        let mut policy = HttpCall::new(request, call.group.traffic.retry.settings());
        let outcome = engine::run(&mut call, &mut policy).await;
        answer(call, outcome)
    }
}

/// Sends `request` for `call`.
pub(super) async fn send<P: Invoke>(
    mut call: CallInProgress<'_, P>,
    request: Request<Body>,
) -> Result<Response<Body>, CallError> {
    let mut policy = HttpCall::new(request, call.group.traffic.retry.settings());
    let outcome = engine::run(&mut call, &mut policy).await;
    answer(call, outcome)
}

/// The answer of `call`. The bulkhead's permit travels with its body.
fn answer<P: Invoke>(
    call: CallInProgress<'_, P>,
    outcome: Result<Response<AnswerBody>, CallError>,
) -> Result<Response<Body>, CallError> {
    let permit = call.into_permit();
    outcome.map(|answer| {
        answer.map(|mut body| {
            body.hold(permit);
            body.boxed_unsync()
        })
    })
}

/// The policy of one HTTP call.
struct HttpCall {
    /// Whether nobody reads the content of the answer.
    unread_content: bool,
    /// Whether the request may be sent again after it perhaps had its effect.
    safe: bool,
    replay: Replay,
    /// Watches the body of the try under way, until its answer's body takes the watch over.
    upload: Option<UploadWatch>,
}

/// An answer's head, and how the request's body failed before it, if it did.
struct HttpReply {
    answer: Response<Body>,
    upload_failure: Option<BodyError>,
}

impl HttpCall {
    fn new(request: Request<Body>, retry: &retry::Settings) -> Self {
        let safe = is_safe(request.method(), request.headers().contains_key("idempotency-key"));
        let unread_content = UnreadContent::follows(&request);
        let once = retry.tries == 0 || request.extensions().get::<SingleTry>().is_some();
        let replay = if !once { Replay::of(request, retry.body) } else { Replay::once(request) };
        Self { unread_content, safe, replay, upload: None }
    }

    /// One more try, if a repetition does no harm and the body can be sent again.
    fn if_safe(&self) -> Next {
        if self.safe && self.replay.can_repeat() { Next::Again } else { Next::End }
    }
}

impl CallPolicy for HttpCall {
    const KIND: CallKind = CallKind::Http;
    type Message = Request<Body>;
    type Reply = HttpReply;
    type Answer = Response<AnswerBody>;

    fn message(&mut self, _: bool) -> Option<Request<Body>> {
        let (request, upload) = UploadWatch::watch(self.replay.next()?);
        self.upload = Some(upload);
        Some(request)
    }

    fn describe(&self, span: &mut OpenSpan, request: &Request<Body>, _: &Traffic) {
        span.attribute("http.request.method", known_method(request.method()));
    }

    async fn send<P: Invoke>(
        &mut self,
        target: &P,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<HttpReply, TryError> {
        if let Some(BodyError { kind, detail }) = self.upload.as_ref().and_then(UploadWatch::failed) {
            // Nothing is sent: the request cannot be sent as it is.
            return Err(TryError::new(kind, detail));
        }
        let answer = target.send(request, context).await?;
        answer_head::check(&answer, self.unread_content).map_err(|wrong| TryError::new(ErrorKind::BadAnswer, wrong))?;
        match self.upload.as_ref().and_then(UploadWatch::failed) {
            // A body beyond a bound is the outcome, whatever the service answered to the part that it got.
            Some(BodyError { kind: kind @ (ErrorKind::BodyTooLarge | ErrorKind::SlowBody), detail }) => {
                Err(TryError::new(kind, detail))
            }
            upload_failure => Ok(HttpReply { answer, upload_failure }),
        }
    }

    fn accept(
        &mut self,
        HttpReply { answer, upload_failure }: HttpReply,
        mut guard: TryGuard,
        traffic: &Traffic,
        dependency_failed: bool,
    ) -> Accepted<Self::Answer> {
        match upload_failure {
            // Most services answer 500 when a request's body breaks off: not their fault.
            Some(error) => guard.failed(error.kind, false, &error.detail),
            None => guard.status(answer.status(), answer.headers(), dependency_failed),
        }
        if self.unread_content {
            // A GET in place of a HEAD has content, which is dropped unread: the head is the whole answer.
            guard.succeeded();
        }
        let again = blames_upstream(answer.status()) && !dependency_failed;
        let next = if again { self.if_safe() } else { Next::End };
        let upload = self.upload.take().expect("each try has a watch, and one answer");
        let answer = answer.map(|body| AnswerBody::new(body, guard, upload, traffic.timeout));
        Accepted { answer, next }
    }

    fn attribute(&self, error: TryError) -> TryError {
        match self.upload.as_ref().and_then(|upload| upload.blame(error.kind)) {
            Some(BodyError { kind, detail }) => TryError::new(kind, detail),
            None => {
                let unread = self.upload.as_ref().is_some_and(UploadWatch::is_unread);
                TryError { cut_off: error.cut_off && unread, ..error }
            }
        }
    }

    fn after_failure(&self, error: &TryError, dependency_failed: bool) -> Next {
        match error.kind {
            // Another node has not begun it. What was read of the body may have to be sent again.
            _ if error.beginning == CallBeginning::NotThere
                && (self.replay.is_untouched() || self.replay.can_repeat()) =>
            {
                Next::Again
            }
            // Nothing was sent, so not even a `POST` can have had an effect.
            ErrorKind::Connect if self.replay.is_untouched() => Next::Again,
            ErrorKind::Connect => self.if_safe(),
            // The call that failed below had its own tries.
            kind if kind.is_endpoint_fault() && !dependency_failed => self.if_safe(),
            _ => Next::End,
        }
    }
}

/// Whether a status says, or may say, that the service which answers was failed by another one.
pub(super) fn blames_upstream(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}
