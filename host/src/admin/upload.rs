//! A component on its way in.

use super::problem::AdminProblem;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::timeout;

/// The largest component that a swap accepts, in bytes.
pub const MAX_COMPONENT: usize = 128 * 1024 * 1024;

/// How long an upload may rest between two pieces: `listen` leaves the pace of a body to whoever reads it.
const STALL: Duration = Duration::from_secs(30);

/// The component that the request carries, whole.
pub(super) async fn component(request: Request<Body>) -> Result<Bytes, AdminProblem> {
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

/// A page can make a browser send a form or plain text anywhere, but never this type without asking the server first.
fn check_media_type(headers: &HeaderMap) -> Result<(), AdminProblem> {
    if is_solely(headers, "application/wasm") {
        return Ok(());
    }
    let detail = "a swap takes the bytes of a component: send them with `Content-Type: application/wasm`";
    Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-wasm", detail))
}

/// Whether the body's media type is `expected`, with any parameters, and no other is named beside it.
pub(super) fn is_solely(headers: &HeaderMap, expected: &str) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let essence = values.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected)) && values.next().is_none()
}

/// The length that the request announces, 0 for none; refuses one that is too large before a byte is read.
fn announced_length(headers: &HeaderMap) -> Result<usize, AdminProblem> {
    let Some(text) = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()) else { return Ok(0) };
    // The server has checked that it is a number, so one that does not fit is too large as well.
    text.parse().ok().filter(|length| *length <= MAX_COMPONENT).ok_or_else(too_large)
}

fn too_large() -> AdminProblem {
    let detail = format!("a component is at most {} MiB", MAX_COMPONENT / 1024 / 1024);
    AdminProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "component-too-large", detail)
}

fn stalled() -> AdminProblem {
    let detail = format!("no piece of the component came for {} seconds", STALL.as_secs());
    AdminProblem::new(StatusCode::REQUEST_TIMEOUT, "upload-stalled", detail)
}

fn broken_off() -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "upload-broken-off", "the component broke off before its end")
}
