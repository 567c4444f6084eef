//! One call by HTTP, from the name to the answer.

use super::answer::AnswerBody;
use super::attempt::TryGuard;
use super::chance::CallRng;
use super::course::CallInProgress;
use super::error::CallError;
use super::head;
use super::place::{CallKind, EndpointTarget, Failed, Invoke};
use super::replay::Replay;
use super::service::Service;
use super::upload::UploadWatch;
use crate::base::{Blame, Body, CallContext, ErrorKind, ServiceName};
use crate::registry::Registry;
use crate::retry::is_safe;
use http_body_util::BodyExt;
use std::sync::Arc;

/// The mesh: every service call of the host goes through it.
pub struct Mesh<P = EndpointTarget> {
    pub(super) registry: Arc<Registry<Service<P>>>,
    pub(super) chance: CallRng,
    settings: Settings,
}

/// What holds for all calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest chain of calls, services that call each other in a circle included. Default 32.
    pub depth: usize,
    /// Makes the same choices each time, in a simulation. Default none: the system's randomness.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 32, seed: None }
    }
}

/// What one try came to, when it is recorded.
struct Tried {
    outcome: Result<http::Response<AnswerBody>, CallError>,
    /// Which calls may be made once more after it.
    again: Again,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// None.
    Never,
    /// Those whose repetition does no harm.
    IfSafe,
    /// All of which nothing was sent.
    IfUnsent,
}

impl<P: Invoke> Mesh<P> {
    /// A mesh over the services of `registry`.
    pub fn new(registry: Arc<Registry<Service<P>>>, settings: Settings) -> Self {
        Self { registry, chance: CallRng::new(settings.seed), settings }
    }

    /// Calls `service`; the answer's body streams, and the call lasts until its end.
    ///
    /// A status of 5xx is an answer like any other, and counts as the service's fault; but 502, 503 and 504 do not if a call of its own has
    /// failed. Dropping the future or the body ends the call and is nobody's fault. A call that may be made twice is made again when the
    /// endpoint failed and not the work, as the service's retry policy says; never once an answer is on its way to the caller.
    ///
    /// # Errors
    /// No endpoint to ask, or the fault of the one that was asked last; see [`ErrorKind`].
    pub async fn call(
        &self,
        service: &ServiceName,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, CallError> {
        let entry = self.resolve(service, context)?;
        send(CallInProgress::begin(entry, Some(&self.registry), &self.chance, context).await?, request).await
    }

    /// What stands behind the name now, for a call that is not too deep.
    pub(super) fn resolve(&self, service: &ServiceName, context: &CallContext) -> Result<Arc<Service<P>>, CallError> {
        if context.depth >= self.settings.depth {
            let detail = format!("the call stands at the end of a chain of {}", self.settings.depth);
            return Err(CallError::new(service, ErrorKind::TooDeep, detail));
        }
        let entry = self.registry.snapshot().get(service.as_str()).cloned();
        entry.ok_or_else(|| CallError::new(service, ErrorKind::NoEndpoint, "not in the discovery table"))
    }
}

/// Sends `request` on its course, as often as that takes.
pub(super) async fn send<P: Invoke>(
    mut course: CallInProgress<'_, P>,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, CallError> {
    let safe = is_safe(request.method(), request.headers().contains_key("idempotency-key"));
    let retry = course.entry.traffic.retry.settings();
    let mut replay = if retry.tries > 0 { Replay::of(request, retry.body) } else { Replay::once(request) };
    let mut request = replay.next().expect("every request can be sent once");
    let mut last: Option<Result<_, _>> = None;
    let outcome = loop {
        let (endpoint, attempt, context) = match course.next(CallKind::Http) {
            Ok(next) => {
                drop(last.take());
                next
            }
            // That a further try finds no endpoint says less than what the one before it came to.
            Err(refusal) => break last.unwrap_or(Err(refusal)),
        };
        let (sent, upload) = UploadWatch::watch(request);
        let method = sent.method().clone();
        let answer = match course.disturbed(&context).await {
            Ok(()) => endpoint.target.send(sent, &context).await,
            Err(failed) => Err(failed),
        };
        let answer = answer.and_then(|answer| match head::check(&answer, &method) {
            Ok(()) => Ok(answer),
            Err(wrong) => Err((ErrorKind::BadAnswer, wrong.to_owned())),
        });
        let tried = conclude(&course.entry, attempt, upload, answer, context.dependency_failed());
        let allowed = match tried.again {
            Again::Never => false,
            Again::IfSafe => safe && replay.can_repeat(),
            Again::IfUnsent => replay.is_untouched() || safe && replay.can_repeat(),
        };
        if !allowed || !course.again().await {
            break tried.outcome;
        }
        let Some(next) = replay.next() else { break tried.outcome };
        request = next;
        last = Some(tried.outcome);
    };
    let slot = course.into_slot();
    outcome.map(|response| {
        response.map(|mut body| {
            body.hold(slot);
            body.boxed_unsync()
        })
    })
}

/// Records what is known of a try; the rest of an answer's outcome is known at the end of its body.
fn conclude<P>(
    service: &Service<P>,
    mut attempt: TryGuard,
    upload: UploadWatch,
    outcome: Result<http::Response<Body>, Failed>,
    dependency_failed: bool,
) -> Tried {
    attempt.answered(outcome.as_ref().err().map(|(kind, _)| *kind));
    let (kind, detail) = match outcome {
        Ok(response) => match upload.failed() {
            // The answer to a body that was too large is that it was, whatever the service makes of it.
            Some(error) if error.kind == ErrorKind::BodyTooLarge => (error.kind, error.detail),
            broken => {
                match broken {
                    // Most services answer 500 when a body breaks off: not their fault.
                    Some(error) => attempt.failed(error.kind, false),
                    None => attempt.status(response.status(), response.headers(), dependency_failed),
                }
                let again = blames_upstream(response.status()) && !dependency_failed;
                let again = if again { Again::IfSafe } else { Again::Never };
                let patience = service.traffic.timeout;
                let outcome = Ok(response.map(|body| AnswerBody::new(body, attempt, upload, patience)));
                return Tried { outcome, again };
            }
        },
        Err((kind, detail)) => upload.blame(kind).unwrap_or((kind, detail)),
    };
    attempt.failed(kind, dependency_failed);
    if kind.blame() == Blame::Refusal {
        service.traffic.metrics.refused(kind.as_str());
    }
    let again = match kind {
        ErrorKind::Connect => Again::IfUnsent,
        kind if kind.is_endpoint_fault() && !dependency_failed => Again::IfSafe,
        _ => Again::Never,
    };
    Tried { outcome: Err(CallError::new(&service.name, kind, detail)), again }
}

/// Whether a status says, or may say, that another service failed the one that answers.
pub(super) fn blames_upstream(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
