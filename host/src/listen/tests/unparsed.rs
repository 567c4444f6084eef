//! What cannot be parsed as a request is told of, with the status that its sender gets.

use super::*;

/// A server whose parser takes targets beyond hyper's own ceiling of 64 KiB, and what it is told of.
async fn told() -> (SocketAddr, mpsc::Receiver<UnparsedRequest>) {
    let settings = Settings { header_bytes: 256 * 1024, header_timeout: SHORT, ..Settings::default() };
    let (sender, told) = mpsc::channel(64);
    let listener = Listener::bind(settings).await.expect("port 0 is free");
    let listener = listener.on_unparsed(move |request| sender.try_send(request).expect("there is room"));
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(listener.serve(|_, _| async { Response::new(empty_body()) }, Drain::new()));
    (addr, told)
}

#[tokio::test]
async fn each_answer_without_a_request_is_told_of() {
    let (addr, mut told) = told().await;
    let fields: String = (0..200).map(|at| format!("x-{at}: 1\r\n")).collect();
    for (sent, status, kind) in [
        ("\u{1}garbage\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(), 400, "malformed"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(66_000)), 414, "target-too-long"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), 431, "headers-too-large"),
        ("GET / HTTP/1.1\r\n".into(), 408, "slow-headers"),
        // The second of two requests.
        (format!("{GET}GET / HTTP/9\r\n\r\n"), 400, "malformed"),
    ] {
        let mut client = WireClient::connect(addr).await;
        client.send(&sent).await;
        if sent.starts_with(GET) {
            assert_eq!(client.answer().await.status, 200);
        }
        let answer = client.answer().await;
        let request = within(told.recv()).await.expect("the listener runs");
        assert_eq!((answer.status, request.status, request.kind), (status, status, kind));
        assert_eq!(request.peer.addr, client.stream.local_addr().expect("it is connected"));
        assert_eq!(request.request_id.as_ref().map(RequestId::as_str), answer.header("x-request-id"));
    }
    // A request that is served, a preface of HTTP/2, and a client that goes away within its head.
    for sent in [GET, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HT"] {
        let mut client = WireClient::connect(addr).await;
        client.send(sent).await;
        client.stream.shutdown().await.expect("it is connected");
        client.closed().await;
    }
    assert!(told.try_recv().is_err(), "what got no such answer must not be told of");
}
