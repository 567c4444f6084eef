//! What becomes of a connection when its exchange is over, and who is woken by it.

use super::super::connection_pool::ConnectionPool;
use super::super::connector::Connector;
use super::super::exchange::exchange;
use super::super::http_connection::{HttpConnection, SentBody};
use super::*;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(30);

fn client(server: SocketAddr) -> HttpClient {
    HttpClient::fixed(base("http", "users.example", server, ""), server, &dial())
}

async fn connect(server: SocketAddr) -> HttpConnection {
    let connector = Connector::fixed(&base("http", "users.example", server, ""), server, &dial());
    HttpConnection::open(connector.connect().await.unwrap()).await.unwrap()
}

/// Waits until `done`, whatever else this thread has to do for that.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

/// A server whose answers have as many bytes as the request's path says, in chunks if it begins with `/c`.
async fn sized() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            tokio::spawn(answer_sizes(stream));
        }
    });
    (address, connections)
}

async fn answer_sizes(mut stream: TcpStream) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let size: usize = path[2..].parse().unwrap();
        let body = "x".repeat(size);
        let answer = if path.starts_with("/c") {
            let chunk = if size > 0 { format!("{size:x}\r\n{body}\r\n") } else { String::new() };
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{body}")
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_share_no_answer_and_no_more_connections_than_they_are() {
    let (address, connections) = sized().await;
    let client = client(address);
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let client = client.clone();
        tasks.spawn(async move {
            for size in [0, 1, 4000, 70_000, 1 << 20, 3, 0, 200_000].iter().cycle().skip(task).take(40) {
                let path = format!("/{}{size}", if (size + task) % 2 == 0 { "c" } else { "l" });
                assert_eq!(get_text(&client, &path).await.unwrap().len(), *size, "{path}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(connections.load(Relaxed) <= 8, "{connections:?} connections");
}

#[tokio::test]
async fn a_connection_is_kept_after_a_long_answer_and_closed_where_much_of_it_is_not_read() {
    let (address, connections) = sized().await;
    let client = client(address);
    // To the last byte, and not to the end that follows: so reads who knows the length.
    let mut whole = client.send(get("/l1000000"), &long_deadline()).await.unwrap().into_body();
    while !http_body::Body::is_end_stream(&whole) {
        whole.frame().await.unwrap().unwrap();
    }
    drop(whole);
    // Not read at all, but it is here with its head.
    drop(client.send(get("/l100"), &long_deadline()).await.unwrap());
    assert_eq!(get_text(&client, "/c0").await.unwrap(), "");
    assert_eq!(connections.load(Relaxed), 1);
    // Not read, and longer than what was read ahead.
    drop(client.send(get("/l10000000"), &long_deadline()).await.unwrap());
    assert_eq!(get_text(&client, "/l1").await.unwrap(), "x");
    assert_eq!(connections.load(Relaxed), 2);
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_its_answer_and_its_connection_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, mut head) = mpsc::channel(1);
    // It takes one connection.
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 16];
        stream.read_exact(&mut request).await.unwrap();
        // It answers before it has the body, with more than a connection buffers, and goes on reading meanwhile.
        let (mut reader, mut writer) = stream.split();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n{}", "a".repeat(20_000_000));
        let read = async {
            let mut rest = Vec::new();
            while !rest.ends_with(b"\r\n0\r\n\r\n") {
                reader.read_buf(&mut rest).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(writer.write_all(answer.as_bytes()), read);
        sent.unwrap();
        serve(stream, 0, OK, Then::Keep, heads).await;
    });
    let client = client(address);
    let (upload, pieces) = mpsc::channel(1);
    let pieces = futures_util::stream::unfold(pieces, async |mut pieces: mpsc::Receiver<Bytes>| {
        pieces.recv().await.map(|piece| (Ok(Frame::data(piece)), pieces))
    });
    let request = http::Request::post("/").body(BodyExt::boxed_unsync(StreamBody::new(Box::pin(pieces)))).unwrap();
    let answer = client.send(request, &long_deadline()).await.unwrap();
    for _ in 0..100 {
        let piece = Bytes::from(vec![b'u'; 100_000]);
        tokio::time::timeout(LONG, upload.send(piece)).await.expect("the upload waits for the reader").unwrap();
    }
    drop(upload);
    assert_eq!(text(answer).await.unwrap().len(), 20_000_000);
    assert_eq!(get_text(&client, "/").await.unwrap(), "hi");
    assert!(head.recv().await.unwrap().1.starts_with("GET / "));
}

#[tokio::test]
async fn the_rounds_close_what_the_server_closed_and_what_lies_idle_for_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pool = ConnectionPool::new();
    let (mut ends, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let connection = connect(address).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let (request, end) = SentBody::of(get("/"));
        let answering = async {
            let mut head = [0; 4];
            stream.read_exact(&mut head).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(exchange(connection, request, &end, &pool), answering);
        drop(answer.map_err(|failed| failed.error).unwrap());
        idle.push(pool.take().unwrap());
        ends.push(stream);
    }
    idle.into_iter().for_each(|connection| pool.put(connection));
    assert_eq!(pool.len(), 2);
    pool.sweep();
    assert_eq!(pool.len(), 2, "both are open, and young");
    drop(ends.remove(0));
    until("the closed one is found", || {
        pool.drop_ended();
        pool.len() == 1
    })
    .await;
    for _ in 1..6 {
        assert_eq!(pool.len(), 1);
        pool.sweep();
    }
    assert_eq!(pool.len(), 0);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LONG, ends[0].read_to_end(&mut rest)).await;
    read.expect("the connection is closed").unwrap();
}

/// Counts how often its task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn a_task_is_woken_by_its_own_answer_and_by_nothing_else() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    let client = client(server.address);
    let tasks = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
    for (task, wakes) in tasks.iter().enumerate() {
        let waker = Waker::from(Arc::clone(wakes));
        let mut cx = Context::from_waker(&waker);
        let context = long_deadline();
        if task == 0 {
            // The connection itself makes wakes of its own.
            get_text(&client, "/").await.unwrap();
            server.head().await;
        }
        let mut sending = pin!(client.send(get("/"), &context));
        assert!(sending.as_mut().poll(&mut cx).is_pending());
        until("the answer wakes its task", || wakes.0.load(Relaxed) > 0).await;
        let Poll::Ready(answer) = sending.as_mut().poll(&mut cx) else { panic!("the answer is here") };
        let mut body = answer.unwrap().into_body();
        let Poll::Ready(Some(Ok(frame))) = pin!(body.frame()).poll(&mut cx) else { panic!("so is its body") };
        assert_eq!(frame.into_data().unwrap(), "hi");
        drop(body);
        server.head().await;
    }
    assert_eq!(tasks.map(|wakes| wakes.0.load(Relaxed)), [1, 1]);
}
