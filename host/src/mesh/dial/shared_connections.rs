//! The connections to an address that speaks HTTP/2. Each carries many requests at a time.

use super::connector::{Connector, DialError};
use crate::base::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How many requests a connection gets before there is another one. RFC 9113, section 6.5.2, advises servers to allow
/// no fewer than 100 streams; one that allows fewer lets the rest wait.
const STREAMS: usize = 100;
/// Windows of a stream and of a connection: how much of an answer is in memory before its reader reads it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// The most bytes of one request's body that wait for the server's windows.
const SEND_BUFFER: usize = 64 * 1024;
/// The longest header section of an answer; over HTTP/1 it has as many bytes.
const HEADER_LIST: u32 = 64 * 1024;
/// How often a server is asked whether it is still there while it owes an answer, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Why there is no connection that takes a request. None was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SharedConnectionError {
    #[error(transparent)]
    Dial(DialError),
    #[error("the server does not begin to speak HTTP/2")]
    Handshake(#[source] hyper::Error),
}

/// The connections to one address.
#[derive(Default)]
pub(super) struct SharedConnections(Mutex<Vec<SharedConnection>>);

/// One connection.
struct SharedConnection {
    sender: SendRequest<Body>,
    /// One reference more than there are requests on it.
    requests: Arc<()>,
}

/// The right to send one request on a connection, until this is dropped.
pub(super) struct RequestSlot {
    pub(super) sender: SendRequest<Body>,
    _request: Arc<()>,
}

impl SharedConnections {
    /// The most used connection that has room, so that those of a burst run empty; or a new one if none has. One that
    /// is unused is kept.
    pub(super) async fn slot(&self, connector: &Connector) -> Result<RequestSlot, SharedConnectionError> {
        // Whoever waits here waits for a connection that is being made, and for no longer than one may take.
        let mut connections = self.0.lock().await;
        let mut unused = 0;
        connections.retain(|connection| {
            unused += usize::from(Arc::strong_count(&connection.requests) == 1);
            !connection.sender.is_closed() && (unused <= 1 || Arc::strong_count(&connection.requests) > 1)
        });
        let used = |connection: &&SharedConnection| Arc::strong_count(&connection.requests);
        let with_room = connections.iter().filter(|connection| used(connection) <= STREAMS);
        if let Some(connection) = with_room.max_by_key(used) {
            return Ok(connection.slot());
        }
        let stream = connector.connect().await.map_err(SharedConnectionError::Dial)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, task) = handshake.map_err(SharedConnectionError::Handshake)?;
        // It ends with the last sender, or with the server.
        tokio::spawn(task);
        let connection = SharedConnection { sender, requests: Arc::new(()) };
        let slot = connection.slot();
        connections.push(connection);
        Ok(slot)
    }
}

impl SharedConnection {
    fn slot(&self) -> RequestSlot {
        RequestSlot { sender: self.sender.clone(), _request: Arc::clone(&self.requests) }
    }
}
