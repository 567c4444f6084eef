//! The sockets of lapin, which are ours: its own TLS would bring the ciphers of another library along.

use crate::broker::secure_socket::{Duplex, open};
use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use rustls::ClientConfig;
use std::convert::Infallible;
use std::future::ready;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// A connection to a server, which ends when the sender of `end` is dropped. lapin alone would keep the socket, and a
/// thread and 8 MiB for it, until the server answers.
pub(super) struct RabbitSocket {
    stream: Box<dyn Duplex>,
    /// `None`: it has ended.
    end: Option<oneshot::Receiver<Infallible>>,
}

impl RabbitSocket {
    /// Connects to `server`, `host:port`, as `settings` say.
    ///
    /// # Errors
    /// It cannot be reached, or does not prove who it is: then the inner error is one of rustls.
    pub(super) async fn open(
        server: &str,
        tls: Option<&Arc<ClientConfig>>,
        end: oneshot::Receiver<Infallible>,
    ) -> io::Result<Self> {
        Ok(Self { stream: open(server, tls).await?, end: Some(end) })
    }

    /// Whether it has ended. Nothing is ever sent: `end` is ready when the sender is gone, and must not be asked again.
    fn has_ended(&mut self) -> bool {
        let ended = self.end.as_mut().is_none_or(|end| matches!(end.try_recv(), Err(TryRecvError::Closed)));
        if ended {
            self.end = None;
        }
        ended
    }
}

impl AsyncRead for RabbitSocket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        // Somebody always waits to read: who reads is woken at the end.
        if self.end.as_mut().is_none_or(|end| Pin::new(end).poll(context).is_ready()) {
            self.end = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let mut to = ReadBuf::new(to);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.stream), context, &mut to);
        read.map_ok(|()| to.filled().len())
    }
}

impl AsyncWrite for RabbitSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if self.has_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.stream), context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.stream), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), context)
    }
}

/// What lapin asks of a runtime: that of this process, with our sockets.
#[derive(Clone, Debug)]
pub(super) struct RabbitKit(Tokio);

impl RabbitKit {
    /// The runtime in which it is called.
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }
}

impl RuntimeKit for RabbitKit {}

impl Executor for RabbitKit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for RabbitKit {
    type TcpStream = RabbitSocket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    /// Never asked: [`RabbitSocket::open`] makes each connection.
    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<RabbitSocket>> + Send + 'static {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
