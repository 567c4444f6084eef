//! The shutdown of the host: requests in flight finish, no new request is accepted, and a deadline ends the drain.

use super::atoll::{Home, Http, eventually};
use super::open_exchange::{OpenExchange, in_flight};
use rustix::process::Signal;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A host whose requests have long timeouts, with this drain deadline.
fn home(drain: &str) -> Home {
    Home::new(&format!(
        r#"
        [gateway]
        drain = "{drain}"
        timeout = "10m"
        min_upload_rate = 0

        [service.hello]
        component = "{{component:fixture-hello}}"

        [service.hostile]
        component = "{{component:fixture-hostile}}"
        limits = {{ timeout = "10m" }}

        [service.kv]
        component = "{{component:fixture-kv}}"
        state = true
        limits = {{ timeout = "10m" }}

        [[route]]
        prefix = "/bucket"
        service = "kv"

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

fn logged<'l>(log: &'l [String], text: &str) -> Option<&'l String> {
    log.iter().find(|line| line.contains(text))
}

#[tokio::test]
async fn a_drain_finishes_requests_in_flight_and_refuses_new_connections() {
    let home = home("10m");
    let mut atoll = home.start().await;
    let http = Http::default();
    assert_eq!(http.get(&format!("{}/readyz", atoll.admin)).await.status, 200);
    let mut held = OpenExchange::begin(&atoll, "/hostile/echo").await;
    // `held` is a request whose answer has begun. `half` is a request whose answer waits for the rest of the request
    // body.
    let mut half = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "PUT /bucket/default/a HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
    half.write_all(format!("{head}4\r\nhalf\r\n").as_bytes()).await.unwrap();
    in_flight(&atoll, "kv", 1).await;

    atoll.signal(Signal::TERM);
    let unready = eventually("the host is no longer ready", async || {
        let answer = http.get(&format!("{}/readyz", atoll.admin)).await;
        (answer.status != 200).then_some(answer)
    });
    let unready = unready.await;
    assert_eq!((unready.status.as_u16(), unready.problem()["status"].as_u64()), (503, Some(503)));
    assert_eq!(http.get(&format!("{}/healthz", atoll.admin)).await.status, 200, "a draining host is still alive");
    let gateway = atoll.gateway.strip_prefix("http://").unwrap();
    eventually("new connections are refused", async || TcpStream::connect(gateway).await.err()).await;

    held.echo("after").await;
    assert!(held.finish().await);
    half.write_all(b"5\r\n more\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    let status = atoll.wait().await;
    assert_eq!(status.code(), Some(0), "{status}");
    let log = eventually("the last line of the log", async || {
        Some(atoll.log()).filter(|log| logged(log, "stopped").is_some())
    })
    .await;
    assert!(logged(&log, "cut off").is_none(), "{log:?}");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_drain() {
    let home = home("1h");
    let mut atoll = home.start().await;
    let http = Http::default();
    assert_eq!(http.get(&format!("{}/hello/", atoll.gateway)).await.status, 200);
    let _silent = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    atoll.signal(Signal::INT);
    assert_eq!(atoll.wait().await.code(), Some(0));
}

#[tokio::test]
async fn the_drain_deadline_cuts_off_requests_in_flight() {
    let home = home("300ms");
    let mut atoll = home.start().await;
    let held = OpenExchange::begin(&atoll, "/hostile/echo").await;
    let began = Instant::now();
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
    assert!(
        began.elapsed().as_millis() >= 300,
        "the request was cut off before the drain deadline: {:?}",
        began.elapsed()
    );
    assert!(!held.finish().await, "the client must see that its answer is not complete");
    eventually("a line of the log about the cut-off request", async || logged(&atoll.log(), "cut off").cloned()).await;
}

#[tokio::test]
async fn a_second_signal_cuts_off_requests_in_flight_at_once() {
    let home = home("1h");
    let mut atoll = home.start().await;
    let held = OpenExchange::begin(&atoll, "/hostile/echo").await;
    atoll.signal(Signal::TERM);
    eventually("the first signal has started the drain", async || logged(&atoll.log(), "draining").cloned()).await;
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
    assert!(!held.finish().await);
}
