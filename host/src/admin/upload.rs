//! The upload of a component.

use super::handler::AdminState;
use super::operations::Operations;
use super::problem::AdminProblem;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// The largest component that a swap or a trial accepts, in bytes.
pub const MAX_COMPONENT: usize = 128 * 1024 * 1024;

/// How long an upload may pause between two pieces. `listen` does not bound the pace of a body: its reader must.
const STALL: Duration = Duration::from_secs(30);

/// The number of swaps and trials at the same time: each holds a component in memory, and compiles it on every core.
pub(super) const SWAPS: usize = 4;

/// A component in memory, which is compiled next.
pub(super) struct ComponentUpload {
    pub(super) component: Bytes,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Reads the component of a request about the service `name`.
pub(super) async fn uploaded<O: Operations>(
    state: &AdminState<O>,
    name: &str,
    request: Request<Body>,
) -> Result<ComponentUpload, AdminProblem> {
    // The name is checked before the upload, so that a typing error does not cost an upload.
    if state.operations.service(name).is_none() {
        return Err(AdminProblem::no_service(name));
    }
    let permit = state.swaps.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{SWAPS} swaps are in progress already: try again when one has finished");
        AdminProblem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-swaps", detail)
    })?;
    Ok(ComponentUpload { component: component(request).await?, permit })
}

/// Reads the whole component from the request.
async fn component(request: Request<Body>) -> Result<Bytes, AdminProblem> {
    let (head, mut body) = request.into_parts();
    check_media_type(&head.headers)?;
    let announced = announced_length(&head.headers)?;
    let mut component = Vec::with_capacity(announced);
    while let Some(frame) = timeout(STALL, body.frame()).await.map_err(|_| stalled())? {
        let Ok(data) = frame.map_err(|_| broken_off())?.into_data() else { continue };
        if component.len() + data.len() > MAX_COMPONENT {
            return Err(too_large());
        }
        component.extend_from_slice(&data);
    }
    Ok(component.into())
}

/// A web page can make a browser send a form or plain text to any server, but not this media type: the browser asks the
/// server first (CORS), and the admin does not allow it.
fn check_media_type(headers: &HeaderMap) -> Result<(), AdminProblem> {
    if is_solely(headers, "application/wasm") {
        return Ok(());
    }
    let detail = "a swap or a trial takes the bytes of a component: send them with `Content-Type: application/wasm`";
    Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-wasm", detail))
}

/// Whether the body's media type is `expected`, with any parameters, and there is only one `Content-Type`.
pub(super) fn is_solely(headers: &HeaderMap, expected: &str) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let essence = values.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected)) && values.next().is_none()
}

/// The announced length, or 0 if there is none. A length that is too large is refused before a byte is read.
fn announced_length(headers: &HeaderMap) -> Result<usize, AdminProblem> {
    let Some(text) = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()) else { return Ok(0) };
    // The server has checked that it is a number. A number that does not fit is too large.
    text.parse().ok().filter(|length| *length <= MAX_COMPONENT).ok_or_else(too_large)
}

fn too_large() -> AdminProblem {
    let detail = format!("a component is at most {} MiB", MAX_COMPONENT / 1024 / 1024);
    AdminProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "component-too-large", detail)
}

fn stalled() -> AdminProblem {
    let detail = format!("no piece of the component arrived for {} seconds", STALL.as_secs());
    AdminProblem::new(StatusCode::REQUEST_TIMEOUT, "upload-stalled", detail)
}

fn broken_off() -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "upload-broken-off", "the component broke off before its end")
}
