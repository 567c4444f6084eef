//! The listening sockets and their accept loop.

use super::address_counts::AddressCounts;
use super::answer_buffer::AnswerMemory;
use super::connection::{AcceptedConnection, protocol, serve};
use super::connection_permits::ConnectionPermits;
use super::drain::Drain;
use super::peer::Peer;
use super::server_tls::ServerTls;
use super::settings::Settings;
use super::unparsed_request::{UnparsedRequest, UnparsedRequestObserver};
use crate::base::Body;
use crate::telemetry::{Http2Refusals, ProxyRefusals};
use http::{Request, Response};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinError, JoinSet};

/// How long the accept loop pauses if the host has no file descriptor or no memory for a connection: long enough not to
/// spin, short enough that clients do not notice once there is one again.
const PAUSE: Duration = Duration::from_millis(100);

/// The length of the backlog that the host asks for: all that the kernel allows.
const BACKLOG: u32 = i32::MAX as u32;

/// One or two bound sockets, plain and by TLS, which accept connections once [`Self::serve`] runs. The bounds are those
/// of both together.
pub struct Listener {
    entrances: Vec<Entrance>,
    /// The entrance whose turn it is.
    turn: AtomicUsize,
    settings: Arc<Settings>,
    permits: Arc<ConnectionPermits>,
    /// `None`: an address may have any number of connections.
    addresses: Option<Arc<AddressCounts>>,
    memory: AnswerMemory,
    unparsed: Arc<UnparsedRequestObserver>,
    refusals: Option<Arc<ProxyRefusals>>,
    http2_refusals: Option<Arc<Http2Refusals>>,
}

/// One socket of a listener.
struct Entrance {
    socket: TcpListener,
    tls: Option<Arc<ServerTls>>,
}

/// A connection without a permit yet.
struct Arrival {
    stream: TcpStream,
    addr: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

impl Listener {
    /// Binds the address of `settings`.
    ///
    /// # Errors
    /// The error of the system, with the address before it.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        let entrances = vec![Entrance { socket: listen(settings.address)?, tls: None }];
        let permits = ConnectionPermits::new(settings.connections);
        let bounded = settings.per_address > 0;
        let addresses = bounded.then(|| AddressCounts::new(settings.per_address, settings.proxies.clone()));
        let memory = AnswerMemory::new(settings.answer_buffer, settings.answer_memory);
        let refusals = settings.proxy_protocol.is_some().then(Arc::default);
        let http2_refusals = settings.http2.is_some().then(Arc::default);
        let (turn, settings, unparsed) = (AtomicUsize::new(0), Arc::new(settings), Arc::new(|_| {}));
        Ok(Self { entrances, turn, settings, permits, addresses, memory, unparsed, refusals, http2_refusals })
    }

    /// All connections to the address of the settings have TLS.
    #[must_use]
    pub fn secured(mut self, tls: Arc<ServerTls>) -> Self {
        self.entrances[0].tls = Some(tls);
        self
    }

    /// Binds `address` as well. Its connections have TLS.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub async fn and_secure(mut self, address: SocketAddr, tls: Arc<ServerTls>) -> io::Result<Self> {
        self.entrances.push(Entrance { socket: listen(address)?, tls: Some(tls) });
        Ok(self)
    }

    /// Counts the connections that the PROXY protocol refuses; `None`: there is no such protocol.
    pub fn refusals(&self) -> Option<&Arc<ProxyRefusals>> {
        self.refusals.as_ref()
    }

    /// Counts the connections of HTTP/2 that end by the peer's fault; `None`: there is no HTTP/2.
    pub fn http2_refusals(&self) -> Option<&Arc<Http2Refusals>> {
        self.http2_refusals.as_ref()
    }

    /// Tells `unparsed` of everything that could not be parsed as a request, and that the service therefore does not
    /// learn of, once its answer was sent. It must not block.
    #[must_use]
    pub fn on_unparsed(self, unparsed: impl Fn(UnparsedRequest) + Send + Sync + 'static) -> Self {
        Self { unparsed: Arc::new(unparsed), ..self }
    }

    /// The address that it listens on: with the real port, if the settings had port 0.
    ///
    /// # Errors
    /// The error of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.entrances[0].socket.local_addr()
    }

    /// The address of [`Self::and_secure`], likewise. `None`: there is none.
    ///
    /// # Errors
    /// The error of the system.
    pub fn secure_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.entrances.get(1).map(|entrance| entrance.socket.local_addr()).transpose()
    }

    /// Serves every connection with `service` until `drain` starts. Then it refuses new connections, lets requests in
    /// flight finish, and cuts off what is left at the deadline. Returns the number of connections that were cut off.
    ///
    /// When a peer goes away, the future of its request is dropped: at once at a reset, and after
    /// `half_closed_timeout` if the peer closed its half of the connection.
    pub async fn serve<S, F>(self, service: S, drain: Drain) -> usize
    where
        S: Fn(Request<Body>, Peer) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let protocol = protocol(&self.settings);
        let mut connections = JoinSet::new();
        let mut draining = false;
        let mut without_permit = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.started(), if !draining => {
                    draining = true;
                    continue;
                }
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = self.accept(&mut without_permit) => accepted,
                // Last, so that connections which the kernel accepted before the drain are served first: closing the
                // socket would reset them.
                () = std::future::ready(()), if draining => break,
            };
            let (service, protocol, settings) = (service.clone(), protocol.clone(), self.settings.clone());
            let (memory, drain, unparsed) = (self.memory.clone(), drain.clone(), Arc::clone(&self.unparsed));
            connections.spawn(async move {
                serve(accepted, service, protocol, settings, memory, drain, &*unparsed).await;
            });
        }
        // From here on the kernel refuses connections.
        drop(self.entrances);
        tokio::select! {
            () = drain.expired() => {}
            () = async { while let Some(ended) = connections.join_next().await { report(ended) } } => {}
        }
        // Connections that have just ended by themselves do not count as cut off.
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        let cut_off = connections.len();
        connections.shutdown().await;
        cut_off
    }

    /// Accepts the next connection, and waits for its permit. Cancel safe: a connection that has no permit yet stays in
    /// `without_permit`. So one more connection than the bound is open, and the others wait in the kernel's backlog.
    async fn accept(&self, without_permit: &mut Option<Arrival>) -> AcceptedConnection {
        if without_permit.is_none() {
            *without_permit = Some(self.accept_one().await);
        }
        let permit = self.permits.take().await;
        let Arrival { stream, addr, tls } = without_permit.take().expect("it was put there above");
        let (refusals, http2_refusals) = (self.refusals.clone(), self.http2_refusals.clone());
        AcceptedConnection { stream, addr, tls, permit, refusals, http2_refusals, addresses: self.addresses.clone() }
    }

    async fn accept_one(&self) -> Arrival {
        loop {
            let (accepted, entrance) = self.next().await;
            match accepted {
                Ok((stream, addr)) => {
                    // Heads and chunks are written whole, so waiting to fill a packet would only add a delay.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(peer = %addr, %error, "cannot set TCP_NODELAY on a connection");
                    }
                    return Arrival { stream, addr, tls: entrance.tls.clone() };
                }
                // The peer went away before the connection was accepted.
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was lost before it was accepted");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The next connection, or an error, with its entrance. They take turns, so that neither waits while the other is
    /// flooded.
    async fn next(&self) -> (io::Result<(TcpStream, SocketAddr)>, &Entrance) {
        let first = self.turn.fetch_add(1, Relaxed);
        poll_fn(|context| {
            for turn in 0..self.entrances.len() {
                let entrance = &self.entrances[first.wrapping_add(turn) % self.entrances.len()];
                if let Poll::Ready(accepted) = entrance.socket.poll_accept(context) {
                    return Poll::Ready((accepted, entrance));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// A socket that listens. The kernel cuts the length of its backlog to `net.core.somaxconn`: a client whose connection
/// finds the backlog full tries again after a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As `TcpListener::bind` does: a host that starts again need not wait for old connections to be forgotten.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Whether an error of `accept` concerns only the connection that would have been accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Logs a panic of a connection's task. It ends that connection alone, and is a bug.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
