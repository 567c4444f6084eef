//! The content of a GET or a HEAD.
//!
//! hyper's client sends no content of unknown length with these methods, and says nothing of it: its encoder assumes
//! that there is none (`set_length` in `hyper/src/proto/h1/role.rs`; `findings/hyper-client-get-content.sh`).

use crate::base::{Body, ErrorKind, StreamedContent, empty_body};
use crate::mesh::error::TryError;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::future::pending;

/// A body that is not sent, since its sender has perhaps only not said yet that it has no content. A guest of WASI 0.3
/// may say that after it has got the answer, so the request cannot wait for it.
pub(super) struct UnsentBody(Option<Body>);

/// Sees to it that the content of a request is sent, or that it is known if it is not.
pub(super) fn frame(head: &mut Parts, body: Body) -> (Body, UnsentBody) {
    let assumed_empty = matches!(head.method, Method::GET | Method::HEAD)
        && !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !head.headers.contains_key(CONTENT_LENGTH);
    if !assumed_empty {
        return (body, UnsentBody(None));
    }
    if head.extensions.get::<StreamedContent>().is_some() {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        return (body, UnsentBody(None));
    }
    (empty_body(), UnsentBody(Some(body)))
}

impl UnsentBody {
    /// Ends when there is content after all. A body that fails had none.
    pub(super) async fn content(mut self) -> TryError {
        while let Some(body) = &mut self.0
            && let Some(Ok(piece)) = body.frame().await
        {
            if piece.data_ref().is_some_and(|bytes| !bytes.is_empty()) {
                let detail = "the content of a GET or HEAD needs a Content-Length";
                return TryError::new(ErrorKind::ClientGone, detail);
            }
        }
        pending().await
    }
}
