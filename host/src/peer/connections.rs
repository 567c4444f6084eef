//! The connections to one node. Each carries many calls at a time.
//!
//! There are several, so that one lost packet does not hold up all calls, and so that the end of one connection is not
//! the end of every call.

use super::heard_stream::HeardStream;
use super::peer_error::{PeerError, explain};
use super::peer_tls::PeerTls;
use crate::base::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex as TurnMutex;
use tokio::time::timeout;

/// The fewest connections that are kept to a node that is called by several at a time, and the most.
const FEWEST: usize = 2;
const MOST: usize = 4;
/// The calls on each connection before there is another one, and the most on each. The listener of a node admits as
/// many streams.
const ENOUGH: usize = 64;
pub(super) const STREAMS: usize = 256;
/// The longest wait for a connection, with its handshake: nodes of a cluster answer in milliseconds, and one lost
/// packet costs a second.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// How often a node is asked whether it is still there, and how long it may take to say so. A node that vanished is
/// found after both at the latest.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(2);
/// Windows of a stream and of a connection: how much of an answer is in memory before its reader reads it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// The most bytes of one call that wait for the other node's windows.
const SEND_BUFFER: usize = 256 * 1024;
/// The longest header section of an answer.
const HEADER_LIST: u32 = 256 * 1024;

/// The connections to one node.
pub(super) struct PeerConnections {
    /// The node's name, which its certificate must be for.
    node: String,
    /// Host and port.
    address: String,
    tls: PeerTls,
    open: Mutex<Vec<PeerConnection>>,
    /// Held by whoever opens a connection.
    opening: TurnMutex<()>,
    /// Is told whether the node was reached, each time that a connection was tried.
    told: ReachNotice,
}

/// Is told whether a node was reached.
pub type ReachNotice = Box<dyn Fn(bool) + Send + Sync>;

/// One connection.
struct PeerConnection {
    sender: SendRequest<Body>,
    /// One reference more than there are calls on it.
    calls: Arc<()>,
}

/// The right to send one call on a connection, until this is dropped.
pub(super) struct CallSlot {
    pub(super) sender: SendRequest<Body>,
    _call: Arc<()>,
}

/// What the connections that are open have for one more call.
enum CallRoom {
    /// A place; and whether there should be more connections.
    Place(CallSlot, bool),
    /// There is no connection, or all have enough calls.
    None,
    /// All have as many calls as they may have.
    Full,
}

impl PeerConnection {
    fn load(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }
}

impl PeerConnections {
    pub(super) fn new(node: String, address: String, tls: PeerTls, told: ReachNotice) -> Arc<Self> {
        Arc::new(Self { node, address, tls, open: Mutex::default(), opening: TurnMutex::default(), told })
    }

    /// A place on the connection with the fewest calls. If there should be one more, it is opened meanwhile; only the
    /// first call waits for it.
    pub(super) async fn slot(self: &Arc<Self>) -> Result<CallSlot, PeerError> {
        match self.room() {
            CallRoom::Place(slot, more) => {
                if more && self.opening.try_lock().is_ok() {
                    let own = Arc::clone(self);
                    tokio::spawn(async move {
                        // Why it failed is told to a call that needs it.
                        let _ = own.open_if(|own| matches!(own.room(), CallRoom::Place(_, true))).await;
                    });
                }
                Ok(slot)
            }
            CallRoom::Full => Err(self.full()),
            CallRoom::None => {
                self.open_if(|own| matches!(own.room(), CallRoom::None)).await?;
                match self.room() {
                    CallRoom::Place(slot, _) => Ok(slot),
                    CallRoom::None | CallRoom::Full => Err(self.full()),
                }
            }
        }
    }

    fn full(&self) -> PeerError {
        let most = MOST * STREAMS;
        PeerError::not_sent(format!("node `{}` has as many calls of this node as it may have: {most}", self.node))
    }

    fn room(&self) -> CallRoom {
        let mut open = self.lock();
        open.retain(|connection| !connection.sender.is_closed());
        let Some(least) = open.iter().min_by_key(|connection| connection.load()) else { return CallRoom::None };
        let load = least.load();
        if load >= STREAMS {
            return if open.len() < MOST { CallRoom::None } else { CallRoom::Full };
        }
        let more = (open.len() < FEWEST && load > 0) || (open.len() < MOST && load >= ENOUGH);
        CallRoom::Place(CallSlot { sender: least.sender.clone(), _call: Arc::clone(&least.calls) }, more)
    }

    /// Opens a connection, if one is still `wanted` when it is this call's turn.
    async fn open_if(&self, wanted: impl Fn(&Self) -> bool) -> Result<(), PeerError> {
        let _turn = self.opening.lock().await;
        if !wanted(self) {
            return Ok(());
        }
        let opened = timeout(CONNECT, self.connect()).await;
        let opened = opened.unwrap_or_else(|_| Err(self.unreachable(format!("no connection within {CONNECT:?}"))));
        (self.told)(opened.is_ok());
        let sender = opened?;
        self.lock().push(PeerConnection { sender, calls: Arc::new(()) });
        Ok(())
    }

    /// Tries whether the node is there: by a connection of its own, since one that is open may be to nobody any more.
    pub(super) async fn probe(&self) {
        let reached = timeout(CONNECT, self.connect()).await.is_ok_and(|opened| opened.is_ok());
        (self.told)(reached);
    }

    async fn connect(&self) -> Result<SendRequest<Body>, PeerError> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| self.unreachable(explain(&error)))?;
        // Without it a small call would wait until the node has acknowledged the one before. If it cannot be set, the
        // connection still works.
        let _ = stream.set_nodelay(true);
        let stream = self.tls.secure(&self.node, stream).await;
        let stream = stream.map_err(|error| self.unreachable(format!("no TLS: {}", explain(&error))))?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        let (stream, heard) = HeardStream::new(stream);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, task) = handshake.map_err(|error| self.unreachable(explain(&error)))?;
        // It ends with the last sender, or with the node.
        let task = tokio::spawn(task);
        // TLS 1.3 lets this end begin before the other one has looked at its certificate. The other end's first
        // SETTINGS say that it was accepted. Without this wait a refusal would come in place of a call's answer: in
        // doubt.
        if heard.await.is_ok() {
            return Ok(sender);
        }
        let why = match task.await {
            Ok(Err(error)) => explain(&error),
            _ => "it closed the connection".to_owned(),
        };
        Err(self.unreachable(why))
    }

    fn unreachable(&self, why: String) -> PeerError {
        PeerError::not_sent(format!("node `{}` at {}: {why}", self.node, self.address))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PeerConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
