//! Guests that misbehave behind the real gateway: the answer to each fault, the life of the circuit, the closed ways out.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::Request;
use http_body_util::Full;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MANIFEST: &str = r#"
[service.hostile]
component = "{component:fixture-hostile}"
limits = { memory = "16MiB", timeout = "400ms", concurrency = 4, waiting = 2, body = "64KiB" }
breaker = { failure_threshold = FAILURES, recovery_timeout = "300ms" }

[service.broken]
component = "{component:fixture-broken-start}"

[service.kv]
component = "{component:fixture-kv}"
state = true
limits = { timeout = "400ms" }
breaker = { failure_threshold = 1, recovery_timeout = "1h" }

[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/broken"
service = "broken"

[[route]]
prefix = "/hello"
service = "hello"

[[route]]
prefix = "/bucket"
service = "kv"
"#;

struct Host {
    atoll: Atoll,
    http: Http,
    _home: Home,
}

impl Host {
    async fn start(failures: u32) -> Self {
        let home = Home::new(&MANIFEST.replace("FAILURES", &failures.to_string()));
        Self { atoll: home.start().await, http: Http::default(), _home: home }
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await
    }

    async fn failures(&self) -> u64 {
        let service = self.http.get(&format!("{}/v1/services/hostile", self.atoll.admin)).await.json();
        service["endpoints"][0]["failures"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn each_fault_has_its_answer() {
    let host = Host::start(1000).await;
    for (path, status, kind) in [
        ("/hostile/trap", 502, "trap"),
        ("/hostile/panic", 502, "trap"),
        ("/hostile/eat", 502, "memory-limit"),
        ("/hostile/loop", 504, "timeout"),
        ("/hostile/sleep?ms=60000", 504, "timeout"),
        ("/broken", 502, "instantiation"),
    ] {
        let answer = host.get(path).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status.as_u16(), &problem["type"]),
            (status, &format!("urn:atoll:problem:{kind}").into()),
            "{path}"
        );
        assert!(!problem["detail"].as_str().unwrap().contains("wasm"), "the inside's message stays inside: {problem}");
    }
    assert_eq!(host.failures().await, 5);
    let admitted = host.get("/hostile/status/500").await;
    assert_eq!(
        (admitted.status.as_u16(), host.failures().await),
        (500, 6),
        "the service's own 500 goes through and counts"
    );
    assert_eq!(
        (host.get("/hostile/status/404").await.status.as_u16(), host.failures().await),
        (404, 6),
        "a 404 is no fault"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    let host = Host::start(1000).await;
    for (failures, path) in (1..).zip(["/panic-mid-stream", "/loop-mid-stream", "/stall-mid-stream"]) {
        let mut stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        stream.write_all(format!("GET /hostile{path} HTTP/1.1\r\nhost: shop\r\n\r\n").as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        // The end of the connection, however it ends, is what a client sees.
        let _ = stream.read_to_end(&mut raw).await;
        let text = String::from_utf8_lossy(&raw);
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("transfer-encoding: chunked"), "{path}: {text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{path} has a final chunk: {text}");
        assert_eq!(host.failures().await, failures, "{path}");
    }
    assert!(host.atoll.log().iter().any(|line| line.contains("the instance failed") && line.contains("hostile")));
}

#[tokio::test]
async fn a_circuit_opens_refuses_probes_and_closes() {
    let host = Host::start(3).await;
    for _ in 0..3 {
        assert_eq!(host.get("/hostile/trap").await.status, 502);
    }
    let asked = Instant::now();
    let refused = host.get("/hostile/ok").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    let problem = refused.problem();
    assert_eq!((&problem["type"], &problem["service"]), (&"urn:atoll:problem:circuit-open".into(), &"hostile".into()));
    assert!(asked.elapsed() < Duration::from_millis(300), "refused at once, not after a timeout");
    assert_eq!(host.get("/hello").await.status, 200, "a neighbour's circuit is its own");
    // Nothing but time lets the probe through; a probe that fails opens the circuit again.
    let probe = eventually("a failing probe", async || {
        let answer = host.get("/hostile/trap").await;
        (answer.status == 502).then_some(answer)
    });
    assert_eq!(probe.await.status, 502);
    assert_eq!(host.get("/hostile/ok").await.status, 503);
    eventually("a probe that succeeds", async || (host.get("/hostile/ok").await.status == 200).then_some(())).await;
    for _ in 0..5 {
        assert_eq!(host.get("/hostile/ok").await.status, 200);
    }
}

#[tokio::test]
async fn one_probe_goes_through_and_the_others_wait() {
    let host = Host::start(1).await;
    assert_eq!(host.get("/hostile/trap").await.status, 502);
    eventually("half-open", async || {
        let service = host.http.get(&format!("{}/v1/services/hostile", host.atoll.admin)).await.json();
        (service["endpoints"][0]["breaker"] == "half-open").then_some(())
    })
    .await;
    let answers = futures_util::future::join_all((0..8).map(|_| host.get("/hostile/sleep?ms=100"))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn a_full_service_lets_some_wait_and_refuses_the_rest() {
    let host = Host::start(1000).await;
    let started = Instant::now();
    let answers = futures_util::future::join_all((0..12).map(|_| host.get("/hostile/sleep?ms=100"))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (6, 6), "four at a time, two wait");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(
        answers.iter().find(|answer| answer.status == 503).unwrap().problem()["type"],
        "urn:atoll:problem:overloaded"
    );
    assert_eq!(host.failures().await, 0, "a refusal is no fault of the service");
    let full = futures_util::future::join_all((0..6).map(|_| host.get("/hostile/sleep?ms=5000"))).await;
    let mut statuses: Vec<_> = full.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [503, 503, 504, 504, 504, 504], "who waits until its deadline is refused, not timed out");
}

#[tokio::test]
async fn a_client_that_goes_away_is_nobodys_fault() {
    let host = Host::start(1).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"GET /hostile/loop HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        eventually("the request is in flight", async || {
            let service = host.http.get(&format!("{}/v1/services/hostile", host.atoll.admin)).await.json();
            (service["endpoints"][0]["in_flight"] == 1).then_some(())
        })
        .await;
        drop(stream);
        eventually("the instance is gone", async || {
            let service = host.http.get(&format!("{}/v1/services/hostile", host.atoll.admin)).await.json();
            (service["endpoints"][0]["in_flight"] == 0).then_some(())
        })
        .await;
    }
    assert_eq!((host.failures().await, host.get("/hostile/ok").await.status.as_u16()), (0, 200));
}

#[tokio::test]
async fn bodies_are_bounded_and_streamed() {
    let host = Host::start(1).await;
    let post = async |length: usize| {
        let request = Request::post(format!("{}/hostile/echo", host.atoll.gateway));
        host.http.try_send(request.body(Full::from(vec![b'x'; length])).unwrap()).await.unwrap()
    };
    assert_eq!(post(64 << 10).await.body.len(), 64 << 10);
    let refused = post((64 << 10) + 1).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.problem()["type"]),
        (413, &"urn:atoll:problem:body-too-large".into())
    );
    assert_eq!(host.get("/hostile/ok").await.status, 200, "which opened no circuit");
}

#[tokio::test]
async fn a_client_that_is_slow_or_breaks_off_opens_no_circuit() {
    let host = Host::start(1).await;
    let address = host.atoll.gateway.trim_start_matches("http://");
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"PUT /bucket/default/a HTTP/1.1\r\nhost: shop\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    let mut raw = Vec::new();
    slow.read_to_end(&mut raw).await.unwrap();
    let text = String::from_utf8_lossy(&raw);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("urn:atoll:problem:slow-body"), "{text}");
    let mut broken = TcpStream::connect(address).await.unwrap();
    broken
        .write_all(b"PUT /bucket/default/a HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
        .await
        .unwrap();
    raw.clear();
    broken.read_to_end(&mut raw).await.unwrap();
    assert!(raw.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&raw));
    assert_eq!(host.get("/bucket/default/a").await.status, 404, "the service answers, and the value was never set");
}

#[tokio::test]
async fn every_way_out_is_closed() {
    let host = Host::start(1000).await;
    let admin = &host.atoll.admin;
    let address = admin.trim_start_matches("http://");
    let said = async |path: String| String::from_utf8_lossy(&host.get(&path).await.body).into_owned();
    for url in
        [format!("{admin}/v1/services"), format!("{}/hello", host.atoll.gateway), "http://169.254.169.254/".into()]
    {
        let said = said(format!("/hostile/dial?url={url}")).await;
        assert!(said.starts_with("denied") && said.contains("HttpRequestDenied"), "{url}: {said}");
    }
    let connect = said(format!("/hostile/connect?addr={address}")).await;
    assert!(connect.starts_with("denied"), "{connect}");
    let files = said("/hostile/fs".into()).await;
    assert!(files.lines().all(|line| line.contains("denied")), "{files}");
    let environment: serde_json::Value = host.get("/hostile/env").await.json();
    assert!(environment["env"].as_object().is_some_and(serde_json::Map::is_empty), "{environment}");
    assert!(host.atoll.log().iter().any(|line| line.contains("outbound HTTP is denied")));
}

#[tokio::test]
async fn a_full_pool_makes_requests_wait() {
    let home = Home::new(
        r#"
[runtime]
instances = 2

[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/"
service = "hello"
"#,
    );
    let (atoll, http) = (home.start().await, Http::default());
    let url = format!("{}/slow?ms=50", atoll.gateway);
    let answers = futures_util::future::join_all((0..12).map(|_| http.get(&url))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}
