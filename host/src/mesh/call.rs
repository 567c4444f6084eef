//! One call, from the name to the answer.

use super::answer::AnswerBody;
use super::attempt::Attempt;
use super::endpoint::Way;
use super::error::CallError;
use super::head;
use super::service::Service;
use super::upload::Upload;
use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::registry::Registry;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Instant;

/// The mesh: every service call of the host goes through [`Mesh::call`].
pub struct Mesh {
    registry: Arc<Registry<Service>>,
    settings: Settings,
}

/// The bounds of all calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest chain of calls, services that call each other in a circle included. Default 32.
    pub depth: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 32 }
    }
}

impl Mesh {
    /// A mesh over the services of `registry`.
    pub fn new(registry: Arc<Registry<Service>>, settings: Settings) -> Self {
        Self { registry, settings }
    }

    /// Calls `service`; the answer's body streams, and the call lasts until its end.
    ///
    /// A status of 5xx is an answer like any other, and counts as the service's fault; but 502, 503 and 504 do not if a call of its own has
    /// failed. Dropping the future or the body ends the call and is nobody's fault.
    ///
    /// # Errors
    /// No endpoint to ask, or the fault of the one that was asked; see [`ErrorKind`].
    pub async fn call(
        &self,
        service: &ServiceName,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, CallError> {
        let entry = self.resolve(service, context)?;
        let now = Instant::now();
        let attempt = admit(&entry, Way::Http, now)?;
        let context = context.within(now, entry.timeout).attempt();
        let (request, upload) = Upload::watch(request);
        let method = request.method().clone();
        let outcome = attempt.endpoint().invoke(request, &context).await.and_then(|answer| {
            let checked = head::check(&answer, &method);
            checked.map(|()| answer).map_err(|wrong| (ErrorKind::BadAnswer, wrong.to_owned()))
        });
        attempt.answered(outcome.as_ref().err().map(|(kind, _)| *kind));
        conclude(&entry, attempt, upload, outcome, context.was_let_down())
    }

    /// What stands behind the name now, for a call that is not too deep.
    pub(super) fn resolve(&self, service: &ServiceName, context: &CallContext) -> Result<Arc<Service>, CallError> {
        if context.depth >= self.settings.depth {
            let detail = format!("the call stands at the end of a chain of {}", self.settings.depth);
            return Err(CallError::new(service, ErrorKind::TooDeep, detail));
        }
        let entry = self.registry.snapshot().get(service.as_str()).cloned();
        entry.ok_or_else(|| CallError::new(service, ErrorKind::NoEndpoint, "not in the discovery table"))
    }
}

/// An attempt at an endpoint whose circuit lets it through.
pub(super) fn admit(service: &Service, way: Way, now: Instant) -> Result<Attempt, CallError> {
    let refusal = match service.pick(way, now) {
        Ok((endpoint, permit)) => return Ok(Attempt::start(endpoint, permit, now)),
        Err(None) => CallError::new(&service.name, ErrorKind::NoEndpoint, "it has no endpoint for such a call"),
        Err(retry_after) => {
            let error = CallError::new(&service.name, ErrorKind::CircuitOpen, "every endpoint's circuit is open");
            CallError { retry_after, ..error }
        }
    };
    service.metrics.refused(refusal.kind.as_str());
    Err(refusal)
}

/// Whether a status says, or may say, that another service failed the one that answers.
pub(super) fn blames_upstream(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

/// Records what is known now; the rest of an answer's outcome is known at the end of its body.
fn conclude(
    service: &Service,
    mut attempt: Attempt,
    upload: Upload,
    outcome: Result<http::Response<Body>, (ErrorKind, String)>,
    let_down: bool,
) -> Result<http::Response<Body>, CallError> {
    match outcome {
        Ok(response) => {
            match upload.failed() {
                // The answer to a body that was too large is that it was, whatever the service makes of it.
                Some(error) if error.kind == ErrorKind::BodyTooLarge => {
                    attempt.failed(error.kind);
                    return Err(CallError::new(&service.name, error.kind, error.detail));
                }
                // Most services answer 500 when a body breaks off: not their fault.
                Some(error) => attempt.failed(error.kind),
                None if let_down && blames_upstream(response.status()) => attempt.blames_another(),
                None if response.status().is_server_error() => attempt.admitted_fault(),
                None if response.status().is_client_error() => attempt.blames_another(),
                None => {}
            }
            Ok(response.map(|body| AnswerBody::new(body, attempt, upload, service.timeout).boxed_unsync()))
        }
        Err((kind, detail)) => {
            let (kind, detail) = upload.blame(kind).unwrap_or((kind, detail));
            attempt.failed_unless(let_down, kind);
            if kind == ErrorKind::Overloaded {
                service.metrics.refused(kind.as_str());
            }
            Err(CallError::new(&service.name, kind, detail))
        }
    }
}
