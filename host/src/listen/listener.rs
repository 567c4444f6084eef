//! The listening socket and its accept loop.

use super::connection::{protocol, serve};
use super::{Drain, Settings};
use crate::base::Body;
use http::{Request, Response};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

/// How long accepting pauses when the host has no file descriptor or no memory for a connection: long enough not to spin, short enough
/// that nobody notices once there is one again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address that the connection comes from.
    pub addr: SocketAddr,
}

/// A bound socket that connections wait at.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    settings: Arc<Settings>,
    permits: Arc<Semaphore>,
}

impl Listener {
    /// Binds the address of `settings`.
    ///
    /// # Errors
    /// Whatever the system says, with the address in front.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        let address = settings.address;
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        let permits = Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { socket, settings: Arc::new(settings), permits })
    }

    /// The address that it listens on, with the real port where 0 was asked for.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves every connection with `service` until `drain` starts; then refuses new connections, lets those in flight finish, and drops
    /// what is left at the deadline. Returns the number of connections that were cut off.
    ///
    /// When a peer goes away, the future of its request is dropped.
    pub async fn serve<S, F>(self, service: S, drain: Drain) -> usize
    where
        S: Fn(Request<Body>, Peer) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let protocol = protocol(&self.settings);
        let mut connections = JoinSet::new();
        let mut draining = false;
        loop {
            let (stream, addr, permit) = tokio::select! {
                biased;
                () = drain.started(), if !draining => {
                    draining = true;
                    continue;
                }
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = self.accept() => accepted,
                // Those that the kernel accepted before the drain have been promised an answer: closing would reset them.
                () = std::future::ready(()), if draining => break,
            };
            let (service, protocol, settings) = (service.clone(), protocol.clone(), self.settings.clone());
            let drain = drain.clone();
            connections.spawn(async move {
                serve(stream, Peer { addr }, service, protocol, settings, drain).await;
                drop(permit);
            });
        }
        // From here on the kernel refuses connections.
        drop(self.socket);
        tokio::select! {
            () = drain.expired() => {}
            () = async { while let Some(ended) = connections.join_next().await { report(ended) } } => {}
        }
        // Those that ended in this very moment were not cut off.
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        let cut_off = connections.len();
        connections.shutdown().await;
        cut_off
    }

    /// The next connection, once there may be one more. Cancel safe: what it has not returned stays in the kernel's backlog.
    async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.socket.accept().await {
                Ok((stream, addr)) => {
                    // Heads and chunks are written whole; waiting to fill a packet would only add a delay.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(peer = %addr, %error, "no TCP_NODELAY on a connection");
                    }
                    return (stream, addr, permit);
                }
                // The peer was gone before we came to it.
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
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// A panic ends the one connection that it happened on, and is a bug.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
