//! The body type that every room passes along: streaming, with errors that keep their kind.

use super::error::ErrorKind;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use std::fmt;
use std::sync::Arc;

/// A streaming body, of a request or of a response.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// An extension of a request: its body, whose length is not known, comes to its end whether or not an answer comes. It
/// matters for GET and HEAD, which have content so seldom that the body alone does not show it: the body of a guest may
/// be an empty one, the end of which the guest shows after it has got the answer.
#[derive(Debug, Clone, Copy)]
pub struct StreamedContent;

impl StreamedContent {
    /// Marks `request`, if that is a GET or HEAD with such a body.
    pub fn mark<B: http_body::Body>(request: &mut http::Request<B>) {
        let body = request.body();
        if matches!(*request.method(), http::Method::GET | http::Method::HEAD)
            && !body.is_end_stream()
            && body.size_hint().exact().is_none()
        {
            request.extensions_mut().insert(Self);
        }
    }
}

/// An extension of a request: nobody reads the content of its answer, as with HEAD. The client has sent HEAD, and the
/// service gets a GET.
#[derive(Debug, Clone, Copy)]
pub struct UnreadContent;

impl UnreadContent {
    /// Whether nobody reads the content of the answer to `request`: by its method, or by this extension.
    pub fn follows<B>(request: &http::Request<B>) -> bool {
        *request.method() == http::Method::HEAD || request.extensions().get::<Self>().is_some()
    }
}

/// An extension of a request: its client came by TLS, so its scheme is `https`, whatever way it takes to its service.
#[derive(Debug, Clone, Copy)]
pub struct SecureOrigin;

/// An extension of a request: it offers another protocol for its connection, which the service may accept with 101. The
/// answer then has a `hyper::upgrade::OnUpgrade` among its extensions.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeOffer;

/// An extension of a request: it is sent once, whatever the service's retry policy says.
#[derive(Debug, Clone, Copy)]
pub struct SingleTry;

/// An extension of a request to a host outside: who waits for its connection is told here when there is one, and again
/// for each further try.
#[derive(Clone)]
pub struct ConnectionNotice(Arc<dyn Fn() + Send + Sync>);

impl ConnectionNotice {
    /// Calls `tell` when the request has got a connection, a new one or one of a pool.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The request has got a connection.
    pub fn tell(&self) {
        (self.0)();
    }
}

impl fmt::Debug for ConnectionNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionNotice")
    }
}

/// An extension of a request to an address: an interim answer (1xx) that comes before its answer is told here, with its
/// header section.
#[derive(Clone)]
pub struct InterimNotice(Arc<NoticeReceiver>);

type NoticeReceiver = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl InterimNotice {
    /// Calls `tell` with each interim answer. It must not block.
    pub fn new(tell: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// An interim answer has come.
    pub fn tell(&self, status: StatusCode, fields: &HeaderMap) {
        (self.0)(status, fields);
    }
}

impl fmt::Debug for InterimNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterimNotice")
    }
}

/// Why a body broke off.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct BodyError {
    /// What went wrong: [`ErrorKind::ClientGone`], [`ErrorKind::SlowBody`] or [`ErrorKind::BodyTooLarge`] for a
    /// request's body, a fault of the service for an answer's.
    pub kind: ErrorKind,
    /// For the log; never shown outside.
    pub detail: String,
}

impl BodyError {
    /// An error of `kind`, described for the log.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// A body without a byte.
pub fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is in memory already.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
