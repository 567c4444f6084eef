//! Upstreams that write bytes of their own choice, and what the gateway makes of their answers.

use super::super::atoll::{TIMEOUT, eventually};
use super::{Host, NEVER_OPENS, kind, request, route};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What an upstream does on each of its connections.
#[derive(Clone, Copy)]
enum Script {
    /// It writes these bytes before it reads any.
    Banner(&'static str),
    /// It reads a request to its end, answers with these bytes, and closes.
    Answer(&'static str),
    /// The same, but it breaks the connection at once instead of closing it.
    AnswerAndReset(&'static str),
    /// It reads no more than the head, answers with these bytes, and closes: the rest of the body is never read.
    AnswerEarly(&'static str),
    /// It breaks the connection after the head.
    Reset,
    /// It says nothing after the head.
    Silent,
}

/// An upstream that follows a script. It ends when this is dropped.
struct RawUpstream {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// What came over each connection.
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl RawUpstream {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (script, seen) = (Arc::new(Mutex::new(script)), Arc::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&script), Arc::clone(&seen)));
        Self { address, script, seen, task }
    }

    fn follow(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// How many connections have ended or read their request.
    fn connections(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// What came over the last connection.
    fn last(&self) -> String {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    /// A host whose service `legacy` is this upstream, with these further keys.
    async fn host(&self, keys: &str) -> Host {
        let service = format!("[service.legacy]\nurls = [\"http://{}\"]\n{keys}\n", self.address);
        Host::start(&(service + &route("/plain", "legacy"))).await
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>, seen: Arc<Mutex<Vec<String>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (script, seen) = (*script.lock().unwrap(), Arc::clone(&seen));
        tokio::spawn(perform(stream, script, seen));
    }
}

async fn perform(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<String>>>) {
    let whole = matches!(script, Script::Answer(_) | Script::AnswerAndReset(_));
    let (banner, answer) = match script {
        Script::Banner(bytes) => (bytes, ""),
        Script::Answer(bytes) | Script::AnswerAndReset(bytes) | Script::AnswerEarly(bytes) => ("", bytes),
        Script::Reset | Script::Silent => ("", ""),
    };
    // The other side may be gone already.
    let _ = stream.write_all(banner.as_bytes()).await;
    let mut request = Vec::new();
    while !is_read(&request, whole) {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(request).unwrap());
    let _ = stream.write_all(answer.as_bytes()).await;
    if matches!(script, Script::Silent) {
        // Until the other side hangs up.
        while stream.read_u8().await.is_ok() {}
    }
    if matches!(script, Script::AnswerAndReset(_) | Script::Reset) {
        stream.set_zero_linger().unwrap();
    }
}

/// Whether a request is read to its end, or to the end of its head.
fn is_read(request: &[u8], whole: bool) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    match (field("transfer-encoding: "), field("content-length: ")) {
        _ if !whole => true,
        (Some(_), _) => body.ends_with("0\r\n\r\n"),
        (None, Some(length)) => body.len() >= length.parse().unwrap(),
        (None, None) => true,
    }
}

/// Sends `request` to the gateway and returns what comes back: the whole answer, or what there is of it when the
/// connection ends. The request must ask for the connection's end.
async fn exchange(host: &Host, request: &[u8]) -> String {
    let stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let request = request.to_vec();
    // The gateway may answer and close before it has read everything.
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&request).await;
        writer
    });
    let mut answer = Vec::new();
    while !has_length(&answer) {
        let read = tokio::time::timeout(TIMEOUT, reader.read_buf(&mut answer)).await;
        match read.expect("the answer did not end in time") {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    sending.abort();
    String::from_utf8(answer).unwrap()
}

/// Whether an answer with a `Content-Length` is whole.
fn has_length(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

fn head(method: &str, fields: &str) -> String {
    format!("{method} /plain/x HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{fields}\r\n")
}

/// What servers of other protocols say first.
const BANNERS: &[Script] =
    &[Script::Banner("SSH-2.0-x\r\n"), Script::Banner("220 mail.example ESMTP\r\n"), Script::Banner("S")];

/// Answers that are no HTTP/1, or have a framing that cannot be read or be passed on.
const BAD_ANSWERS: &[Script] = &[
    Script::Answer("SSH-2.0-x\r\n"),
    Script::Answer("220 mail.example ESMTP\r\n\r\n"),
    // RFC 9112, section 5.1: a field line without a colon, and white space before the colon.
    Script::Answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    // RFC 9112, section 4.
    Script::Answer("HTTP/1.1 2x0 OK\r\n\r\n"),
    Script::Answer("HTTP/1.1 099 OK\r\n\r\n"),
    // RFC 9112, section 6.3, rule 5.
    Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab"),
    // RFC 9112, section 6.1: a coding that is not decoded, `chunked` twice, and a coding of HTTP/1.0.
    Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    Script::Answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    // An upgrade that nobody asked for.
    Script::Answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
];

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_a_bad_answer_and_is_not_tried_again() {
    let upstream = RawUpstream::start(BANNERS[0]).await;
    let host = upstream.host(NEVER_OPENS).await;
    let is_bad = async |script: Script| {
        upstream.follow(script);
        for _ in 0..5 {
            let answer = host.send(request("GET"), "").await;
            assert_eq!((answer.status.as_u16(), kind(&answer)), (502, "bad-answer".to_owned()));
        }
    };
    for script in BANNERS {
        is_bad(*script).await;
    }
    // A banner may come before the request went out, which then is tried again: nobody has seen it.
    let counts = async || {
        let failures = host.endpoints("legacy", "failures").await[0].as_u64().unwrap();
        (host.metric("atoll_retries_total", "legacy").await, usize::try_from(failures).unwrap())
    };
    let (retries, failures) = counts().await;
    let begun = (5 * BANNERS.len()) as f64 + retries;
    eventually("each try had one connection", async || (upstream.connections() as f64 == begun).then_some(())).await;
    for script in BAD_ANSWERS {
        is_bad(*script).await;
    }
    let all = 5 * BAD_ANSWERS.len();
    assert_eq!(counts().await, (retries, failures + all));
    let ended = begun + all as f64;
    eventually("each request had one connection", async || (upstream.connections() as f64 == ended).then_some(()))
        .await;
}

#[tokio::test]
async fn an_early_answer_to_a_large_upload_is_passed_on_and_opens_no_circuit() {
    // RFC 9112, section 9.5. The second answer ends where the connection ends, so its end is lost with the connection.
    let refusals = [
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large",
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\ntoo large",
    ];
    let upstream = RawUpstream::start(Script::Answer("")).await;
    let keys = "limits = { body = \"64MiB\" }\nbreaker = { failure_threshold = 2, recovery_timeout = \"1h\" }";
    let host = upstream.host(keys).await;
    let body = vec![b'x'; 16 << 20];
    let upload = [head("POST", &format!("content-length: {}\r\n", body.len())).into_bytes(), body].concat();
    for refusal in refusals {
        upstream.follow(Script::AnswerEarly(refusal));
        for _ in 0..10 {
            let answer = exchange(&host, &upload).await;
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too large"), "{answer}");
        }
    }
    // An upstream that breaks off without an answer may refuse the body, too.
    upstream.follow(Script::Reset);
    for _ in 0..5 {
        let answer = exchange(&host, &upload).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("problem:reset"), "{answer}");
    }
    upstream.follow(Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    assert_eq!(host.status("/plain/x").await, 200);
    assert_eq!(host.endpoints("legacy", "failures").await, [json!(0)]);
}

#[tokio::test]
async fn an_answer_leaves_with_the_version_and_the_framing_of_the_next_hop() {
    let upstream = RawUpstream::start(Script::Answer("")).await;
    let host = upstream.host(NEVER_OPENS).await;
    // The script, what the client gets as its body, and whether that is whole.
    let cases = [
        // RFC 9110, section 6.2: an intermediary sends its own version.
        (Script::Answer("HTTP/1.0 200 OK\r\n\r\nhello"), "5\r\nhello\r\n0\r\n\r\n"),
        (Script::Answer("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "hello"),
        (Script::Answer("HTTP/1.1 200 OK\r\n\r\nhello"), "5\r\nhello\r\n0\r\n\r\n"),
        // RFC 9112, section 6.3, rule 3: `Transfer-Encoding` overrides `Content-Length`, which is removed.
        (
            Script::Answer(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            Script::Answer(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
            "5\r\nhello\r\n0\r\n\r\n",
        ),
    ];
    for (number, (script, body)) in cases.into_iter().enumerate() {
        upstream.follow(script);
        let answer = exchange(&host, head("GET", "").as_bytes()).await;
        let (head, got) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "answer {number}: {head}");
        assert_eq!(got, body, "answer {number}: {head}");
        assert_eq!(head.contains("content-length: "), body == "hello", "answer {number}: {head}");
    }
    assert_eq!(host.endpoints("legacy", "failures").await, [json!(0)]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_last_chunk_whatever_the_upstreams_version() {
    let upstream = RawUpstream::start(Script::Answer("")).await;
    let host = upstream.host(NEVER_OPENS).await;
    let broken = [
        Script::AnswerAndReset("HTTP/1.0 200 OK\r\n\r\nhello"),
        Script::AnswerAndReset("HTTP/1.1 200 OK\r\n\r\nhello"),
        Script::Answer("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
        Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Script::Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
    ];
    for (number, script) in broken.into_iter().enumerate() {
        upstream.follow(script);
        let answer = exchange(&host, head("GET", "").as_bytes()).await;
        let whole = answer.ends_with("0\r\n\r\n") || answer.contains("content-length: 5\r\n");
        assert!(!answer.starts_with("HTTP/1.0") && !whole, "answer {number}: {answer}");
    }
    assert_eq!(host.endpoints("legacy", "failures").await, [json!(broken.len())]);
}

#[tokio::test]
async fn a_status_beyond_599_counts_as_a_5xx() {
    // RFC 9110, section 15.
    let upstream = RawUpstream::start(Script::Answer("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n")).await;
    let host = upstream.host(NEVER_OPENS).await;
    assert_eq!(host.status("/plain/x").await, 600);
    upstream.follow(Script::Answer("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(host.status("/plain/x").await, 999);
    assert_eq!(host.endpoints("legacy", "failures").await, [json!(2)]);
}

/// The answer to everything that is asked of a service about content.
const NO_CONTENT: Script = Script::Answer("HTTP/1.1 204 No Content\r\n\r\n");
const CHUNKED: &str = "5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn content_of_a_get_or_head_that_comes_in_chunks_is_passed_on() {
    // RFC 9110, sections 9.3.1 and 9.3.2: it has no meaning, but it may be there, and a service may read it.
    let upstream = RawUpstream::start(NO_CONTENT).await;
    let host = upstream.host(NEVER_OPENS).await;
    for method in ["GET", "HEAD", "DELETE"] {
        let request = head(method, "transfer-encoding: chunked\r\n") + CHUNKED;
        let answer = exchange(&host, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{method}: {answer}");
        let seen = upstream.last();
        let (fields, content) = seen.split_once("\r\n\r\n").unwrap();
        assert!(fields.contains("\r\ntransfer-encoding: chunked") && content == CHUNKED, "{method}: {seen}");
        assert!(!fields.contains("content-length"), "{method}: {seen}");
    }
    for (method, fields, content) in [
        ("GET", "", ""),
        ("HEAD", "", ""),
        ("GET", "content-length: 2\r\n", "hi"),
        ("HEAD", "content-length: 0\r\n", ""),
    ] {
        let request = head(method, fields) + content;
        exchange(&host, request.as_bytes()).await;
        let seen = upstream.last();
        assert!(!seen.contains("chunked") && seen.ends_with(&format!("\r\n\r\n{content}")), "{method}: {seen}");
    }
}

#[tokio::test]
async fn content_of_a_guests_get_is_passed_on_or_refused_and_never_lost() {
    let upstream = RawUpstream::start(NO_CONTENT).await;
    let url = format!("http://{}", upstream.address);
    let services = ["hostile", "endings", "endings02"].map(|name| {
        let keys = format!("egress = [\"{url}\"]\nretry = {{ tries = 2 }}\nbreaker = {{ failure_threshold = 1 }}");
        format!("[service.{name}]\ncomponent = \"{{component:fixture-{name}}}\"\n{keys}\n")
            + &route(&format!("/{name}"), name)
    });
    let host = Host::start(&services.concat()).await;
    // A body that the guest has got from its client, and passes on.
    let target = format!("POST /hostile/fetch?url={url}&method=GET HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n");
    let request = format!("{target}transfer-encoding: chunked\r\n\r\n{CHUNKED}");
    let answer = exchange(&host, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let seen = upstream.last();
    assert!(seen.starts_with("GET / ") && seen.ends_with(&format!("\r\n\r\n{CHUNKED}")), "{seen}");
    // A body that the guest writes: its end may depend on the answer, so its content needs a length.
    upstream.follow(Script::Silent);
    for name in ["endings", "endings02"] {
        for _ in 0..5 {
            let answer = host.get(&format!("/{name}/upload/finish/return?to={url}/&method=GET")).await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            let said = String::from_utf8_lossy(&answer.body);
            assert!(said.contains("HttpRequestBodySize"), "{name}: {said}");
        }
    }
    // No content: the guest of 0.3 ends its trailers after it has got the answer.
    upstream.follow(NO_CONTENT);
    for name in ["endings", "endings02"] {
        let answer = host.get(&format!("/{name}/fetch?from={url}/")).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b""[..]), "{name}");
        assert!(upstream.last().ends_with("\r\n\r\n"), "{}", upstream.last());
    }
}

#[tokio::test]
async fn a_guests_body_of_another_length_than_the_announced_one_opens_no_circuit() {
    let upstream = RawUpstream::start(Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let url = format!("http://{}", upstream.address);
    let keys = format!("egress = [\"{url}\"]\nbreaker = {{ failure_threshold = 2, recovery_timeout = \"1h\" }}");
    let service = format!("[service.guest]\ncomponent = \"{{component:fixture-hostile}}\"\n{keys}\n");
    let host = Host::start(&(service + &route("/guest", "guest"))).await;
    let fetch = async |words: &str| {
        let request = http::Request::post(host.url(&format!("/guest/fetch?url={url}{words}")));
        host.http.send(request, "hello").await
    };
    let answer = fetch("&method=GET").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = upstream.last();
    assert!(seen.starts_with("GET / ") && seen.ends_with("\r\n\r\nhello"), "a GET may have content: {seen}");
    // RFC 9112, section 6.3: shorter, longer, and no number.
    for length in ["9", "2", "5", "x"].iter().cycle().take(12) {
        let answer = fetch(&format!("&length={length}")).await;
        assert_eq!(answer.status == 200, *length == "5", "{length}: {answer:?}");
    }
    assert_eq!(fetch("").await.status, 200, "the guest's own fault must open no circuit");
}
