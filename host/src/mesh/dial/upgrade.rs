//! A request that offers another protocol for its connection. It gets a connection of its own, which leaves HTTP if the
//! server accepts.

use super::client::{HttpClient, join};
use super::{answer_framing, failure, request_head};
use crate::base::{Body, CallContext, ErrorKind, header_tokens};
use crate::mesh::error::TryError;
use http::header::UPGRADE;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Instant;
use tokio::time::timeout_at;

/// The most bytes of an answer that are read ahead of its reader: no head of an answer is longer.
const BUFFER: usize = 64 * 1024;

impl HttpClient {
    /// Sends `request`, which has no content and names in `Upgrade` what it offers, on a new connection, and waits for
    /// the answer's head until the context's deadline. An answer with 101 has the connection's `OnUpgrade` among its
    /// extensions; any other answer is one like that of [`HttpClient::send`].
    ///
    /// # Errors
    /// As [`HttpClient::send`]; [`ErrorKind::BadAnswer`] also if the server accepts what was not offered.
    pub async fn upgrade(&self, request: Request<Body>, context: &CallContext) -> Result<Response<Body>, TryError> {
        match timeout_at(context.deadline.into(), self.offer(request, context)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TryError::new(ErrorKind::Timeout, "no answer before the deadline")),
        }
    }

    async fn offer(&self, request: Request<Body>, context: &CallContext) -> Result<Response<Body>, TryError> {
        let (mut head, body) = request.into_parts();
        let no_address =
            |error: http::Error| TryError::new(ErrorKind::Host, format!("no address: {error}")).caused_by(error);
        head.uri = join(self.base(), &head.uri).map_err(no_address)?;
        head.version = Version::HTTP_11;
        request_head::for_service(&mut head.headers, self.base(), context, Instant::now());
        let offered = protocols(&head.headers);

        let stream = self.connector().connect().await.map_err(failure::of_dial)?;
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(failed)?;
        // It ends with the exchange, and with the sender: a call that is given up closes its connection.
        tokio::spawn(connection.with_upgrades());
        let mut answer = sender.send_request(Request::from_parts(head, body)).await.map_err(failed)?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS && protocols(answer.headers()) != offered {
            return Err(TryError::new(ErrorKind::BadAnswer, "it switches to a protocol that was not offered"));
        }
        answer_framing::end(&mut answer).map_err(|wrong| TryError::new(ErrorKind::BadAnswer, wrong))?;
        Ok(answer.map(|body| body.map_err(|error| failure::of_body(&error)).boxed_unsync()))
    }
}

/// The protocols that `Upgrade` names, in small letters.
fn protocols(headers: &HeaderMap) -> Vec<Vec<u8>> {
    header_tokens(headers, &UPGRADE).map(<[u8]>::to_ascii_lowercase).collect()
}

fn failed(error: hyper::Error) -> TryError {
    let kind = if error.is_parse() || failure::any(&error, failure::is_not_http) {
        ErrorKind::BadAnswer
    } else if error.is_canceled() {
        // hyper calls a request "cancelled" whose connection closed before a byte of the request was written.
        ErrorKind::Connect
    } else {
        ErrorKind::Reset
    };
    TryError::new(kind, failure::explain(&error)).caused_by(error)
}
