//! The end of the host: requests in flight finish, nothing new begins, and a deadline holds.

use super::atoll::{Atoll, Home, Http, PATIENCE, eventually};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use std::convert::Infallible;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A host with both fixtures that can be made to wait, for as long as it takes.
fn home(drain: &str) -> Home {
    Home::new(&format!(
        r#"
        [gateway]
        drain = "{drain}"
        timeout = "10m"

        [service.hello]
        component = "{{component:fixture-hello}}"

        [service.hostile]
        component = "{{component:fixture-hostile}}"
        limits = {{ timeout = "10m" }}

        [[route]]
        prefix = "/hello"
        strip_prefix = "/hello"
        service = "hello"

        [[route]]
        prefix = "/hostile"
        strip_prefix = "/hostile"
        service = "hostile"
        "#
    ))
}

/// An exchange that is in flight for as long as the test wants: the service echoes what the test sends.
struct Held {
    pieces: mpsc::Sender<Bytes>,
    answer: Response<Incoming>,
}

impl Held {
    async fn begin(atoll: &Atoll) -> Self {
        let gateway = atoll.gateway.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(gateway).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (pieces, mut taken) = mpsc::channel(1);
        let body = stream::poll_fn(move |context| {
            taken
                .poll_recv(context)
                .map(|piece: Option<Bytes>| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
        });
        let request = Request::post("/hostile/echo").header("host", gateway).body(StreamBody::new(body)).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut held = Self { pieces, answer };
        held.echo("before").await;
        held
    }

    async fn echo(&mut self, text: &'static str) {
        self.pieces.send(Bytes::from_static(text.as_bytes())).await.unwrap();
        assert_eq!(self.answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), text);
    }

    /// Ends the request; true if the answer then ends as it should.
    async fn finish(self) -> bool {
        drop(self.pieces);
        let rest = tokio::time::timeout(PATIENCE, self.answer.into_body().collect()).await;
        rest.expect("the answer ends").is_ok_and(|rest| rest.to_bytes().is_empty())
    }
}

/// Waits until `count` requests are in flight at `service`.
async fn in_flight(atoll: &Atoll, service: &str, count: u64) {
    let (http, url) = (Http::default(), format!("{}/v1/services/{service}", atoll.admin));
    let look = async || (http.get(&url).await.json()["endpoints"][0]["in_flight"] == count).then_some(());
    eventually("the requests are in flight", look).await;
}

fn logged<'l>(log: &'l [String], text: &str) -> Option<&'l String> {
    log.iter().find(|line| line.contains(text))
}

#[tokio::test]
async fn what_is_in_flight_finishes_and_nothing_new_begins() {
    let home = home("10m");
    let mut atoll = home.start().await;
    let http = Http::default();
    assert_eq!(http.get(&format!("{}/readyz", atoll.admin)).await.status, 200);
    let mut held = Held::begin(&atoll).await;
    let slow = tokio::spawn({
        let (http, url) = (http.clone(), format!("{}/hello/slow?ms=1000", atoll.gateway));
        async move { http.get(&url).await }
    });
    in_flight(&atoll, "hello", 1).await;

    atoll.signal(Signal::TERM);
    let unready = eventually("it is no longer ready", async || {
        let answer = http.get(&format!("{}/readyz", atoll.admin)).await;
        (answer.status != 200).then_some(answer)
    });
    let unready = unready.await;
    assert_eq!((unready.status.as_u16(), unready.problem()["status"].as_u64()), (503, Some(503)));
    assert_eq!(http.get(&format!("{}/healthz", atoll.admin)).await.status, 200, "it lives");
    let gateway = atoll.gateway.strip_prefix("http://").unwrap();
    eventually("new connections are refused", async || TcpStream::connect(gateway).await.err()).await;

    held.echo("after").await;
    assert_eq!(slow.await.unwrap().status, 200);
    assert!(held.finish().await);
    let status = atoll.wait().await;
    assert_eq!(status.code(), Some(0), "{status}");
    let log =
        eventually("its last line", async || Some(atoll.log()).filter(|log| logged(log, "stopped").is_some())).await;
    assert!(logged(&log, "cut off").is_none(), "{log:?}");
}

#[tokio::test]
async fn an_idle_connection_holds_nothing_up() {
    let home = home("1h");
    let mut atoll = home.start().await;
    let http = Http::default();
    assert_eq!(http.get(&format!("{}/hello/", atoll.gateway)).await.status, 200);
    let _silent = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    atoll.signal(Signal::INT);
    assert_eq!(atoll.wait().await.code(), Some(0));
}

#[tokio::test]
async fn the_deadline_of_the_drain_cuts_off() {
    let home = home("300ms");
    let mut atoll = home.start().await;
    let held = Held::begin(&atoll).await;
    let began = Instant::now();
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
    assert!(began.elapsed().as_millis() >= 300, "the request had its time: {:?}", began.elapsed());
    assert!(!held.finish().await, "the client sees that its answer is not whole");
    eventually("a line about it", async || logged(&atoll.log(), "cut off").cloned()).await;
}

#[tokio::test]
async fn a_second_signal_cuts_off_at_once() {
    let home = home("1h");
    let mut atoll = home.start().await;
    let held = Held::begin(&atoll).await;
    atoll.signal(Signal::TERM);
    eventually("the first signal is heard", async || logged(&atoll.log(), "draining").cloned()).await;
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
    assert!(!held.finish().await);
}
