//! Peers that send, read or do nothing, and what they may hold.

use super::*;
use futures_util::StreamExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PIECE: usize = 64 * 1024;

/// A body of so many pieces. Each piece that is read counts in `read`, and `guard` is dropped with the body.
fn pieces(count: usize, read: Arc<AtomicUsize>, guard: NotifyOnDrop) -> Body {
    let pieces = stream::iter(0..count).map(move |_| {
        let _held = &guard;
        read.fetch_add(1, Relaxed);
        Ok(Frame::data(Bytes::from(vec![7; PIECE])))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// A server whose answers have so many pieces. The receiver is told of each body that the connection has dropped, and
/// whether it was cut off as too slow; the counter has the pieces that were read.
async fn large(settings: Settings, count: usize) -> (TestServer, mpsc::Receiver<()>, Arc<AtomicUsize>) {
    let (gone, dropped) = mpsc::channel(64);
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let server = serve(settings, move |_, peer: Peer| {
        let body = pieces(count, Arc::clone(&counter), NotifyOnDrop(gone.clone()));
        async move { Response::new(peer.read_ahead(body)) }
    })
    .await;
    (server, dropped, read)
}

#[tokio::test]
async fn an_answer_is_read_ahead_of_a_peer_that_reads_nothing_and_arrives_whole() {
    const COUNT: usize = 512;
    let settings = Settings { answer_buffer: 64 << 20, answer_memory: 128 << 20, ..Settings::default() };
    // 32 MiB: more than kernel and hyper take together.
    let (server, mut dropped, _) = large(settings, COUNT).await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send(GET).await;
    assert_eq!(within(dropped.recv()).await, Some(()), "the service is done while the peer has read nothing");
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, COUNT * PIECE));
    assert!(answer.body.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn what_is_read_ahead_is_bounded_for_each_answer_and_for_all() {
    for (each, all) in [(1 << 20, 64 << 20), (64 << 20, 1 << 20), (0, 64 << 20)] {
        let bounds = Settings { answer_buffer: each, answer_memory: all, ..Settings::default() };
        let settings = Settings { write_timeout: SHORT * 4, min_download_rate: 0, ..bounds };
        let (server, mut dropped, read) = large(settings, usize::MAX).await;
        let mut wire = WireClient::connect(server.addr).await;
        wire.send(GET).await;
        // The peer reads nothing until the connection is cut off.
        assert_eq!(within(dropped.recv()).await, Some(()));
        // The kernel takes some megabytes (`net.ipv4.tcp_wmem`, `tcp_rmem`), and hyper 64 KiB.
        assert!(read.load(Relaxed) * PIECE < 16 << 20, "{each} {all}: {} pieces", read.load(Relaxed));
    }
}

#[tokio::test]
async fn a_peer_that_reads_too_slowly_is_cut_off() {
    let strict = Settings { min_download_rate: 1 << 20, rate_grace: SHORT, ..Settings::default() };
    // A peer that goes away by itself is not slow.
    for (settings, leaves) in [(strict, false), (Settings::default(), true)] {
        let (slow, mut seen) = mpsc::channel(1);
        let server = serve(settings, move |_, peer: Peer| {
            let slow = slow.clone();
            let (gone, mut dropped) = mpsc::channel(1);
            let body = pieces(usize::MAX, Arc::default(), NotifyOnDrop(gone));
            tokio::spawn(async move {
                dropped.recv().await;
                let _ = slow.send(peer.was_too_slow()).await;
            });
            async move { Response::new(body) }
        })
        .await;
        let mut wire = Some(WireClient::connect(server.addr).await);
        wire.as_mut().expect("it is open").send(GET).await;
        if leaves {
            wire = None;
        }
        assert_eq!(within(seen.recv()).await, Some(!leaves));
        drop(wire);
    }
}

#[tokio::test]
async fn a_stream_that_is_quiet_for_longer_than_the_grace_goes_on() {
    let settings = Settings { min_download_rate: 1 << 20, rate_grace: SHORT, ..Settings::default() };
    let (events, source) = mpsc::channel::<&str>(1);
    let source = Arc::new(Mutex::new(Some(source)));
    let server = serve(settings, move |_, peer: Peer| {
        let mut source = source.lock().expect("no panic").take().expect("one request");
        let body = stream::poll_fn(move |context| {
            source.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(Bytes::from(event)))))
        });
        async move { Response::new(peer.read_ahead(StreamBody::new(body).boxed_unsync())) }
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    wire.head().await;
    for _ in 0..3 {
        tokio::time::sleep(SHORT * 2).await;
        events.send("event").await.expect("the stream goes on");
    }
    drop(events);
    assert!(wire.closed().await.ends_with("0\r\n\r\n"), "the stream ends whole");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_fails_until_the_head_of_the_answer() {
    let settings = || Settings { min_upload_rate: 1 << 20, rate_grace: SHORT, ..Settings::default() };
    let (server, _) = echo(settings()).await;
    for head in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire.request(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).await;
        assert_eq!((answer.text(), answer.header("connection")), ("broken: slow-body", Some("close")));
    }
    // A service that answers at once, with the body of its request, is in a conversation.
    let server = serve(settings(), |request: Request<Body>, _| async { Response::new(request.into_body()) }).await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    wire.head().await;
    tokio::time::sleep(SHORT * 2).await;
    wire.send("2\r\nhi\r\n0\r\n\r\n").await;
    assert_eq!(wire.closed().await, "2\r\nhi\r\n0\r\n\r\n");
    // A peer that has said how much it sends is in none, and its connection is closed.
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    wire.head().await;
    assert_eq!(wire.closed().await, "");
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let (server, _) = echo(Settings { connections: 2, ..Settings::default() }).await;
    let (mut older, mut newer) = (WireClient::connect(server.addr).await, WireClient::connect(server.addr).await);
    assert_eq!(older.request(GET).await.status, 200);
    assert_eq!(newer.request(GET).await.status, 200);
    for _ in 0..2 {
        let mut new = WireClient::connect(server.addr).await;
        assert_eq!(new.request(GET).await.status, 200, "it gets the place of the older one");
        assert_eq!(older.closed().await, "");
        (older, newer) = (newer, new);
    }
}

#[tokio::test]
async fn an_answer_that_its_peer_takes_slowly_arrives_whole_whatever_would_end_its_connection() {
    const COUNT: usize = 512;
    let (keep, close) = (GET, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let left = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    for (request, end) in [(keep, "room"), (keep, "idle"), (keep, "half"), (close, "drain"), (left, "body left")] {
        let idle_timeout = if end == "idle" { SHORT } else { Duration::from_secs(60) };
        let settings = Settings { connections: 1, idle_timeout, answer_buffer: 0, ..Settings::default() };
        // One piece, so that all of the answer is in hyper's buffer at once.
        let server =
            serve(settings, |_, _| async { Response::new(full_body(Bytes::from(vec![7; COUNT * PIECE]))) }).await;
        let mut wire = WireClient::connect(server.addr).await;
        wire.send(request).await;
        wire.stream.readable().await.expect("an answer");
        let mut new = None;
        match end {
            "room" => {
                let mut wire = WireClient::connect(server.addr).await;
                wire.send(GET).await;
                new = Some(wire);
            }
            "half" => wire.stream.shutdown().await.expect("the half closes"),
            "drain" => server.drain.start(Duration::from_secs(60)),
            _ => {}
        }
        // Long enough for a connection that wrongly counts as idle to be closed.
        tokio::time::sleep(SHORT * 2).await;
        let answer = wire.answer().await;
        assert_eq!((answer.whole, answer.body.len()), (true, COUNT * PIECE), "{end}");
        if let Some(mut new) = new {
            assert!(new.answer().await.whole, "then the connection is idle, and makes room");
        }
    }
}

#[tokio::test]
async fn a_connection_that_has_sent_no_request_makes_room_too() {
    let (server, _) = echo(Settings { connections: 2, ..Settings::default() }).await;
    let (mut silent, mut lines) = (WireClient::connect(server.addr).await, WireClient::connect(server.addr).await);
    lines.send("\r\n\r\n").await;
    let mut new = [WireClient::connect(server.addr).await, WireClient::connect(server.addr).await];
    let asked = tokio::time::Instant::now();
    for wire in &mut new {
        assert_eq!(wire.request(GET).await.status, 200);
    }
    assert!(asked.elapsed() < Settings::default().header_timeout, "they waited for the timeout of the silent ones");
    assert_eq!((silent.closed().await, lines.closed().await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_while_no_other_is_idle() {
    let gated = gated(Settings { connections: 1, ..Settings::default() }).await;
    let mut busy = WireClient::connect(gated.server.addr).await;
    busy.send(GET).await;
    within(gated.arrived.notified()).await;
    let mut second = WireClient::connect(gated.server.addr).await;
    second.send(GET).await;
    assert!(tokio::time::timeout(SHORT, second.stream.readable()).await.is_err(), "served beyond the bound");
    gated.permission.notify_one();
    assert_eq!(busy.answer().await.status, 200);
    // Now the first one is idle, and makes room.
    within(gated.arrived.notified()).await;
    gated.permission.notify_one();
    assert_eq!(second.answer().await.status, 200);
}
