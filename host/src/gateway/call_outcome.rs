//! How a call ended, as the pipeline goes on with it.

use super::body_limit::UploadStatus;
use super::call::CallFailure;
use super::problem::Problem;
use super::{body_decoding, status};
use crate::base::{Blame, DeadlineOwner, ErrorKind, RequestId, ServiceName};

/// The outcome of a call, or the problem to answer. A request body that was too large is answered with 413, whatever
/// the service did.
pub(super) fn settle<T>(
    outcome: Result<T, CallFailure>,
    upload: &UploadStatus,
    service: &ServiceName,
    id: &RequestId,
) -> Result<T, Problem> {
    if upload.was_too_large() {
        return Err(status::problem(ErrorKind::BodyTooLarge, service).closing());
    }
    if upload.was_too_dense() {
        return Err(body_decoding::too_dense());
    }
    if upload.was_broken() {
        return Err(body_decoding::broken());
    }
    let failure = match outcome {
        Ok(answer) => return Ok(answer),
        Err(failure) => failure,
    };
    let (request_id, name, kind, error) = (id.as_str(), service.as_str(), failure.kind.as_str(), &failure.detail);
    match failure.kind.blame() {
        Blame::Service | Blame::Host => {
            let deadline = failure.deadline.map(DeadlineOwner::as_str);
            tracing::warn!(request_id, service = name, kind, deadline, %error, "a call failed");
        }
        // Only at debug level: a flood of refused requests must not become a flood of lines. The access log has each of
        // them.
        Blame::Client | Blame::Refusal => {
            tracing::debug!(request_id, service = name, kind, %error, "a call was refused")
        }
    }
    let problem = status::failed(&failure, service);
    // The rest of the client's body may still be arriving. It must not be read as the next request, so the connection
    // is closed. That a caller lacks a scope says nothing of its body.
    let broken = failure.kind.blame() == Blame::Client && failure.kind != ErrorKind::Forbidden;
    Err(if broken { problem.closing() } else { problem })
}
