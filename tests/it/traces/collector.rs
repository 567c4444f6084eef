//! A receiver of OTLP inside the test's process. It reads protobuf by the numbers of opentelemetry-proto, on its own.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A span as the collector got it.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// The attributes of its resource.
    pub resource: BTreeMap<String, String>,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: u64,
    pub began: u64,
    pub ended: u64,
    pub attributes: BTreeMap<String, String>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    pub status: u64,
    pub flags: u64,
}

impl ReceivedSpan {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }
}

/// A line of the log as the collector got it.
#[derive(Debug, Clone)]
pub struct ReceivedLine {
    pub resource: BTreeMap<String, String>,
    pub severity: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    pub trace: String,
}

/// A point of a metric as the collector got it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedPoint {
    pub metric: String,
    pub unit: String,
    pub attributes: BTreeMap<String, String>,
    /// The value; of a histogram how many there were.
    pub value: f64,
    /// Of a histogram: the counts of its buckets, and their bounds.
    pub buckets: (Vec<u64>, Vec<f64>),
}

/// What the collector does with exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes them.
    Takes,
    /// It answers with this status.
    Status(u16),
    /// It asks the first one to come again at once, and takes the others in part: it says that it rejected three spans.
    Hesitates,
    /// It reads the request and never answers.
    Silent,
}

/// A running collector. It ends when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<CollectorState>,
    task: JoinHandle<()>,
}

struct CollectorState {
    mood: Mood,
    spans: Mutex<Vec<ReceivedSpan>>,
    lines: Mutex<Vec<ReceivedLine>>,
    /// Those of the last export.
    points: Mutex<Vec<ReceivedPoint>>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
}

impl Collector {
    /// One that speaks HTTP/1.1.
    pub async fn start(mood: Mood) -> Self {
        Self::start_by(mood, false).await
    }

    /// One that speaks gRPC.
    pub async fn start_grpc(mood: Mood) -> Self {
        Self::start_by(mood, true).await
    }

    async fn start_by(mood: Mood, grpc: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (spans, lines, points, requests) = Default::default();
        let state = Arc::new(CollectorState { mood, spans, lines, points, requests });
        let task = tokio::spawn(accept(listener, Arc::clone(&state), grpc));
        Self { address, state, task }
    }

    /// The lines that it has taken.
    pub fn lines(&self) -> Vec<ReceivedLine> {
        self.state.lines.lock().unwrap().clone()
    }

    /// The points of the last export of metrics that it has taken.
    pub fn points(&self) -> Vec<ReceivedPoint> {
        self.state.points.lock().unwrap().clone()
    }

    /// The spans that it has taken.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.state.spans.lock().unwrap().clone()
    }

    /// The path and the headers of each export so far, taken or not.
    pub fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<CollectorState>, grpc: bool) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move {
                    let answer = if grpc { take_call(&state, request).await } else { take(&state, request).await };
                    Ok::<_, Infallible>(answer)
                }
            });
            // A host that ends breaks its connection.
            if grpc {
                let connection = http2::Builder::new(TokioExecutor::new());
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            } else {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

type CollectorBody = BoxBody<Bytes, Infallible>;

/// Remembers a request; returns its path and its body, and whether it is the first one.
async fn note(state: &CollectorState, request: Request<Incoming>) -> (String, Bytes, bool) {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut requests = state.requests.lock().unwrap();
    requests.push((head.uri.path().to_owned(), head.headers));
    (head.uri.path().to_owned(), body, requests.len() == 1)
}

fn keep(state: &CollectorState, path: &str, message: &[u8]) {
    match path {
        path if path.contains("trace") => state.spans.lock().unwrap().extend(read_request(message)),
        path if path.contains("logs") => state.lines.lock().unwrap().extend(read_lines(message)),
        path if path.contains("metrics") => *state.points.lock().unwrap() = read_points(message),
        other => panic!("no collector has {other}"),
    }
}

async fn take(state: &CollectorState, request: Request<Incoming>) -> Response<CollectorBody> {
    let (path, body, is_first) = note(state, request).await;
    match state.mood {
        Mood::Hesitates if is_first => {
            Response::builder().status(503).header("retry-after", "0").body(CollectorBody::default()).unwrap()
        }
        Mood::Silent => std::future::pending().await,
        Mood::Status(status) => Response::builder().status(status).body(CollectorBody::default()).unwrap(),
        Mood::Takes | Mood::Hesitates => {
            keep(state, &path, &body);
            let answer: &'static [u8] = if state.mood == Mood::Takes { b"" } else { b"\x0a\x08\x08\x03\x12\x04full" };
            Response::new(Full::from(answer).boxed())
        }
    }
}

/// The same by gRPC: each message has five bytes before it, and the status stands in the trailers. A status of the mood
/// is one of gRPC.
async fn take_call(state: &CollectorState, request: Request<Incoming>) -> Response<CollectorBody> {
    let (path, body, is_first) = note(state, request).await;
    let answer = Response::builder().header("content-type", "application/grpc");
    let status = match state.mood {
        // `UNAVAILABLE`.
        Mood::Hesitates if is_first => 14,
        Mood::Silent => return std::future::pending().await,
        Mood::Status(status) => status,
        Mood::Takes | Mood::Hesitates => {
            let (prefix, message) = body.split_at(5);
            assert_eq!((prefix[0], usize::try_from(length(&prefix[1..])).unwrap()), (0, message.len()));
            keep(state, &path, message);
            0
        }
    };
    if status != 0 {
        return answer.header("grpc-status", status).body(CollectorBody::default()).unwrap();
    }
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::from(&[0, 0, 0, 0, 0][..]).with_trailers(async { Some(Ok(trailers)) });
    answer.body(body.boxed()).unwrap()
}

fn length(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

/// A field of a message: a number, or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Field<'_> {
    fn number(&self) -> u64 {
        if let Self::Number(number) = self { *number } else { panic!("a number") }
    }

    fn bytes(&self) -> &[u8] {
        if let Self::Bytes(bytes) = self { bytes } else { panic!("bytes") }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("a text is UTF-8")
    }

    fn hex(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

/// The fields of a message. It panics at what is no protobuf.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inner)
            }
            5 => {
                let (number, rest) = bytes.split_at(4);
                bytes = rest;
                Field::Number(u32::from_le_bytes(number.try_into().unwrap()).into())
            }
            kind => panic!("there is no wire type {kind}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

/// `ExportTraceServiceRequest`.
fn read_request(bytes: &[u8]) -> Vec<ReceivedSpan> {
    by_resource(bytes, read_span)
}

/// `ExportLogsServiceRequest`.
fn read_lines(bytes: &[u8]) -> Vec<ReceivedLine> {
    by_resource(bytes, read_line)
}

/// `ExportMetricsServiceRequest`.
fn read_points(bytes: &[u8]) -> Vec<ReceivedPoint> {
    by_resource(bytes, |metric, _| read_metric(metric)).into_iter().flatten().collect()
}

/// What the scopes of each resource have, each read with the attributes of its resource.
fn by_resource<T>(bytes: &[u8], read: impl Fn(&[u8], &BTreeMap<String, String>) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for (_, of_resource) in fields(bytes) {
        let of_resource = fields(of_resource.bytes());
        let resource = of_resource.iter().find(|(number, _)| *number == 1).expect("a resource");
        let resource = attributes(&fields(resource.1.bytes()), 1);
        for (_, of_scope) in of_resource.iter().filter(|(number, _)| *number == 2) {
            let of_scope = fields(of_scope.bytes());
            let own = of_scope.iter().filter(|(number, _)| *number == 2);
            found.extend(own.map(|(_, one)| read(one.bytes(), &resource)));
        }
    }
    found
}

/// `LogRecord`.
fn read_line(bytes: &[u8], resource: &BTreeMap<String, String>) -> ReceivedLine {
    let line = fields(bytes);
    let one = |number| line.iter().find(|(own, _)| *own == number).map(|(_, field)| field);
    ReceivedLine {
        resource: resource.clone(),
        severity: one(3).expect("a level").text(),
        body: fields(one(5).expect("a body").bytes())[0].1.text(),
        attributes: attributes(&line, 6),
        trace: one(9).map_or_else(String::new, Field::hex),
    }
}

/// `Metric`: a gauge in field 5, a sum in 7, a histogram in 9.
fn read_metric(bytes: &[u8]) -> Vec<ReceivedPoint> {
    let metric = fields(bytes);
    let text = |number| metric.iter().find(|(own, _)| *own == number).map_or_else(String::new, |(_, one)| one.text());
    let (kind, data) = metric.iter().find(|(number, _)| matches!(number, 5 | 7 | 9)).expect("points");
    let data = fields(data.bytes());
    let point = |(_, point): &(u64, Field<'_>)| {
        let point = fields(point.bytes());
        let all = |number| point.iter().filter(move |(own, _)| *own == number).map(|(_, field)| field.number());
        let value = all(4).next().expect("a value");
        let is_histogram = *kind == 9;
        #[expect(clippy::cast_precision_loss, reason = "a count of a test is small")]
        let value = if is_histogram { value as f64 } else { f64::from_bits(value) };
        ReceivedPoint {
            metric: text(1),
            unit: text(3),
            attributes: attributes(&point, if is_histogram { 9 } else { 7 }),
            value,
            buckets: if is_histogram {
                (all(6).collect(), all(7).map(f64::from_bits).collect())
            } else {
                Default::default()
            },
        }
    };
    let points = data.iter().filter(|(number, _)| *number == 1);
    points.map(point).collect()
}

/// `KeyValue`s in the field `number`. Of a value only its text is kept.
fn attributes(message: &[(u64, Field<'_>)], number: u64) -> BTreeMap<String, String> {
    let pair = |(_, pair): &(u64, Field<'_>)| {
        let pair = fields(pair.bytes());
        let value = fields(pair[1].1.bytes());
        let value = match &value[0] {
            (1, text) => text.text(),
            (2, flag) => (flag.number() == 1).to_string(),
            (3, whole) => whole.number().cast_signed().to_string(),
            (4, decimal) => f64::from_bits(decimal.number()).to_string(),
            (5, list) => format!("a list of {}", fields(list.bytes()).len()),
            (7, bytes) => format!("the bytes {}", bytes.hex()),
            (other, _) => panic!("a value of kind {other}"),
        };
        (pair[0].1.text(), value)
    };
    message.iter().filter(|(own, _)| *own == number).map(pair).collect()
}

/// `Span`.
fn read_span(bytes: &[u8], resource: &BTreeMap<String, String>) -> ReceivedSpan {
    let span = fields(bytes);
    let one = |number| span.iter().find(|(own, _)| *own == number).map(|(_, field)| field);
    let hex = |number| one(number).map_or_else(String::new, Field::hex);
    let text = |number| one(number).map_or_else(String::new, Field::text);
    let number = |field| one(field).map_or(0, Field::number);
    let link = |(_, link): &(u64, Field<'_>)| {
        let link = fields(link.bytes());
        (link[0].1.hex(), link[1].1.hex())
    };
    ReceivedSpan {
        resource: resource.clone(),
        trace: hex(1),
        id: hex(2),
        parent: hex(4),
        name: text(5),
        kind: number(6),
        began: number(7),
        ended: number(8),
        attributes: attributes(&span, 9),
        links: span.iter().filter(|(own, _)| *own == 13).map(link).collect(),
        // Its field 2 is a message.
        status: one(15).map_or(0, |status| {
            fields(status.bytes()).iter().find(|(own, _)| *own == 3).map_or(0, |(_, code)| code.number())
        }),
        flags: number(16),
    }
}
