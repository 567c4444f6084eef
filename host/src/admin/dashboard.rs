//! The dashboard: the four built files of `web/`, which are a part of the binary.

use super::handler::AdminState;
use super::operations::Operations;
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../web/dist/index.html");
const SCRIPT: &str = include_str!("../../../web/dist/dashboard.js");
const STYLE: &str = include_str!("../../../web/dist/dashboard.css");
const ICON: &str = include_str!("../../../web/dist/dashboard.svg");

/// Scripts, styles and data come from the admin alone, so nothing that a service or a client has written into a log
/// line can run or leave the machine. The forms are handled by the script; `form-action` stops what it does not handle.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files need no token: they hold nothing of the host, and the page asks the operator for it.
pub(super) const PATHS: [&str; 4] = ["/", "/dashboard.js", "/dashboard.css", "/dashboard.svg"];

/// The dashboard's files.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    let [page, script, style, icon] = PATHS;
    Router::new()
        .route(page, get(async || file("text/html; charset=utf-8", PAGE)))
        .route(script, get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route(style, get(async || file("text/css; charset=utf-8", STYLE)))
        .route(icon, get(async || file("image/svg+xml", ICON)))
}

fn file(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        // For browsers that do not know `frame-ancestors`.
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text)
}
