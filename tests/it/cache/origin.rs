//! A plain HTTP server whose answers a test writes, for routes with a cache.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What a test answers: status, fields, content.
pub type Script = (u16, Vec<(&'static str, String)>, String);

/// A server that answers as a function of the request and of the number of requests before it.
pub struct Origin {
    pub address: SocketAddr,
    state: Arc<OriginState>,
    task: JoinHandle<()>,
}

/// Writes the answer to a request that so many have preceded.
type Answering = Box<dyn Fn(&Parts, usize) -> Script + Send + Sync>;

struct OriginState {
    answer: Answering,
    seen: Mutex<Vec<(String, HeaderMap)>>,
    /// While it is false, requests wait.
    open: watch::Sender<bool>,
}

impl Origin {
    pub async fn start(answer: impl Fn(&Parts, usize) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, open) = (Box::new(answer) as Answering, watch::Sender::new(true));
        let state = Arc::new(OriginState { answer, seen: Mutex::default(), open });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// The method and path, and the headers, of each request.
    pub fn seen(&self) -> Vec<(String, HeaderMap)> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Lets requests wait, or lets them go on.
    pub fn open(&self, open: bool) {
        self.state.open.send_replace(open);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<OriginState>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(state: Arc<OriginState>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, _) = request.into_parts();
    let before = {
        let mut seen = state.seen.lock().unwrap();
        seen.push((format!("{} {}", head.method, head.uri), head.headers.clone()));
        seen.len() - 1
    };
    state.open.subscribe().wait_for(|open| *open).await.unwrap();
    let (status, fields, content) = (state.answer)(&head, before);
    let answer =
        fields.into_iter().fold(Response::builder().status(status), |answer, (name, value)| answer.header(name, value));
    Ok(answer.body(Full::from(content)).unwrap())
}
