//! One exchange on one connection, in the task that waits for it.

use super::connection_pool::ConnectionPool;
use super::failure;
use super::http_connection::{BodyEnd, HttpConnection, SentBody, unheard};
use super::upstream_body::UpstreamBody;
use crate::mesh::error::TryError;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Why a request has no answer.
pub(super) struct Unanswered {
    pub(super) error: TryError,
    /// The request, if the connection closed before a byte of it was written. Boxed: it is large, and seldom there.
    pub(super) unsent: Option<Box<Request<SentBody>>>,
}

/// Sends `request` over `connection`, and waits for the answer's head. The connection goes into `pool` when the request
/// and the answer are over; it is closed if this future is dropped. `body_end` is that of the request's body.
///
/// # Errors
/// The connection ended, or what came over it is no answer.
pub(super) async fn exchange(
    mut connection: HttpConnection,
    request: Request<SentBody>,
    body_end: &BodyEnd,
    pool: &Arc<ConnectionPool>,
) -> Result<Response<UpstreamBody>, Unanswered> {
    let has_body = !request.body().is_end_stream();
    let notes = connection.notes.clone();
    let mut sent = pin!(connection.requests.try_send_request(request));
    let mut connection = Some(connection);
    let mut begun = false;
    let sent = poll_fn(|cx| {
        // The first poll writes the request, and can find no answer. Each later poll of the task looks first without
        // its waker: see `HttpConnection::poll_unheard`. Nothing is lost in between: the second poll looks again.
        let polls = if mem::replace(&mut begun, true) { &[false, true][..] } else { &[true] };
        for &heard in polls {
            let ended = match &mut connection {
                Some(connection) if heard => connection.poll(cx),
                Some(connection) => connection.poll_unheard(),
                None => Poll::Pending,
            };
            if ended.is_ready() {
                // Its drop tells the request how it ended.
                connection = None;
            }
            if let Poll::Ready(sent) = sent.as_mut().poll(&mut unheard()) {
                return Poll::Ready(sent);
            }
        }
        Poll::Pending
    })
    .await;
    match sent {
        Ok(answer) => Ok(answer.map(|incoming| receive(incoming, connection, body_end, pool))),
        Err(mut error) => {
            let unsent = error.take_message().map(Box::new);
            Err(Unanswered { error: failure::of_try(error.into_error(), &notes, has_body), unsent })
        }
    }
}

/// The body of an answer whose head has come over `connection`; `None` if the connection has ended.
fn receive(
    incoming: Incoming,
    connection: Option<HttpConnection>,
    body_end: &BodyEnd,
    pool: &Arc<ConnectionPool>,
) -> UpstreamBody {
    match connection {
        Some(connection) if connection.is_idle() => pool.put(connection),
        Some(connection) if body_end.is_reached() => {
            return UpstreamBody::over(connection, Arc::clone(pool), incoming);
        }
        // The server answers while it still reads. The upload must not wait for the reader of the answer: a client may
        // read nothing before it has sent everything. So this connection needs a task of its own.
        Some(connection) => drop(tokio::spawn(finish(connection, Arc::clone(pool)))),
        None => {}
    }
    UpstreamBody::apart(incoming)
}

/// Drives a connection to the end of its exchange.
async fn finish(mut connection: HttpConnection, pool: Arc<ConnectionPool>) {
    let ended = poll_fn(|cx| match connection.poll(cx) {
        Poll::Pending if connection.is_idle() => Poll::Ready(false),
        polled => polled.map(|()| true),
    });
    if !ended.await {
        pool.put(connection);
    }
}
