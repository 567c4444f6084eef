//! The room over real sockets: a listener, the pipeline, and a mesh made of a closure.

use super::{Answerer, Call, CallFailure, Gateway, RouteTransforms, Settings, Target};
use crate::base::{Body, BodyError, CallContext, DeadlineOwner, ErrorKind, ServiceName, empty_body, full_body};
use crate::contract::BoundFunction;
use crate::contract::testing::SampleValue;
use crate::listen::wire_client::{WireAnswer, WireClient, within};
use crate::listen::{self, Drain, Listener};
use crate::route::{RoutingTable, Rule};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

type HttpOutcome = Result<Response<Body>, CallFailure>;

/// A mesh whose calls are answered by a closure.
struct FakeMesh<F>(F);

impl<F, A> Call for FakeMesh<F>
where
    F: Fn(ServiceName, Request<Body>, CallContext) -> A + Send + Sync + 'static,
    A: Future<Output = HttpOutcome> + Send,
{
    type Value = SampleValue;
    type Pinned = Arc<BoundFunction>;

    fn table_number(&self) -> u64 {
        0
    }

    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = HttpOutcome> + Send {
        (self.0)(service.clone(), request, context.clone())
    }

    fn pin(&self, service: &ServiceName, _: usize, _: &CallContext) -> Result<Arc<BoundFunction>, CallFailure> {
        unreachable!("no route of these tests calls a function of {service}")
    }

    async fn invoke(
        &self,
        function: &Arc<BoundFunction>,
        _: Vec<SampleValue>,
        _: &CallContext,
    ) -> Result<Option<SampleValue>, CallFailure> {
        unreachable!("no route of these tests leads to {}", function.name)
    }
}

fn routes() -> RoutingTable<Target> {
    let target = |service: &str| Target {
        answerer: Answerer::Service(ServiceName::new(service).expect("a name")),
        body_limit: 16,
        open_uploads: 8,
        timeout: Duration::from_millis(300),
        limits: None,
        typed: None,
        trailers: false,
        interim: false,
        websocket: None,
        access: None,
        addresses: None,
        cors: None,
        cache: None,
        left_out: None,
        transforms: RouteTransforms::default(),
    };
    let users = Rule::prefix("/api/users").and_then(|rule| rule.with_strip_prefix("/api"));
    let legacy = Rule::exact("/legacy/{id}").and_then(|rule| rule.with_rewrite("/users/{id}"));
    let orders = Rule::exact("/orders").and_then(|rule| rule.with_methods(&["GET", "POST"]));
    RoutingTable::new(vec![
        (users.expect("a rule"), target("users")),
        (legacy.expect("a rule"), target("legacy")),
        (orders.expect("a rule"), target("orders")),
    ])
}

/// Serves a gateway over `mesh`, and connects to it.
async fn gateway<F, A>(settings: Settings, mesh: F) -> SocketAddr
where
    F: Fn(ServiceName, Request<Body>, CallContext) -> A + Send + Sync + 'static,
    A: Future<Output = HttpOutcome> + Send + 'static,
{
    serve(Gateway::new(settings, Arc::new(routes()), Arc::new(FakeMesh(mesh)))).await
}

/// Answers with the depth of the call and the milliseconds until its deadline.
async fn clock(_: ServiceName, request: Request<Body>, context: CallContext) -> HttpOutcome {
    let forwarded = [CallContext::TIMEOUT_HEADER, CallContext::DEPTH_HEADER]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let left = context.deadline.saturating_duration_since(Instant::now()).as_millis();
    let left = u64::try_from(left).expect("minutes at most");
    Ok(Response::new(full_body(json!({ "depth": context.depth, "left": left, "forwarded": forwarded }).to_string())))
}

#[tokio::test]
async fn only_a_trusted_peer_sets_the_deadline_and_the_depth_of_a_call() {
    let loopback = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    for (trusted_proxies, depth, hurried) in [(loopback, 8, true), (Vec::new(), 0, false)] {
        let addr = gateway(Settings { trusted_proxies, ..Settings::default() }, clock).await;
        let request = "GET /orders HTTP/1.1\r\nHost: a\r\nX-Atoll-Timeout-Ms: 1\r\nX-Atoll-Depth: 7\r\n\r\n";
        let seen = json(&WireClient::connect(addr).await.request(request).await);
        assert_eq!((seen["depth"].as_u64(), seen["forwarded"].as_bool()), (Some(depth), Some(false)));
        assert_eq!(seen["left"].as_u64().map(|left| left <= 1), Some(hurried), "{seen}");
    }
}

/// Serves a gateway on a free port.
pub(super) async fn serve<C: Call>(gateway: Gateway<C>) -> SocketAddr {
    let gateway = Arc::new(gateway);
    let listener = Listener::bind(listen::Settings::default()).await.expect("port 0 is free");
    let addr = listener.local_addr().expect("it is bound");
    let service = move |request, peer| {
        let gateway = gateway.clone();
        async move { gateway.handle(request, peer).await }
    };
    tokio::spawn(listener.serve(service, Drain::new()));
    addr
}

/// Answers with the request that the service got, as JSON.
async fn mirror(service: ServiceName, request: Request<Body>, _: CallContext) -> HttpOutcome {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let seen = json!({
        "service": service.as_str(), "method": head.method.as_str(), "uri": head.uri.to_string(), "headers": headers,
        "body": body.unwrap_or_else(|error| format!("broken: {}", error.kind)),
    });
    Ok(Response::new(full_body(seen.to_string())))
}

pub(super) fn json(answer: &WireAnswer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Checks that `answer` is a problem with the members that every problem has.
pub(super) fn assert_problem(answer: &WireAnswer, status: u16, kind: &str) {
    let problem = json(answer);
    assert_eq!((answer.status, problem["status"].as_u64()), (status, Some(status.into())), "{problem}");
    assert_eq!(problem["type"], format!("urn:atoll:problem:{kind}"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
}

#[tokio::test]
async fn a_request_reaches_its_service_without_hop_by_hop_and_untrusted_headers() {
    let addr = gateway(Settings::default(), mirror).await;
    let mut wire = WireClient::connect(addr).await;
    let answer = wire
        .request(
            "POST /api/users/7?a=%2F&b HTTP/1.1\r\nHost: Shop:80\r\nConnection: X-Secret, X-Forwarded-For, Host\r\n\
             X-Secret: 1\r\nX-Kept: 2\r\nTE: trailers\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n\
             X-Request-Id: mine\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Port: 1\r\nForwarded: for=9.9.9.9\r\n\
             Content-Length: 2\r\n\r\nhi",
        )
        .await;
    let id = answer.header("x-request-id").expect("an id");
    assert_ne!(id, "mine");
    let expected = json!({
        "service": "users", "method": "POST", "uri": "/users/7?a=%2F&b", "body": "hi",
        "headers": {
            "host": "Shop:80", "content-length": "2", "x-kept": "2", "x-request-id": id,
            "forwarded": "for=127.0.0.1;host=\"Shop:80\";proto=http", "x-forwarded-for": "127.0.0.1",
            "x-forwarded-host": "Shop:80", "x-forwarded-proto": "http", "x-forwarded-prefix": "/api",
        },
    });
    assert_eq!(json(&answer), expected);

    let answer = wire.request("GET http://shop/legacy/7 HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    assert_eq!((json(&answer)["uri"].as_str(), json(&answer)["service"].as_str()), (Some("/users/7"), Some("legacy")));
}

#[tokio::test]
async fn a_trusted_proxy_sets_the_request_id() {
    let settings = Settings { trusted_proxies: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], ..Settings::default() };
    let addr = gateway(settings, mirror).await;
    let mut wire = WireClient::connect(addr).await;
    let named =
        |id: &str| format!("GET /orders HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
    let answer = wire.request(named("theirs")).await;
    assert_eq!(answer.header("x-request-id"), Some("theirs"));
    assert_eq!(json(&answer)["headers"]["x-request-id"], "theirs");
    assert_eq!(json(&answer)["headers"]["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
    let answer = wire.request(named("no good id")).await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn a_refused_request_never_reaches_a_service() {
    let calls = Arc::new(AtomicUsize::new(0));
    let addr = gateway(Settings::default(), {
        let calls = calls.clone();
        move |_, _, _| {
            calls.fetch_add(1, Relaxed);
            async { Ok(Response::new(empty_body())) }
        }
    })
    .await;
    let many = "x: y\r\n".repeat(105);
    let large = format!("x: {}\r\n", "y".repeat(33 * 1024));
    let cases = [
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no-route"),
        ("GET /api/usersx HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no-route"),
        ("GET /api/users/../x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-path"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-path"),
        ("GET /orders HTTP/1.1\r\nHost: a\r\nX_A: b\r\n\r\n", 400, "bad-header"),
        ("GET /orders HTTP/1.1\r\n\r\n", 400, "bad-host"),
        ("GET /orders HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad-host"),
        ("GET http://b/orders HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-host"),
        ("GET https://a/orders HTTP/1.1\r\nHost: a\r\n\r\n", 421, "misdirected"),
        ("GET ftp://a/orders HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-scheme"),
        ("GET /orders HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 501, "upgrade"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "method-not-allowed"),
        ("DELETE /orders HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method-not-allowed"),
        (
            "POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "transfer-coding",
        ),
        (&format!("GET /orders HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "headers-too-large"),
        (&format!("GET /orders HTTP/1.1\r\nHost: a\r\n{large}\r\n"), 431, "headers-too-large"),
    ];
    for (request, status, kind) in cases {
        let answer = WireClient::connect(addr).await.request(request).await;
        assert_problem(&answer, status, kind);
        if request.starts_with("DELETE") {
            assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
        }
    }
    assert_eq!(calls.load(Relaxed), 0);
}

#[tokio::test]
async fn a_request_hidden_in_an_ambiguous_body_is_not_served() {
    let addr = gateway(Settings::default(), mirror).await;
    let mut wire = WireClient::connect(addr).await;
    let answer = wire
        .request(
            "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /orders HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    let seen = json(&answer);
    assert_eq!((seen["body"].as_str(), &seen["headers"]["content-length"]), (Some(""), &Value::Null));
    assert_eq!(wire.closed().await, "");
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_with_413_whatever_the_service_answers() {
    let addr = gateway(Settings::default(), mirror).await;
    let post = |fields: &str| format!("POST /orders HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");

    let mut announced = WireClient::connect(addr).await;
    let answer = announced.request(post("Content-Length: 17")).await;
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!((json(&answer)["service"].as_str(), answer.header("connection")), (Some("orders"), Some("close")));

    let mut streamed = WireClient::connect(addr).await;
    streamed.send(post("Transfer-Encoding: chunked")).await;
    let answer = streamed.request("10\r\n0123456789abcdef\r\n1\r\nx\r\n").await;
    assert_problem(&answer, 413, "body-too-large");

    let mut exact = WireClient::connect(addr).await;
    exact.send(post("Transfer-Encoding: chunked")).await;
    let answer = exact.request("10\r\n0123456789abcdef\r\n0\r\n\r\n").await;
    assert_eq!(json(&answer)["body"], "0123456789abcdef");
}

#[tokio::test]
async fn a_100_continue_is_sent_when_the_service_reads_the_body() {
    let addr = gateway(Settings::default(), mirror).await;
    let mut wire = WireClient::connect(addr).await;
    wire.send("POST /orders HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(wire.head().await.status, 100);
    let seen = json(&wire.request("hi").await);
    assert_eq!((seen["body"].as_str(), &seen["headers"]["expect"]), (Some("hi"), &Value::Null));
}

#[tokio::test]
async fn each_kind_of_failure_has_its_status_and_hides_its_detail() {
    let failure = |kind, retry_after| {
        let deadline = (kind == ErrorKind::Timeout).then_some(DeadlineOwner::Route);
        move |_, _, _| async move {
            Err(CallFailure { kind, deadline, retry_after, lacks: None, detail: "the inside".into() })
        }
    };
    let cases = [
        (ErrorKind::Trap, None, 502, None),
        (ErrorKind::Timeout, Some(Duration::from_secs(1)), 504, None),
        (ErrorKind::CircuitOpen, Some(Duration::from_millis(4200)), 503, Some("5")),
        (ErrorKind::Overloaded, Some(Duration::ZERO), 503, Some("1")),
        (ErrorKind::Draining, None, 503, None),
        (ErrorKind::Host, None, 500, None),
    ];
    for (kind, wait, status, retry_after) in cases {
        let addr = gateway(Settings::default(), failure(kind, wait)).await;
        let answer = WireClient::connect(addr).await.request("GET /orders HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_problem(&answer, status, kind.as_str());
        assert_eq!(answer.header("retry-after"), retry_after);
        assert_eq!(json(&answer)["service"], "orders");
        assert!(!answer.text().contains("the inside"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_is_answered_with_4xx_and_not_5xx() {
    let addr = gateway(Settings::default(), |_, request, context| async move {
        let left = context.deadline.saturating_duration_since(std::time::Instant::now());
        let kind = match tokio::time::timeout(left, request.into_body().collect()).await {
            Ok(Ok(_)) => ErrorKind::Trap,
            Ok(Err(error)) => error.kind,
            Err(_) => ErrorKind::SlowBody,
        };
        Err(CallFailure { kind, deadline: None, retry_after: None, lacks: None, detail: String::new() })
    })
    .await;
    let mut slow = WireClient::connect(addr).await;
    let answer = slow.request("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").await;
    assert_problem(&answer, 408, "slow-body");

    let mut broken = WireClient::connect(addr).await;
    let answer = broken.request("POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    assert_problem(&answer, 400, "client-gone");
}

#[tokio::test]
async fn an_answer_is_sent_without_the_services_hop_by_hop_headers_and_internal_paths() {
    let addr = gateway(Settings::default(), |_, _, _| async {
        let answer = Response::builder().status(201).header("location", "/users/8").header("x-request-id", "its own");
        let answer =
            answer.header("connection", "x-inside, keep-alive").header("x-inside", "1").header("keep-alive", "1");
        let answer = answer.header("trailer", "x-sum");
        Ok(answer.header("x-outside", "2").body(full_body("made")).expect("an answer"))
    })
    .await;
    let mut wire = WireClient::connect(addr).await;
    let answer = wire.request("POST /api/users HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.text()), (201, "made"));
    assert_eq!(answer.header("location"), Some("/api/users/8"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
    assert_eq!(answer.header("x-outside"), Some("2"));
    for gone in ["connection", "keep-alive", "x-inside", "trailer"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    let answer = wire.request("POST /legacy/7 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.header("location"), Some("/legacy/8"));
}

#[tokio::test]
async fn the_answer_to_a_head_request_has_no_body() {
    let addr = gateway(Settings::default(), |_, request, _| async move {
        assert_eq!(request.method(), Method::HEAD);
        Ok(Response::builder().header("content-length", "4").body(full_body("body")).expect("an answer"))
    })
    .await;
    let mut wire = WireClient::connect(addr).await;
    for _ in 0..2 {
        wire.send("HEAD /api/users HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let head = wire.head().await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    }
    wire.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(wire.head().await.status, 404);
    assert_eq!(wire.closed().await, "");
}

fn broken_answer(kind: ErrorKind) -> Response<Body> {
    let frames = [Ok(Frame::data(Bytes::from("half"))), Err(BodyError::new(kind, "it broke off"))];
    Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_final_chunk() {
    let addr = gateway(Settings::default(), |_, _, _| async { Ok(broken_answer(ErrorKind::Trap)) }).await;
    let answer = WireClient::connect(addr).await.request("GET /orders HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.text(), answer.whole), (200, "half", false));
}

/// The lines of a log, for one test.
#[derive(Clone)]
struct Lines(mpsc::Sender<String>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged while this lives. A test runs on one thread, so these are the lines of that test alone.
pub(super) struct Log {
    lines: mpsc::Receiver<String>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(super) fn open() -> Self {
        let (sender, lines) = mpsc::channel(64);
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || Lines(sender.clone()));
        Self { lines, _guard: tracing::subscriber::set_default(subscriber.finish()) }
    }

    /// The next line for which `wanted` holds.
    pub(super) async fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = within(self.lines.recv()).await.expect("the log goes on");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if wanted(&line) {
                return line;
            }
        }
    }
}

#[tokio::test]
async fn each_request_leaves_one_line_in_the_access_log() {
    let mut log = Log::open();
    let mut access = async || log.line(|line| line["target"] == "access").await;

    let addr = gateway(Settings::default(), |_, request, _| async move {
        match request.uri().query() {
            Some("break") => Ok(broken_answer(ErrorKind::Trap)),
            Some("broken-upload") => Ok(broken_answer(ErrorKind::ClientGone)),
            Some("hang") => std::future::pending().await,
            _ => Ok(Response::new(full_body("four"))),
        }
    })
    .await;
    let mut wire = WireClient::connect(addr).await;
    let answer = wire.request("GET /orders?secret HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let line = access().await;
    assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some("GET"), Some("/orders")));
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(200), Some(4)));
    assert_eq!((line["service"].as_str(), line["end"].as_str()), (Some("orders"), Some("whole")));
    assert!(line["duration_ms"].is_number());

    wire.request("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let line = access().await;
    assert_eq!((line["status"].as_u64(), &line["service"]), (Some(404), &Value::Null));

    wire.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.head().await;
    let line = access().await;
    assert_eq!((line["bytes"].as_u64(), line["end"].as_str()), (Some(0), Some("whole")));

    for (query, kind, end) in [("break", "broken-off", "broken"), ("broken-upload", "client-gone", "gone")] {
        let mut wire = WireClient::connect(addr).await;
        wire.request(&format!("GET /orders?{query} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let line = access().await;
        assert_eq!((line["kind"].as_str(), line["end"].as_str()), (Some(kind), Some(end)));
    }

    let mut gone = WireClient::connect(addr).await;
    gone.send("GET /orders?hang HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(gone);
    let line = access().await;
    assert_eq!((line["status"].as_u64(), line["end"].as_str()), (Some(499), Some("gone")));
}
