//! Whether a body is whole is what its guest said, and not how the guest ended: a body that the guest has ended is
//! whole though the guest then exits or traps, and a body that it has not ended is broken off though the guest returns.

use crate::it::atoll::{Atoll, Home, Http, TIMEOUT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How often each case is tried, since an instance may be polled by its caller or by its own task.
const TIMES: usize = 5;

/// The service, how it ends its body, how it ends itself, and whether the body is whole.
const ANSWERS: [(&str, &str, &str, bool); 23] = [
    ("endings02", "finish", "exit", true),
    ("endings02", "finish", "fail", true),
    ("endings02", "finish", "trap", true),
    ("endings02", "finish", "return", true),
    ("endings02", "drop", "exit", false),
    ("endings02", "drop", "return", false),
    ("endings02", "half", "exit", false),
    ("endings02", "half", "fail", false),
    ("endings02", "half", "trap", false),
    ("endings02", "half", "return", false),
    ("endings02", "leave", "exit", false),
    ("endings02", "leave", "fail", false),
    ("endings02", "leave", "trap", false),
    ("endings02", "leave", "return", false),
    ("endings", "finish", "exit", true),
    ("endings", "finish", "fail", true),
    ("endings", "finish", "trap", true),
    ("endings", "finish", "return", true),
    ("endings", "leave", "exit", false),
    ("endings", "leave", "fail", false),
    ("endings", "leave", "trap", false),
    // With the length in the head, the last byte is the end.
    ("marks02", "", "", true),
    ("marks", "", "", true),
];

fn manifest(isolation: &str, upstream: &str) -> String {
    let service = |name: &str| {
        format!(
            r#"
[service.{name}]
component = "{{component:fixture-{name}}}"
isolation = "{isolation}"
calls = ["upstream"]
limits = {{ timeout = "1m", wait = "1m" }}
breaker = {{ failure_threshold = 1000 }}
retry = {{ tries = 0 }}

[[route]]
prefix = "/{name}"
strip_prefix = "/{name}"
service = "{name}"
"#
        )
    };
    let services: String = ["endings", "endings02", "marks", "marks02"].map(service).concat();
    format!("[service.upstream]\nurls = [\"{upstream}\"]\nretry = {{ tries = 0 }}\n{services}")
}

/// The whole exchange of a GET on a connection of its own, as bytes.
async fn get(atoll: &Atoll, path: &str) -> String {
    let mut stream = TcpStream::connect(atoll.gateway.trim_start_matches("http://")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("the answer ends").unwrap();
    String::from_utf8(answer).unwrap()
}

/// Whether a message is whole by its framing (RFC 9112, sections 6.3, 7.1 and 8).
fn is_whole(message: &str) -> bool {
    let Some((head, body)) = message.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => body.len() == length.parse::<usize>().unwrap(),
        None => head.contains("transfer-encoding: chunked") && (body == "0\r\n\r\n" || body.ends_with("\r\n0\r\n\r\n")),
    }
}

#[tokio::test]
async fn an_answer_is_whole_if_and_only_if_its_guest_has_ended_the_body() {
    let mut wrong = Vec::new();
    for isolation in ["request", "reuse"] {
        let home = Home::new(&manifest(isolation, "http://127.0.0.1:9"));
        let atoll = home.start().await;
        let http = Http::default();
        let failures = async |service: &str| {
            let service = http.get(&format!("{}/v1/services/{service}", atoll.admin)).await.json();
            service["endpoints"][0]["failures"].as_u64().unwrap()
        };
        for (service, body, guest, whole) in ANSWERS {
            let path =
                if body.is_empty() { format!("/{service}/visit") } else { format!("/{service}/answer/{body}/{guest}") };
            for time in 0..TIMES {
                let before = failures(service).await;
                let answer = get(&atoll, &path).await;
                if whole != (answer.starts_with("HTTP/1.1 200") && is_whole(&answer)) {
                    wrong.push(format!("{isolation} {path}, time {time}: {answer:?}"));
                }
                if whole && failures(service).await > before {
                    wrong.push(format!("{isolation} {path}, time {time}: counted as a failure"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a kept instance that writes without end has ended its call shows in the next call, which needs its place.
#[tokio::test]
async fn a_guest_does_not_wait_for_a_reader_that_is_gone() {
    let manifest = manifest("reuse", "http://127.0.0.1:9");
    let home = Home::new(&manifest.replace("limits = { ", "limits = { concurrency = 1, "));
    let atoll = home.start().await;
    for _ in 0..TIMES {
        // The answer to HEAD has no reader at all.
        for (method, bytes) in [("HEAD", 0), ("GET", 65_536)] {
            let mut stream = TcpStream::connect(atoll.gateway.trim_start_matches("http://")).await.unwrap();
            let request = format!("{method} /endings02/endless HTTP/1.1\r\nhost: a.test\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") || answer.len() < bytes {
                let read = timeout(TIMEOUT, stream.read_buf(&mut answer)).await.expect("the answer begins").unwrap();
                assert!(read > 0, "{method}: {}", String::from_utf8_lossy(&answer));
            }
            drop(stream);
            let next = get(&atoll, "/endings02/told").await;
            assert!(next.starts_with("HTTP/1.1 200"), "after {method}: {next}");
        }
    }
}

/// A server that reads uploads. It answers those that are whole, and sends what it got of each.
async fn upstream() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (uploads, got) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let uploads = uploads.clone();
            tokio::spawn(async move {
                let mut upload = Vec::new();
                while !is_whole(&String::from_utf8_lossy(&upload))
                    && stream.read_buf(&mut upload).await.is_ok_and(|count| count > 0)
                {}
                let _ = uploads.send(String::from_utf8(upload).unwrap()).await;
                let _ = stream.write_all(b"HTTP/1.1 204 \r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    (url, got)
}

#[tokio::test]
async fn an_upload_is_whole_only_if_its_guest_has_ended_the_body() {
    let (url, mut got) = upstream().await;
    let mut wrong = Vec::new();
    for isolation in ["request", "reuse"] {
        let home = Home::new(&manifest(isolation, &url));
        let atoll = home.start().await;
        for (service, body, guest) in [
            ("endings02", "half", "exit"),
            ("endings02", "half", "trap"),
            ("endings02", "leave", "exit"),
            ("endings02", "leave", "trap"),
            ("endings02", "finish", "return"),
            ("endings", "leave", "exit"),
            ("endings", "leave", "trap"),
            ("endings", "finish", "return"),
        ] {
            for time in 0..TIMES {
                let path = format!("/{service}/upload/{body}/{guest}?to=http://upstream.internal/{body}");
                let answer = get(&atoll, &path).await;
                let whole = body == "finish";
                if whole != answer.starts_with("HTTP/1.1 200") {
                    wrong.push(format!("{isolation} {path}, time {time}: {answer:?}"));
                }
                // An upload may come after its guest's answer, so it is known by its target. The guest may be gone
                // before the first byte.
                while let Ok(upload) = got.try_recv() {
                    if !upload.is_empty() && is_whole(&upload) != upload.starts_with("POST /finish ") {
                        wrong.push(format!("{isolation}, by {path}, time {time}: {upload:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
