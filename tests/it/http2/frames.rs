//! What the gateway does with frames, by section of RFC 9113: h2spec's cases in our own words.

use super::host;
use super::raw_client::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, RST_STREAM,
    RawClient, SETTINGS, WINDOW_UPDATE, block, frame, get, request,
};
use crate::it::plain_server::PlainServer;

/// Error codes of RFC 9113, section 7.
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

/// What has to come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// GOAWAY with this code, and the end of the connection.
    Connection(u32),
    /// RST_STREAM with this code, and a connection that goes on.
    Stream(u32),
    /// An answer with this status.
    Status(u16),
    /// Nothing but an answer to the PING that follows.
    Ignored,
}
use Outcome::{Connection, Ignored, Status, Stream};

struct Case {
    section: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    outcome: Outcome,
}

fn case(section: &'static str, what: &'static str, bytes: impl AsRef<[u8]>, outcome: Outcome) -> Case {
    Case { section, what, bytes: bytes.as_ref().to_vec(), outcome }
}

/// The head of a request on stream 1 whose body may follow.
fn post(further: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", further))
}

/// A whole request on stream 1 with these fields alone.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// A good GET on stream 1 with these fields besides.
fn with(further: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/x", further))
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn framing() -> Vec<Case> {
    let long = vec![0; 16 * 1024 + 1];
    vec![
        case("4.1", "a frame of an unknown kind", frame(200, 0xff, 0, b"what"), Ignored),
        case("4.1", "unknown flags", frame(PING, 0xfe, 0, b"a flag  "), Ignored),
        case(
            "4.2",
            "DATA above SETTINGS_MAX_FRAME_SIZE",
            [post(&[]), frame(DATA, 0, 1, &long)].concat(),
            Connection(FRAME_SIZE),
        ),
        case("4.2", "HEADERS above SETTINGS_MAX_FRAME_SIZE", frame(HEADERS, 0, 1, &long), Connection(FRAME_SIZE)),
        case(
            "4.3",
            "a block that cannot be decompressed",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 6]),
            Connection(COMPRESSION),
        ),
        case(
            "4.3",
            "a block that another frame interrupts",
            [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat(),
            Connection(PROTOCOL),
        ),
        case("6.1", "DATA on stream 0", frame(DATA, 0, 0, b"x"), Connection(PROTOCOL)),
        case(
            "6.1",
            "DATA that is all padding and more",
            [post(&[]), frame(DATA, PADDED, 1, &[9, 0])].concat(),
            Connection(PROTOCOL),
        ),
        case(
            "6.2",
            "HEADERS on stream 0",
            frame(HEADERS, END_HEADERS | END_STREAM, 0, &request("GET", "/x", &[])),
            Connection(PROTOCOL),
        ),
        case(
            "6.2",
            "HEADERS that are all padding and more",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0]),
            Connection(PROTOCOL),
        ),
        case("6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 9, 1]), Connection(PROTOCOL)),
        case("6.4", "RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), Connection(PROTOCOL)),
    ]
}

fn settings_and_windows() -> Vec<Case> {
    vec![
        case(
            "6.4",
            "RST_STREAM of 3 bytes",
            [post(&[]), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Connection(FRAME_SIZE),
        ),
        case("6.5", "SETTINGS with content and ACK", frame(SETTINGS, ACK, 0, &[0; 6]), Connection(FRAME_SIZE)),
        case("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1, &[0; 6]), Connection(PROTOCOL)),
        case("6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, &[0; 5]), Connection(FRAME_SIZE)),
        case("6.5.2", "ENABLE_PUSH of 2", setting(2, 2), Connection(PROTOCOL)),
        case("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", setting(4, 1 << 31), Connection(FLOW_CONTROL)),
        case("6.5.2", "MAX_FRAME_SIZE of 2^14 - 1", setting(5, (1 << 14) - 1), Connection(PROTOCOL)),
        case("6.5.2", "MAX_FRAME_SIZE of 2^24", setting(5, 1 << 24), Connection(PROTOCOL)),
        case("6.5.2", "an unknown setting", setting(0xff, 1), Ignored),
        case("6.7", "PING with ACK that nobody asked for", frame(PING, ACK, 0, &[0; 8]), Ignored),
        case("6.7", "PING on a stream", frame(PING, 0, 1, &[0; 8]), Connection(PROTOCOL)),
        case("6.7", "PING of 6 bytes", frame(PING, 0, 0, &[0; 6]), Connection(FRAME_SIZE)),
        case("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL)),
        case("6.9", "WINDOW_UPDATE by 0 of the connection", update(0, 0), Connection(PROTOCOL)),
        case("6.9", "WINDOW_UPDATE by 0 of a stream", [post(&[]), update(1, 0)].concat(), Stream(PROTOCOL)),
        case("6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Connection(FRAME_SIZE)),
        case("6.9.1", "a window of the connection above 2^31 - 1", update(0, (1 << 31) - 1), Connection(FLOW_CONTROL)),
        case(
            "6.9.1",
            "a window of a stream above 2^31 - 1",
            [post(&[]), update(1, (1 << 31) - 1)].concat(),
            Stream(FLOW_CONTROL),
        ),
        case(
            "6.10",
            "CONTINUATION after END_HEADERS",
            [post(&[]), frame(CONTINUATION, END_HEADERS, 1, &block(&[("a", "b")]))].concat(),
            Connection(PROTOCOL),
        ),
        case(
            "6.10",
            "CONTINUATION on stream 0",
            [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, END_HEADERS, 0, &[])].concat(),
            Connection(PROTOCOL),
        ),
        case(
            "6.10",
            "CONTINUATION of another stream",
            [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            Connection(PROTOCOL),
        ),
    ]
}

fn streams() -> Vec<Case> {
    let done = |rest: Vec<u8>| [with(&[]), rest].concat();
    vec![
        case("5.1", "DATA on an idle stream", frame(DATA, 0, 1, b"x"), Connection(PROTOCOL)),
        case("5.1", "RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), Connection(PROTOCOL)),
        case("5.1", "WINDOW_UPDATE on an idle stream", update(1, 1), Connection(PROTOCOL)),
        case("5.1", "CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, &[]), Connection(PROTOCOL)),
        case("5.1", "DATA after END_STREAM", done(frame(DATA, 0, 1, b"x")), Connection(STREAM_CLOSED)),
        case("5.1", "PRIORITY on an idle stream", frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1]), Ignored),
        case("5.1.1", "an even stream", get(2, "/x"), Connection(PROTOCOL)),
        case("5.1.1", "a stream below the last", [get(5, "/x"), get(3, "/x")].concat(), Connection(PROTOCOL)),
        case(
            "8.1",
            "HEADERS in mid-body without END_STREAM",
            [post(&[]), frame(HEADERS, END_HEADERS, 1, &block(&[("a", "b")]))].concat(),
            Stream(PROTOCOL),
        ),
        case(
            "8.1.1",
            "a body longer than its length",
            [post(&[("content-length", "1")]), frame(DATA, END_STREAM, 1, b"xy")].concat(),
            Stream(PROTOCOL),
        ),
        case(
            "8.1.1",
            "a body shorter than its length",
            [post(&[("content-length", "3")]), frame(DATA, END_STREAM, 1, b"xy")].concat(),
            Stream(PROTOCOL),
        ),
        case("8.1.1", "a length without a body", with(&[("content-length", "3")]), Stream(PROTOCOL)),
    ]
}

fn heads() -> Vec<Case> {
    const ALL: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "shop")];
    let without = |name: &str| fields(&ALL.into_iter().filter(|field| field.0 != name).collect::<Vec<_>>());
    let and = |further: (&'static str, &'static str)| fields(&[&ALL[..], &[further]].concat());
    vec![
        case("8.1", "a GET", with(&[]), Status(200)),
        case(
            "8.1",
            "a block in two frames",
            {
                let block = request("GET", "/x", &[("a", "b")]);
                let (one, two) = block.split_at(9);
                [frame(HEADERS, END_STREAM, 1, one), frame(CONTINUATION, END_HEADERS, 1, two)].concat()
            },
            Status(200),
        ),
        case(
            "8.1",
            "a trailer section",
            [post(&[]), frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")]))]
                .concat(),
            Status(200),
        ),
        case("8.2.1", "a name in capitals", with(&[("X-A", "b")]), Stream(PROTOCOL)),
        case("8.2.1", "a name with a blank", with(&[("x a", "b")]), Stream(PROTOCOL)),
        case("8.2.1", "a value with a line break", with(&[("a", "b\r\nc: d")]), Stream(PROTOCOL)),
        case("8.2.1", "a value that begins with a blank", with(&[("a", " b")]), Status(400)),
        case("8.2.1", "a value that ends with a tab", with(&[("a", "b\t")]), Status(400)),
        case("8.2.2", "`connection`", with(&[("connection", "close")]), Stream(PROTOCOL)),
        case("8.2.2", "`transfer-encoding`", with(&[("transfer-encoding", "chunked")]), Stream(PROTOCOL)),
        case("8.2.2", "`upgrade`", with(&[("upgrade", "websocket")]), Stream(PROTOCOL)),
        case("8.2.2", "`te` that is not `trailers`", with(&[("te", "gzip")]), Stream(PROTOCOL)),
        case("8.2.2", "`te: trailers`", with(&[("te", "trailers")]), Status(200)),
        case("8.3", "an unknown pseudo field", and((":what", "x")), Stream(PROTOCOL)),
        case("8.3", "a pseudo field of answers", and((":status", "200")), Stream(PROTOCOL)),
        case("8.3", "a pseudo field after a field", fields(&[&[("a", "b")], &ALL[..]].concat()), Stream(PROTOCOL)),
        case("8.3", "a pseudo field twice", and((":path", "/y")), Stream(PROTOCOL)),
        case(
            "8.3",
            "a pseudo field in the trailers",
            [post(&[]), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":path", "/")]))].concat(),
            Stream(PROTOCOL),
        ),
        case("8.3.1", "no `:method`", without(":method"), Stream(PROTOCOL)),
        case("8.3.1", "no `:scheme`", without(":scheme"), Stream(PROTOCOL)),
        case("8.3.1", "no `:path`", without(":path"), Stream(PROTOCOL)),
        case("8.3.1", "an empty `:path`", fields(&[ALL[0], ALL[1], (":path", ""), ALL[3]]), Stream(PROTOCOL)),
        case("8.3.1", "no host at all", without(":authority"), Status(400)),
        case(
            "8.3.1",
            "`host` in place of `:authority`",
            fields(&[ALL[0], ALL[1], ALL[2], ("host", "shop")]),
            Status(200),
        ),
        case("8.3.1", "`host` and `:authority` that differ", with(&[("host", "other")]), Status(400)),
        case("8.3.1", "`host` and `:authority` that agree", with(&[("host", "SHOP:80")]), Status(200)),
    ]
}

/// What h2 0.4 does otherwise. Where RFC 9113 names another code of a connection error, the connection ends all the
/// same. A request that is malformed by its text ends the connection and not its stream alone.
const OTHERWISE: [(&str, Outcome); 14] = [
    ("a block that cannot be decompressed", Connection(PROTOCOL)),
    ("RST_STREAM of 3 bytes", Connection(PROTOCOL)),
    ("SETTINGS with content and ACK", Connection(PROTOCOL)),
    ("SETTINGS of 5 bytes", Connection(PROTOCOL)),
    ("INITIAL_WINDOW_SIZE of 2^31", Connection(PROTOCOL)),
    ("PING of 6 bytes", Connection(PROTOCOL)),
    ("WINDOW_UPDATE by 0 of a stream", Connection(PROTOCOL)),
    ("WINDOW_UPDATE of 3 bytes", Connection(PROTOCOL)),
    ("DATA after END_STREAM", Connection(PROTOCOL)),
    ("a name in capitals", Connection(PROTOCOL)),
    ("a name with a blank", Connection(PROTOCOL)),
    ("a value with a line break", Connection(PROTOCOL)),
    ("an unknown pseudo field", Connection(PROTOCOL)),
    // It is dropped with the section that it stands in.
    ("a pseudo field in the trailers", Ignored),
];

/// What came of `case`.
async fn outcome(gateway: &str, case: &Case) -> Outcome {
    const END: &[u8; 8] = b"the end.";
    let mut client = RawClient::start(gateway, &[]).await;
    client.send(&case.bytes).await;
    // A reset may come after the answer to the first PING.
    let mut pings = 0;
    if !matches!(case.outcome, Status(_)) {
        client.send(&frame(PING, 0, 0, END)).await;
    }
    let mut reset = None;
    while let Some(came) = client.next().await {
        match came.kind {
            GOAWAY => return Connection(came.code()),
            RST_STREAM => reset = Some(Stream(came.code())),
            HEADERS if matches!(case.outcome, Status(_)) => return Status(came.status()),
            PING if came.content == END && pings == 2 => return reset.unwrap_or(Ignored),
            PING if came.content == END => {
                pings += 1;
                client.send(&frame(PING, 0, 0, END)).await;
            }
            _ => {}
        }
        if let (Status(_), Some(reset)) = (case.outcome, reset) {
            return reset;
        }
    }
    Connection(u32::MAX)
}

#[tokio::test]
async fn frames_get_what_rfc_9113_says() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let mut wrong = Vec::new();
    for case in framing().into_iter().chain(settings_and_windows()).chain(streams()).chain(heads()) {
        let got = outcome(&atoll.gateway, &case).await;
        let otherwise = OTHERWISE.iter().find(|(what, _)| *what == case.what);
        let expected = otherwise.map_or(case.outcome, |(_, outcome)| *outcome);
        if got != expected {
            wrong.push(format!("{} {}: {got:?} and not {expected:?}", case.section, case.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Section 3.4: what begins neither as HTTP/1 nor as HTTP/2 ends.
    let mut client = RawClient::connect(&atoll.gateway).await;
    client.send(&[&PREFACE[..20], b"xxxx"].concat()).await;
    assert_eq!(client.end().await, None);
    // Section 3.4: the server's settings come first, section 6.5.3: the client's are acknowledged.
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    let first = client.next().await.unwrap();
    assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0));
    loop {
        let frame = client.next_of(SETTINGS).await.unwrap();
        if frame.flags == ACK {
            break;
        }
    }
}
