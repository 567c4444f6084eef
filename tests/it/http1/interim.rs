//! Interim answers (1xx) of a service behind `urls`: RFC 9110, section 15.2, and RFC 8297.

use super::RawClient;
use crate::it::atoll::{Atoll, Home};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nX-Secret: s\r\n\
                     Connection: keep-alive\r\n\r\n";
/// The same as the client gets it.
const PASSED: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A service that answers each request with the next of the texts that it is given, as they come, up to an answer.
async fn service() -> (SocketAddr, mpsc::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, mut texts) = mpsc::channel::<String>(128);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                if head.is_empty() {
                    break;
                }
                loop {
                    let Some(text) = texts.recv().await else { return };
                    stream.write_all(text.as_bytes()).await.unwrap();
                    if text.contains("HTTP/1.1 200 ") {
                        break;
                    }
                }
            }
        }
    });
    (address, send)
}

/// A host with routes to the service: `/x` passes interim answers on, `/edited` and `/bare` change their fields, and
/// `/plain` does not name the key.
async fn host(address: SocketAddr) -> (Home, Atoll) {
    let routes = [
        ("/x", "interim = true"),
        ("/edited", "interim = true\nanswer_headers.set = { Link = \"</own.css>\" }\nsecurity_headers = true"),
        ("/bare", "interim = true\nanswer_headers.remove = [\"Link\"]"),
        ("/plain", ""),
    ]
    .map(|(prefix, keys)| format!("[[route]]\nprefix = \"{prefix}\"\nservice = \"plain\"\n{keys}\n"));
    let home = Home::new(&format!("[service.plain]\nurls = [\"http://{address}\"]\n{}", routes.concat()));
    let atoll = home.start().await;
    (home, atoll)
}

/// Reads up to the end of this text, with which all must begin that comes.
async fn expect(client: &mut RawClient, text: &str) {
    while client.read.len() < text.len() {
        assert!(client.fill().await, "{text}: {:?}", client.rest());
    }
    let got: Vec<u8> = client.read.drain(..text.len()).collect();
    assert_eq!(String::from_utf8_lossy(&got), text);
}

#[tokio::test]
async fn an_interim_answer_comes_before_the_answer_is_there() {
    let (address, service) = service().await;
    let (_home, atoll) = host(address).await;
    let mut client = RawClient::connect(&atoll).await;
    for round in 0..3 {
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        for _ in 0..=round {
            service.try_send(HINTS.into()).unwrap();
            expect(&mut client, PASSED).await;
        }
        service.try_send("HTTP/1.1 102 Processing\r\n\r\n".into()).unwrap();
        expect(&mut client, "HTTP/1.1 102 Processing\r\n\r\n").await;
        service.try_send(ANSWER.into()).unwrap();
        let answer = client.answer().await;
        assert_eq!((answer.status, &*answer.body), (200, "ok"), "{answer:?}");
    }
}

#[tokio::test]
async fn interim_answers_stay_with_their_request_and_do_not_follow_the_answer() {
    let (address, service) = service().await;
    let (_home, atoll) = host(address).await;
    let mut client = RawClient::connect(&atoll).await;
    // All at once from both sides: two requests in one piece, and each time 103 and the answer in one piece.
    let request = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&format!("{request}{request}")).await;
    for _ in 0..2 {
        service.try_send(format!("{HINTS}{ANSWER}")).unwrap();
        expect(&mut client, PASSED).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, &*answer.body), (200, "ok"), "{answer:?}");
    }
    // A client of HTTP/1.0 knows none, and 100 is the gateway's own to send.
    let continued = "HTTP/1.1 100 Continue\r\n\r\n";
    for (line, sent) in [("GET /x HTTP/1.0", HINTS), ("GET /x HTTP/1.1", continued)] {
        let mut client = RawClient::connect(&atoll).await;
        client.send(&format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        service.try_send(format!("{sent}{ANSWER}")).unwrap();
        let whole = client.closed().await;
        assert!(whole.starts_with(&line[7..]) && whole.contains(" 200 OK\r\n"), "{line}: {whole}");
        assert_eq!(whole.matches("HTTP/1.").count(), 1, "{whole}");
    }
}

#[tokio::test]
async fn none_passes_on_a_route_that_does_not_name_the_key() {
    let (address, service) = service().await;
    let (_home, atoll) = host(address).await;
    let mut client = RawClient::connect(&atoll).await;
    client.send("GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    service.try_send(format!("{HINTS}HTTP/1.1 102 Processing\r\n\r\n{HINTS}")).unwrap();
    service.try_send(ANSWER.into()).unwrap();
    let whole = client.closed().await;
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\nok"), "{whole}");
    assert_eq!(whole.matches("HTTP/1.").count(), 1, "{whole}");
}

#[tokio::test]
async fn what_the_route_changes_in_the_links_of_answers_it_changes_in_those_before() {
    let (address, service) = service().await;
    let (_home, atoll) = host(address).await;
    let mut client = RawClient::connect(&atoll).await;
    for (path, hinted, linked) in [("/edited", "link: </own.css>\r\n", Some("</own.css>")), ("/bare", "", None)] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        service.try_send(HINTS.into()).unwrap();
        expect(&mut client, &format!("HTTP/1.1 103 Early Hints\r\n{hinted}\r\n")).await;
        // What has no `Link` gets none.
        service.try_send("HTTP/1.1 102 Processing\r\n\r\n".into()).unwrap();
        expect(&mut client, "HTTP/1.1 102 Processing\r\n\r\n").await;
        service.try_send(ANSWER.replace("\r\n\r\n", "\r\nLink: </a.css>\r\n\r\n")).unwrap();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("link")), (200, linked), "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_that_sends_nothing_but_interim_answers_fills_no_memory() {
    let (address, service) = service().await;
    let (_home, atoll) = host(address).await;
    let mut client = RawClient::connect(&atoll).await;
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let before = atoll.resident();
    for _ in 0..100 {
        service.try_send(HINTS.repeat(1000)).unwrap();
    }
    service.try_send(ANSWER.into()).unwrap();
    // The client reads nothing yet, and 16 KiB wait for it beside what the kernel has taken.
    let mut heads = 0;
    let answer = loop {
        let answer = client.answer().await;
        match answer.status {
            103 => heads += 1,
            _ => break answer,
        }
    };
    assert_eq!((answer.status, &*answer.body), (200, "ok"), "{answer:?}");
    assert!((1..=100_000).contains(&heads), "{heads}");
    assert!(atoll.resident() < before + 32 * 1024, "{} KiB before, {} KiB after", before, atoll.resident());
}
