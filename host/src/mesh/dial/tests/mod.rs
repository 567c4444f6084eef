//! The client against sockets of this machine: what goes over the wire, and the kind of each failure.

mod checked;
mod plain;
mod pooled;
mod secure;

use super::client::HttpClient;
use super::dial::Dial;
use crate::base::{Body, BodyError, CallContext, ErrorKind, RequestId, empty_body};
use crate::mesh::error::TryError;
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// What a server does after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Keep,
    Close,
}

/// A server that gives one answer to every request.
struct Server {
    address: SocketAddr,
    /// The head of each request, with the number of its connection.
    heads: mpsc::Receiver<(usize, String)>,
}

impl Server {
    async fn start(answer: &'static str, then: Then, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = mpsc::channel(16);
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (tls, sender) = (tls.clone(), sender.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, number, answer, then, sender).await,
                        Some(tls) => {
                            // A client that does not trust the certificate breaks off the handshake.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, number, answer, then, sender).await;
                        }
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// The next request's connection and head.
    async fn head(&mut self) -> (usize, String) {
        self.heads.recv().await.unwrap()
    }
}

async fn serve<S>(mut stream: S, number: usize, answer: &str, then: Then, heads: mpsc::Sender<(usize, String)>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        heads.send((number, String::from_utf8(head).unwrap())).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if then == Then::Close {
            return;
        }
    }
}

/// An address of this machine at which nobody listens; nobody else can bind it while the socket is held.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// With a timeout that is long enough for a busy machine.
fn dial() -> Dial {
    Dial { connect: Duration::from_secs(10), tls: None, http2: false }
}

fn context(timeout: Duration) -> CallContext {
    CallContext::new(RequestId::accept("r-1").unwrap(), Instant::now(), timeout)
}

/// A context with a deadline that no answer of these tests misses.
fn long_deadline() -> CallContext {
    context(Duration::from_secs(30))
}

fn get(path: &str) -> http::Request<Body> {
    http::Request::get(path).body(empty_body()).unwrap()
}

async fn get_text(client: &HttpClient, path: &str) -> Result<String, TryError> {
    let answer = client.send(get(path), &long_deadline()).await?;
    assert_eq!(answer.status(), 200);
    text(answer).await.map_err(|error| TryError::new(error.kind, error.detail))
}

async fn text(answer: http::Response<Body>) -> Result<String, BodyError> {
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().into()).unwrap())
}

/// The value of the field `name` in a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn base(scheme: &str, host: &str, address: SocketAddr, path: &str) -> http::Uri {
    format!("{scheme}://{host}:{}{path}", address.port()).parse().unwrap()
}
