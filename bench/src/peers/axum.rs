//! A native server: axum on tokio's multi-threaded runtime.

use super::Running;
use super::work::{self, Work};
use crate::process::Process;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{StatusCode, Uri};
use std::convert::Infallible;
use tokio::net::TcpListener;

/// Starts the server.
///
/// # Errors
/// If it does not listen.
pub(super) fn start() -> anyhow::Result<Running> {
    let (process, address) = Process::of_this_program(&["--axum"])?;
    Ok(Running::of(address, process))
}

/// Runs the server: passes its address to `announce`, and answers until the process is ended.
///
/// # Errors
/// If it cannot listen or cannot report its address.
pub(crate) async fn serve(announce: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string())?;
    let listener = listener.tap_io(|stream| {
        // This fails for a connection that has ended, which the server notices itself.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route("/{work}", axum::routing::any(answer));
    Ok(axum::serve(listener, router).await?)
}

async fn answer(uri: Uri, request: Request) -> Response {
    let work = uri.path_and_query().and_then(|target| Work::of(target.as_str()));
    match work {
        Some(Work::Json) => respond("application/json", Body::from(work::JSON)),
        Some(Work::Echo) => respond("application/octet-stream", request.into_body()),
        Some(Work::Stream(count)) => {
            let chunk = || Ok::<_, Infallible>(Bytes::from_static(&work::CHUNK));
            respond("text/plain", Body::from_stream(stream::repeat_with(chunk).take(count)))
        }
        Some(Work::Compute) => respond("application/json", Body::from(work::compute())),
        None => {
            let mut nothing = respond("application/json", Body::from("{}"));
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            nothing
        }
    }
}

fn respond(media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
