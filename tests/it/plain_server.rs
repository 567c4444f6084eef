//! A plain HTTP server inside the test's process, for services behind `urls`.

use bytes::Bytes;
use futures_util::StreamExt;
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

/// A bound port that does not listen, so it refuses every connection. No other process can get the port, so it stays
/// dead until it listens.
pub struct DeadAddress(TcpSocket);

impl DeadAddress {
    /// Binds a port that the operating system picks.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    /// The address of the port.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Makes the port listen.
    pub fn listen(self) -> TcpListener {
        self.0.listen(64).unwrap()
    }
}

/// A running server. The server and its connections end when this is dropped.
///
/// `/echo` streams the request's body back. `/status/CODE` answers with that status. `/large/N` answers with N bytes.
/// `/text/N` answers with a text of N bytes, and with the fields in its query. `/drip` sends a line and is silent then.
/// `/own-cors` answers with a CORS field of its own. `/moved` redirects to `/users/7`. `/broken` breaks off within its
/// body. Any other path answers with what the server saw of the request, as JSON. All this holds only while its
/// [`Behaviour`] is `Works`. `/healthz` is answered whatever the behaviour, and is counted apart.
pub struct PlainServer {
    pub address: SocketAddr,
    state: Arc<ServerState>,
    task: JoinHandle<()>,
}

/// What the server does with its requests.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// It answers as the request's path says.
    Works,
    /// It answers as the path says, after this delay.
    Slow(Duration),
    /// It answers each request with this status.
    Status(u16),
    /// It answers each request with this status and so many seconds in `Retry-After`.
    RetryAfter(u16, u32),
    /// It reads each request to its end, and then breaks the connection.
    ResetsAfterRequest,
    /// It breaks the connection as soon as it has the head of a request.
    ResetsAfterHead,
    /// It does not answer until its behaviour changes, and then continues with the new one.
    Silent,
}

/// What the server does, and what it has counted.
struct ServerState {
    name: &'static str,
    behaviour: watch::Sender<Behaviour>,
    health: AtomicU16,
    connections: AtomicUsize,
    requests: AtomicUsize,
    checks: AtomicUsize,
    seen: Mutex<Vec<Value>>,
}

impl PlainServer {
    /// Starts a server with this name on a port that the operating system picks.
    pub async fn start(name: &'static str) -> Self {
        Self::serve(name, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Starts a server with this name on `listener`.
    pub fn serve(name: &'static str, listener: TcpListener) -> Self {
        Self::serve_by(name, listener, None)
    }

    /// The same, by TLS if there is an acceptor.
    pub fn serve_by(name: &'static str, listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(ServerState {
            name,
            behaviour: watch::Sender::new(Behaviour::Works),
            health: AtomicU16::new(200),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Changes the behaviour, also for requests that wait for an answer.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.behaviour.send_replace(behaviour);
    }

    /// Sets the status with which the server answers `/healthz`.
    pub fn health(&self, status: u16) {
        self.state.health.store(status, Ordering::Relaxed);
    }

    /// How many connections the server has accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many requests the server has got, without those for `/healthz`.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// How many requests for `/healthz` the server has got.
    pub fn checks(&self) -> usize {
        self.state.checks.load(Ordering::Relaxed)
    }

    /// The requests that the server has read to their end, in order, as JSON.
    pub fn seen(&self) -> Vec<Value> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<ServerState>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, tls) = (Arc::clone(&state), tls.clone());
        connections.spawn(async move {
            match tls {
                None => converse(stream, state).await,
                // A client that does not trust the certificate closes the connection.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<ServerState>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { take(&state, request).await }
    });
    // Some tests break connections on purpose, so an error here is expected.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Handles one request by the current behaviour. An error breaks the connection.
async fn take(state: &ServerState, request: Request<Incoming>) -> Result<Answer, io::Error> {
    if request.uri().path() == "/healthz" {
        state.checks.fetch_add(1, Ordering::Relaxed);
        let status = state.health.load(Ordering::Relaxed);
        return Ok(Response::builder().status(status).body(whole("")).unwrap());
    }
    state.requests.fetch_add(1, Ordering::Relaxed);
    let mut behaviour = state.behaviour.subscribe();
    loop {
        let now = behaviour.borrow_and_update().clone();
        let status = match now {
            Behaviour::Silent => {
                behaviour.changed().await.map_err(io::Error::other)?;
                continue;
            }
            Behaviour::ResetsAfterHead => return Err(io::Error::other("the test demands this")),
            Behaviour::Works => return answer(state, request).await,
            Behaviour::Slow(time) => {
                tokio::time::sleep(time).await;
                return answer(state, request).await;
            }
            Behaviour::ResetsAfterRequest => {
                record(state, request).await?;
                return Err(io::Error::other("the test demands this"));
            }
            Behaviour::Status(status) => Response::builder().status(status),
            Behaviour::RetryAfter(status, seconds) => Response::builder().status(status).header("retry-after", seconds),
        };
        record(state, request).await?;
        return Ok(status.body(whole("the test demands this")).unwrap());
    }
}

async fn answer(state: &ServerState, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let path = request.uri().path().to_owned();
    if path == "/echo" {
        return Ok(Response::new(request.into_body().map_err(io::Error::other).boxed()));
    }
    let head = request_head(&request);
    let seen = record(state, request).await?;
    if let Some(status) = path.strip_prefix("/status/") {
        return Ok(Response::builder().status(status).body(whole("the test demands this")).unwrap());
    }
    if let Some(length) = path.strip_prefix("/large/") {
        return Ok(Response::new(whole(vec![b'x'; length.parse().unwrap()])));
    }
    if let Some(length) = path.strip_prefix("/text/") {
        return Ok(text(&head, length.parse().unwrap()));
    }
    if path == "/drip" {
        let pieces = futures_util::stream::once(async { Ok(Frame::data(Bytes::from_static(b"a line\n"))) });
        let body = BodyExt::boxed(StreamBody::new(Box::pin(pieces.chain(futures_util::stream::pending()))));
        return Ok(Response::builder().header("content-type", "text/plain").body(body).unwrap());
    }
    if path == "/own-cors" {
        let answer = Response::builder().header("access-control-allow-origin", "https://the-service.example");
        return Ok(answer.body(whole("")).unwrap());
    }
    if path == "/moved" {
        return Ok(Response::builder().status(301).header("location", "/users/7?from=moved").body(whole("")).unwrap());
    }
    if path == "/broken" {
        // The error comes one yield later than the bytes, so that the head of the answer is sent before the break.
        let pieces = futures_util::stream::unfold(0, async |piece| match piece {
            0 => Some((Ok(Frame::data(Bytes::from_static(b"ten bytes."))), 1)),
            1 => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("the test demands this")), 2))
            }
            _ => None,
        });
        let body = BodyExt::boxed(StreamBody::new(Box::pin(pieces)));
        let answer = Response::builder().header("content-length", "100").header("content-type", "text/plain");
        return Ok(answer.body(body).unwrap());
    }
    let method = seen["method"].as_str().unwrap();
    Ok(Response::builder().header("x-method", method).body(whole(seen.to_string())).unwrap())
}

/// The head of a request, without its body.
fn request_head(request: &Request<Incoming>) -> Request<()> {
    let mut head = Request::new(());
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}

/// A text of so many bytes with an entity tag, or 304. Each `name=value` of the query is a field.
fn text(request: &Request<()>, length: usize) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let mut answer = Response::builder().header("etag", "\"v1\"");
    if !query.contains("content-type=") {
        answer = answer.header("content-type", "text/plain");
    }
    for (name, value) in query.split('&').filter_map(|field| field.split_once('=')) {
        answer = answer.header(name, value.replace("%20", " "));
    }
    let known = request.headers().get("if-none-match").is_some_and(|tags| tags.to_str().unwrap().contains("\"v1\""));
    if known {
        return answer.status(304).body(whole("")).unwrap();
    }
    let words = "a text that comes again and again ";
    answer.body(whole(words.repeat(length / words.len() + 1)[..length].to_owned())).unwrap()
}

/// Reads a request to its end, and records it.
async fn record(state: &ServerState, request: Request<Incoming>) -> Result<Value, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?;
    let trailers = body.trailers().map(fields);
    let seen = json!({
        "name": state.name,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": fields(&head.headers),
        "body": String::from_utf8_lossy(&body.to_bytes()),
        "trailers": trailers,
    });
    state.seen.lock().unwrap().push(seen.clone());
    Ok(seen)
}

/// The fields of a section as JSON.
fn fields(fields: &http::HeaderMap) -> Value {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), Value::from(value.to_str().unwrap()))
    };
    fields.iter().map(field).collect::<serde_json::Map<_, _>>().into()
}

fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::from(text.into()).map_err(|never| match never {}).boxed()
}
