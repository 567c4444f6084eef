//! A service that is no component: a plain HTTP server inside the test, for `urls`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

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
/// `/echo` streams the request's body back, `/status/CODE` answers with that status, `/moved` points to `/users/7`, `/broken`
/// breaks off within its body; any other path answers with what the service saw of the request, as JSON.
pub struct Plain {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Plain {
    /// A service with this name on a port that the system picks.
    pub async fn start(name: &'static str) -> Self {
        Self::serve(name, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A service with this name on `listener`.
    pub fn serve(name: &'static str, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(accept(name, listener, Arc::clone(&counts)));
        Self { address, counts, task }
    }

    /// Connections that it took so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Requests that it answered so far.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(name: &'static str, listener: TcpListener, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| {
            counts.requests.fetch_add(1, Ordering::Relaxed);
            answer(name, request)
        });
        connections.spawn(async move {
            // A connection that breaks off is what some tests are about.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(name: &str, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if path == "/echo" {
        return Ok(Response::new(body.map_err(io::Error::other).boxed()));
    }
    let body = body.collect().await?.to_bytes();
    if let Some(status) = path.strip_prefix("/status/") {
        return Ok(Response::builder().status(status).body(whole("as asked")).unwrap());
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
    let header =
        |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.to_string(), value.to_str().unwrap().into());
    let seen = json!({
        "name": name,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": head.headers.iter().map(header).collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8_lossy(&body),
    });
    Ok(Response::builder().header("x-method", head.method.as_str()).body(whole(seen.to_string())).unwrap())
}

fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::from(text.into()).map_err(|never| match never {}).boxed()
}
