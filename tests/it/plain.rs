//! A service that is no component: a plain HTTP server inside the test, for `urls`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

type Answer = Response<BoxBody<Bytes, io::Error>>;

/// A port that is taken and refuses every connection. Nobody else can get it, so it stays dead until it listens.
pub struct Dead(TcpSocket);

impl Dead {
    /// A port that the system picks.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// From now on it takes connections.
    pub fn rise(self) -> TcpListener {
        self.0.listen(64).unwrap()
    }
}

/// A running service. It ends, with its connections, when this is dropped.
///
/// `/echo` streams the request's body back, `/status/CODE` answers with that status, `/large/N` with N bytes, `/moved` points to
/// `/users/7`, `/broken` breaks off within its body; any other path answers with what the service saw of the request, as JSON. All that
/// only while its [`Manner`] is to work. `/healthz` is answered whatever the manner, and counts apart.
pub struct Plain {
    pub address: SocketAddr,
    acts: Arc<Acts>,
    task: JoinHandle<()>,
}

/// How a service takes its requests.
#[derive(Debug, Clone)]
pub enum Manner {
    /// As their paths say.
    Works,
    /// It works, but no faster than this.
    Slow(Duration),
    /// Each gets this status.
    Status(u16),
    /// Each gets this status, with so many seconds in `Retry-After`.
    Later(u16, u32),
    /// It reads each whole, and then breaks the connection.
    Resets,
    /// It breaks the connection as soon as it has the head.
    Slams,
    /// It says nothing until its manner changes, and goes on with the new one then.
    Holds,
}

/// What one service does, and what it was asked.
struct Acts {
    name: &'static str,
    manner: watch::Sender<Manner>,
    health: AtomicU16,
    connections: AtomicUsize,
    requests: AtomicUsize,
    checks: AtomicUsize,
    seen: Mutex<Vec<Value>>,
}

impl Plain {
    /// A service with this name on a port that the system picks.
    pub async fn start(name: &'static str) -> Self {
        Self::serve(name, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A service with this name on `listener`.
    pub fn serve(name: &'static str, listener: TcpListener) -> Self {
        Self::serve_by(name, listener, None)
    }

    /// The same by TLS, where there is an acceptor.
    pub fn serve_by(name: &'static str, listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().unwrap();
        let acts = Arc::new(Acts {
            name,
            manner: watch::Sender::new(Manner::Works),
            health: AtomicU16::new(200),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&acts)));
        Self { address, acts, task }
    }

    /// From now on it takes its requests so, those that it holds too.
    pub fn behave(&self, manner: Manner) {
        self.acts.manner.send_replace(manner);
    }

    /// From now on it answers `/healthz` with this status.
    pub fn health(&self, status: u16) {
        self.acts.health.store(status, Ordering::Relaxed);
    }

    /// Connections that it took so far.
    pub fn connections(&self) -> usize {
        self.acts.connections.load(Ordering::Relaxed)
    }

    /// Requests that it got so far, but for those for `/healthz`.
    pub fn requests(&self) -> usize {
        self.acts.requests.load(Ordering::Relaxed)
    }

    /// How often it was asked for `/healthz`.
    pub fn checks(&self) -> usize {
        self.acts.checks.load(Ordering::Relaxed)
    }

    /// What it saw of the requests that it read whole, in their order.
    pub fn seen(&self) -> Vec<Value> {
        self.acts.seen.lock().unwrap().clone()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, acts: Arc<Acts>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        acts.connections.fetch_add(1, Ordering::Relaxed);
        let (acts, tls) = (Arc::clone(&acts), tls.clone());
        connections.spawn(async move {
            match tls {
                None => converse(stream, acts).await,
                // Whoever does not trust the certificate goes away.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, acts).await;
                    }
                }
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, acts: Arc<Acts>) {
    let service = service_fn(move |request| {
        let acts = Arc::clone(&acts);
        async move { take(&acts, request).await }
    });
    // A connection that breaks off is what some tests are about.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// One request, in the manner of the moment. An error breaks the connection.
async fn take(acts: &Acts, request: Request<Incoming>) -> Result<Answer, io::Error> {
    if request.uri().path() == "/healthz" {
        acts.checks.fetch_add(1, Ordering::Relaxed);
        let status = acts.health.load(Ordering::Relaxed);
        return Ok(Response::builder().status(status).body(whole("")).unwrap());
    }
    acts.requests.fetch_add(1, Ordering::Relaxed);
    let mut manner = acts.manner.subscribe();
    loop {
        let now = manner.borrow_and_update().clone();
        let status = match now {
            Manner::Holds => {
                manner.changed().await.map_err(io::Error::other)?;
                continue;
            }
            Manner::Slams => return Err(io::Error::other("as asked")),
            Manner::Works => return answer(acts, request).await,
            Manner::Slow(time) => {
                tokio::time::sleep(time).await;
                return answer(acts, request).await;
            }
            Manner::Resets => {
                record(acts, request).await?;
                return Err(io::Error::other("as asked"));
            }
            Manner::Status(status) => Response::builder().status(status),
            Manner::Later(status, seconds) => Response::builder().status(status).header("retry-after", seconds),
        };
        record(acts, request).await?;
        return Ok(status.body(whole("as asked")).unwrap());
    }
}

async fn answer(acts: &Acts, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let path = request.uri().path().to_owned();
    if path == "/echo" {
        return Ok(Response::new(request.into_body().map_err(io::Error::other).boxed()));
    }
    let seen = record(acts, request).await?;
    if let Some(status) = path.strip_prefix("/status/") {
        return Ok(Response::builder().status(status).body(whole("as asked")).unwrap());
    }
    if let Some(length) = path.strip_prefix("/large/") {
        return Ok(Response::new(whole(vec![b'x'; length.parse().unwrap()])));
    }
    if path == "/moved" {
        return Ok(Response::builder().status(301).header("location", "/users/7?from=moved").body(whole("")).unwrap());
    }
    if path == "/broken" {
        // The break waits for a turn of the runtime, so that the head is on its way before it.
        let pieces = futures_util::stream::unfold(0, async |piece| match piece {
            0 => Some((Ok(Frame::data(Bytes::from_static(b"ten bytes."))), 1)),
            1 => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("as asked")), 2))
            }
            _ => None,
        });
        let body = BodyExt::boxed(StreamBody::new(Box::pin(pieces)));
        return Ok(Response::builder().header("content-length", "100").body(body).unwrap());
    }
    let method = seen["method"].as_str().unwrap();
    Ok(Response::builder().header("x-method", method).body(whole(seen.to_string())).unwrap())
}

/// Reads a request whole, and notes what it is.
async fn record(acts: &Acts, request: Request<Incoming>) -> Result<Value, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header =
        |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.to_string(), value.to_str().unwrap().into());
    let seen = json!({
        "name": acts.name,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": head.headers.iter().map(header).collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8_lossy(&body),
    });
    acts.seen.lock().unwrap().push(seen.clone());
    Ok(seen)
}

fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::from(text.into()).map_err(|never| match never {}).boxed()
}
