//! What the fakes of registries share: an HTTP server whose wire is given, and which can misbehave.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A question to a registry.
pub struct FakeQuestion {
    pub path: String,
    /// The parameters of the query, decoded as far as these tests need it.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
}

/// The answer to it.
pub struct FakeAnswer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: FakeBody,
}

pub enum FakeBody {
    Whole(String),
    /// It goes on until the sender is gone.
    Lines(mpsc::Receiver<String>),
}

/// The wire of one kind of registry.
pub trait FakeWire: Send + Sync + 'static {
    fn answer(&self, question: FakeQuestion) -> BoxFuture<'_, FakeAnswer>;
}

/// How a registry misbehaves.
#[derive(Debug, Clone, Copy)]
pub enum FakeManner {
    Good,
    Silent,
    /// A text that is no JSON.
    Garbage,
    /// JSON of another form.
    Foreign,
    /// An answer of 2.5 MiB.
    Endless,
    Status(u16),
}

/// A running fake. It ends when this is dropped, with all of its connections.
pub struct FakeRegistry<W> {
    pub address: SocketAddr,
    pub wire: Arc<W>,
    manner: Arc<Mutex<FakeManner>>,
    tls: Option<TlsAcceptor>,
    tasks: JoinSet<()>,
}

impl FakeQuestion {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl FakeAnswer {
    pub fn json(value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status: 200, headers, body: FakeBody::Whole(value.to_string()) }
    }

    pub fn status(status: u16, text: &str) -> Self {
        Self { status, headers: Vec::new(), body: FakeBody::Whole(text.to_owned()) }
    }
}

impl<W: FakeWire> FakeRegistry<W> {
    pub async fn start(wire: W) -> Self {
        Self::start_by(wire, None).await
    }

    pub async fn start_by(wire: W, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(Mutex::new(FakeManner::Good));
        let mut fake = Self { address, wire: Arc::new(wire), manner, tls, tasks: JoinSet::new() };
        fake.serve(listener);
        fake
    }

    pub fn behave(&self, manner: FakeManner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Ends the server and its connections; the registry keeps what it knows.
    pub async fn go_away(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Begins to serve again, at the same address.
    pub async fn come_back(&mut self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&mut self, listener: TcpListener) {
        let (wire, manner, tls) = (Arc::clone(&self.wire), Arc::clone(&self.manner), self.tls.clone());
        self.tasks.spawn(async move {
            // Its connections end with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (wire, manner, tls) = (Arc::clone(&wire), Arc::clone(&manner), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, wire, manner).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, wire, manner).await;
                            }
                        }
                    }
                });
            }
        });
    }
}

async fn connection<W: FakeWire>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    wire: Arc<W>,
    manner: Arc<Mutex<FakeManner>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (wire, manner) = (Arc::clone(&wire), *manner.lock().unwrap());
        async move { Ok::<_, Infallible>(answer(request, &*wire, manner).await) }
    });
    // A host that goes away breaks its connections.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer<W: FakeWire>(
    request: Request<Incoming>,
    wire: &W,
    manner: FakeManner,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    // The whole request comes before its answer.
    let _ = body.collect().await;
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.replace("%2F", "/").replace("%3D", "="))
    };
    let query = pairs.map(pair).collect();
    let path = head.uri.path().to_owned();
    let question = FakeQuestion { path, query, headers: head.headers };
    let answer = match manner {
        FakeManner::Good => wire.answer(question).await,
        FakeManner::Silent => pending().await,
        FakeManner::Garbage => FakeAnswer::status(200, "<html>s3cret</html>"),
        FakeManner::Foreign => FakeAnswer::status(200, "{\"s3cret\":[]}"),
        FakeManner::Endless => {
            let (lines, body) = mpsc::channel(1024);
            (0..40).for_each(|_| lines.try_send(" ".repeat(64 << 10)).unwrap());
            FakeAnswer { body: FakeBody::Lines(body), ..FakeAnswer::status(200, "") }
        }
        FakeManner::Status(status) => FakeAnswer::status(status, "no, s3cret"),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = match answer.body {
        FakeBody::Whole(text) => Full::new(Bytes::from(text)).boxed_unsync(),
        FakeBody::Lines(lines) => {
            let frames = stream::unfold(lines, async |mut lines| {
                let line = lines.recv().await?;
                Some((Ok(Frame::data(Bytes::from(line))), lines))
            });
            StreamBody::new(frames).boxed_unsync()
        }
    };
    response.body(body).unwrap()
}
