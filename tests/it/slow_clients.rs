//! Clients that send or read slowly: what they hold, how they end, and that the other clients of the service do not
//! notice. For services behind `urls`, for components, and for typed routes.

use super::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use super::http2::raw_client::{DATA, END_HEADERS, END_STREAM, HEADERS, RawClient, frame, request};
use super::open_exchange::in_flight;
use super::plain_server::PlainServer;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// More than kernel and gateway hold of an answer by themselves.
const LARGE: usize = 24 << 20;

/// One call at a time, and no queue: whoever holds the only place makes every other request fail.
async fn host(gateway: &str) -> (Home, Atoll, PlainServer) {
    let plain = PlainServer::start("plain").await;
    let limits = "limits = { concurrency = 1, waiting = 0, timeout = \"1m\" }\nejection = { most = 0 }";
    let home = Home::new(&format!(
        r#"
        [gateway]
        timeout = "1m"
        {gateway}

        [service.plain]
        urls = ["http://{}"]
        {limits}

        [[route]]
        prefix = "/plain"
        strip_prefix = "/plain"
        service = "plain"

        [service.guest]
        component = "{{component:fixture-hostile}}"
        {limits}

        [[route]]
        prefix = "/guest"
        strip_prefix = "/guest"
        service = "guest"
        "#,
        plain.address
    ));
    let atoll = home.start().await;
    (home, atoll, plain)
}

/// A client whose kernel takes few bytes by itself.
async fn connect(atoll: &Atoll) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(atoll.gateway.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

/// Reads up to the end of a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(TIMEOUT, stream.read_u8()).await.expect("the gateway is silent").unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection that was cut off ends with an error, after what has arrived.
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut rest)).await.expect("the connection did not end");
    rest
}

/// Begins an upload of this many bytes, sends one, and waits until the gateway reads the body.
async fn begin_upload(atoll: &Atoll, path: &str, framing: &str) -> TcpStream {
    let mut stream = connect(atoll).await;
    let head_of_request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
    stream.write_all(head_of_request.as_bytes()).await.unwrap();
    let first = head(&mut stream).await;
    assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
    stream
}

async fn begin_download(atoll: &Atoll, path: &str) -> TcpStream {
    let mut stream = connect(atoll).await;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let first = head(&mut stream).await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    stream
}

async fn status(atoll: &Atoll, path: &str) -> u16 {
    Http::default().get(&format!("{}{path}", atoll.gateway)).await.status.as_u16()
}

async fn failures(atoll: &Atoll, service: &str) -> Value {
    let service = Http::default().get(&format!("{}/v1/services/{service}", atoll.admin)).await.json();
    service["endpoints"][0]["failures"].clone()
}

/// A service that answers each connection with as much as the other side takes of a long answer. It counts the bytes.
async fn endless(written: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let written = Arc::clone(&written);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.is_ok_and(|count| count > 0)
                {}
                let mut left = &b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"[..];
                while let Ok(count @ 1..) = stream.write(left).await {
                    written.fetch_add(count, Relaxed);
                    left = &[b'x'; 64 << 10];
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_slow_reader_of_an_address_costs_little_memory() {
    // hyper's defaults would be 400 KiB for each side of the host: 0.9 MiB for each reader.
    const READERS: usize = 100;
    const EACH: u64 = 400;
    let written = Arc::new(AtomicUsize::new(0));
    let address = endless(Arc::clone(&written)).await;
    let service = format!("[service.plain]\nurls = [\"http://{address}\"]\nlimits = {{ timeout = \"1m\" }}\n");
    let route = "[[route]]\nprefix = \"/\"\nservice = \"plain\"\n";
    let home = Home::new(&format!("[gateway]\nanswer_buffer = 0\nmin_download_rate = 0\n{service}{route}"));
    let atoll = home.start().await;
    // The first one has what the others have too: code, pools, threads.
    let mut readers = vec![begin_download(&atoll, "/").await];
    let still = async || {
        let mut last = (written.load(Relaxed), Instant::now());
        eventually("the service can write nothing more", async || {
            let now = written.load(Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > Duration::from_millis(500)).then_some(())
        })
        .await;
    };
    still().await;
    let before = atoll.resident();
    for _ in 0..READERS {
        readers.push(begin_download(&atoll, "/").await);
    }
    still().await;
    let more = atoll.resident().saturating_sub(before);
    assert!(more < EACH * READERS as u64, "{more} KiB for {READERS} readers");
    in_flight(&atoll, "plain", READERS as u64 + 1).await;
}

#[tokio::test]
async fn a_slow_upload_holds_no_place_of_its_service() {
    let (_home, atoll, _plain) = host("min_upload_rate = 0").await;
    for (service, echo) in [("plain", "/plain/echo"), ("guest", "/guest/echo")] {
        let mut uploads = Vec::new();
        for length in [5, 5, 64 << 10] {
            let mut upload = begin_upload(&atoll, echo, &format!("Content-Length: {length}")).await;
            upload.write_all(b"h").await.unwrap();
            uploads.push(upload);
        }
        let mut long = connect(&atoll).await;
        let head_of_request = format!("POST {echo} HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\nh");
        long.write_all(head_of_request.as_bytes()).await.unwrap();
        assert_eq!(status(&atoll, &format!("/{service}/ok")).await, 200, "{service}");
        in_flight(&atoll, service, 0).await;
        // They are served when they have sent enough.
        for upload in &mut uploads[..2] {
            upload.write_all(b"ello").await.unwrap();
            let answer = head(upload).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        // The first 64 KiB of a long one are read, and then the service is called, and streams.
        long.write_all(&vec![b'x'; 64 << 10]).await.unwrap();
        let answer = head(&mut long).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop((uploads, long));
        in_flight(&atoll, service, 0).await;
        assert_eq!(failures(&atoll, service).await, 0);
    }
}

/// Two calls at a time, of which one may have a client that still sends.
const TWO: &str = "limits = { concurrency = 2, open_uploads = 1, waiting = 16, wait = \"10s\", timeout = \"1m\" }";

/// A host with [`TWO`] for each of its services, which speaks HTTP/2 by prior knowledge.
async fn host_of_two() -> (Home, Atoll, PlainServer) {
    let plain = PlainServer::start("plain").await;
    let home = Home::new(&format!(
        r#"
        [gateway]
        timeout = "1m"
        min_upload_rate = 0

        [gateway.http2]
        prior_knowledge = true

        [service.plain]
        urls = ["http://{}"]
        {TWO}

        [[route]]
        prefix = "/plain"
        strip_prefix = "/plain"
        service = "plain"

        [service.guest]
        component = "{{component:fixture-hostile}}"
        {TWO}

        [[route]]
        prefix = "/guest"
        strip_prefix = "/guest"
        service = "guest"
        "#,
        plain.address
    ));
    let atoll = home.start().await;
    (home, atoll, plain)
}

#[tokio::test]
async fn slow_uploads_of_unknown_length_leave_places_to_others() {
    let (_home, atoll, _plain) = host_of_two().await;
    for (service, echo) in [("plain", "/plain/echo"), ("guest", "/guest/echo")] {
        let mut first = connect(&atoll).await;
        let chunked = format!("POST {echo} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n");
        first.write_all(chunked.as_bytes()).await.unwrap();
        // It pauses, and may be waiting for the service.
        in_flight(&atoll, service, 1).await;
        let mut uploads = Vec::new();
        for framing in ["", "Expect: 100-continue\r\n", "Content-Type: application/grpc\r\n", ""] {
            let mut upload = connect(&atoll).await;
            let request = chunked.replace("Host: a\r\n", &format!("Host: a\r\n{framing}"));
            upload.write_all(request.as_bytes()).await.unwrap();
            uploads.push(upload);
        }
        let mut long = connect(&atoll).await;
        let head_of_long = format!("POST {echo} HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
        long.write_all(head_of_long.as_bytes()).await.unwrap();
        long.write_all(&vec![b'x'; 64 << 10]).await.unwrap();
        let mut http2 = RawClient::start(&atoll.gateway, &[]).await;
        for stream in [1, 3, 5] {
            http2.send(&frame(HEADERS, END_HEADERS, stream, &request("POST", echo, &[]))).await;
            http2.send(&frame(DATA, 0, stream, b"h")).await;
        }
        assert!(http2.is_alive().await);
        for _ in 0..20 {
            assert_eq!(status(&atoll, &format!("/{service}/ok")).await, 200, "{service}");
        }
        in_flight(&atoll, service, 1).await;
        // Another one that sends all at once needs to wait for nobody.
        let mut whole = connect(&atoll).await;
        whole.write_all(format!("{chunked}0\r\n\r\n").as_bytes()).await.unwrap();
        assert!(head(&mut whole).await.starts_with("HTTP/1.1 200 "));
        // The slow ones are served, one after the other, as they send the rest.
        for mut upload in std::iter::once(first).chain(uploads) {
            upload.write_all(b"1\r\ni\r\n0\r\n\r\n").await.unwrap();
            let mut answer = head(&mut upload).await;
            if answer.starts_with("HTTP/1.1 100 ") {
                answer = head(&mut upload).await;
            }
            assert!(answer.starts_with("HTTP/1.1 200 "), "{service}: {answer}");
        }
        for stream in [1, 3, 5] {
            http2.send(&frame(DATA, END_STREAM, stream, b"i")).await;
        }
        for _ in 0..3 {
            assert_eq!(http2.next_of(HEADERS).await.unwrap().status(), 200, "{service}");
        }
        assert!(head(&mut long).await.starts_with("HTTP/1.1 200 "), "{service}");
        drop(long);
        in_flight(&atoll, service, 0).await;
        assert_eq!(failures(&atoll, service).await, 0);
    }
}

#[tokio::test]
async fn a_slow_reader_holds_no_place_of_its_service_and_gets_the_whole_answer() {
    let (_home, atoll, _plain) = host("answer_buffer = \"32MiB\"\nmin_download_rate = 0").await;
    let guest = format!("/guest/stream?chunks={}&bytes=65536", LARGE >> 16);
    for (service, large) in [("plain", format!("/plain/large/{LARGE}")), ("guest", guest)] {
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push(begin_download(&atoll, &large).await);
            in_flight(&atoll, service, 0).await;
        }
        assert_eq!(status(&atoll, &format!("/{service}/ok")).await, 200, "{service}");
        for reader in readers {
            let rest = read_to_end(reader).await;
            assert!(rest.len() >= LARGE, "{service}: {} bytes", rest.len());
            assert!(service == "plain" || rest.ends_with(b"0\r\n\r\n"), "the answer of {service} is not whole");
        }
    }
}

#[tokio::test]
async fn a_client_below_the_least_rate_is_cut_off_and_nobody_else_is_blamed() {
    let rates = "min_upload_rate = \"1MiB\"\nmin_download_rate = \"1MiB\"\nrate_grace = \"200ms\"\nanswer_buffer = 0";
    let (_home, atoll, _plain) = host(rates).await;
    let guest = format!("/guest/stream?chunks={}&bytes=65536", LARGE >> 16);
    for (service, large) in [("plain", format!("/plain/large/{LARGE}")), ("guest", guest)] {
        // The gateway reads the first body itself. The service reads the other one, as it comes.
        for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            if service == "guest" && framing.starts_with("Transfer") {
                // This guest answers before it reads, and then nothing is slow.
                continue;
            }
            let upload = begin_upload(&atoll, &format!("/{service}/x"), framing).await;
            let answer = String::from_utf8(read_to_end(upload).await).unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{service}, {framing}: {answer}");
            assert!(answer.contains("urn:atoll:problem:slow-body"), "{answer}");
        }
        let reader = begin_download(&atoll, &large).await;
        in_flight(&atoll, service, 0).await;
        let line = atoll.logged("\"end\":\"slow\"").await;
        assert!(line.contains(&format!("\"service\":\"{service}\"")) || service == "guest", "{line}");
        assert!(read_to_end(reader).await.len() < LARGE, "{service}");
        assert_eq!(failures(&atoll, service).await, 0);
        assert_eq!(status(&atoll, &format!("/{service}/ok")).await, 200);
    }
}
