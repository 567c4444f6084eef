//! A receiver of OTLP inside the test's process. It reads protobuf by the numbers of opentelemetry-proto, on its own.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
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
    requests: Mutex<Vec<(String, HeaderMap)>>,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (spans, requests) = (Mutex::default(), Mutex::default());
        let state = Arc::new(CollectorState { mood, spans, requests });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
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

async fn accept(listener: TcpListener, state: Arc<CollectorState>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(take(&state, request).await) }
            });
            // A host that ends breaks its connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(state: &CollectorState, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let is_first = {
        let mut requests = state.requests.lock().unwrap();
        requests.push((head.uri.path().to_owned(), head.headers));
        requests.len() == 1
    };
    match state.mood {
        Mood::Hesitates if is_first => {
            Response::builder().status(503).header("retry-after", "0").body(Full::default()).unwrap()
        }
        Mood::Silent => std::future::pending().await,
        Mood::Status(status) => Response::builder().status(status).body(Full::default()).unwrap(),
        Mood::Takes | Mood::Hesitates => {
            state.spans.lock().unwrap().extend(read_request(&body));
            let answer: &'static [u8] = if state.mood == Mood::Takes { b"" } else { b"\x0a\x08\x08\x03\x12\x04full" };
            Response::new(Full::from(answer))
        }
    }
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
    let mut spans = Vec::new();
    for (_, resource_spans) in fields(bytes) {
        let resource_spans = fields(resource_spans.bytes());
        let resource = resource_spans.iter().find(|(number, _)| *number == 1).expect("a resource");
        let resource = attributes(&fields(resource.1.bytes()), 1);
        for (_, scope_spans) in resource_spans.iter().filter(|(number, _)| *number == 2) {
            let scope_spans = fields(scope_spans.bytes());
            spans.extend(
                scope_spans
                    .iter()
                    .filter(|(number, _)| *number == 2)
                    .map(|(_, span)| read_span(span.bytes(), &resource)),
            );
        }
    }
    spans
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
        status: one(15).map_or(0, |status| fields(status.bytes())[0].1.number()),
        flags: number(16),
    }
}
