//! Guests that misbehave behind the real gateway: the answer to each fault, the states of the circuit, and the denied
//! system interfaces.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::open_exchange::in_flight;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const OVERLOADED: &str = "urn:atoll:problem:overloaded";

/// The timeouts are long, except those of the service `hasty` and of the route `/impatient`. So nothing else ends by
/// itself.
const MANIFEST: &str = r#"
[gateway]
timeout = "10m"

[service.hostile]
component = "{component:fixture-hostile}"
limits = { memory = "16MiB", timeout = "10m", concurrency = 4, waiting = 2, wait = "10m", body = "64KiB" }
breaker = { failure_threshold = FAILURES, recovery_timeout = "RECOVERY" }

[service.hasty]
component = "{component:fixture-hostile}"
limits = { timeout = "2s" }
breaker = { failure_threshold = 1000 }
retry = { tries = 0 }

[service.broken]
component = "{component:fixture-broken-start}"
retry = { tries = 0 }

[service.kv]
component = "{component:fixture-kv}"
state = true
limits = { timeout = "2s" }
breaker = { failure_threshold = 1, recovery_timeout = "1h" }

[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/impatient"
strip_prefix = "/impatient"
service = "hostile"
timeout = "500ms"

[[route]]
prefix = "/hasty"
strip_prefix = "/hasty"
service = "hasty"

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
    /// A host whose circuit of `hostile` opens after `failures` failures in a row, and stays open for `recovery`.
    async fn start(failures: u32, recovery: &str) -> Self {
        let manifest = MANIFEST.replace("FAILURES", &failures.to_string()).replace("RECOVERY", recovery);
        let home = Home::new(&manifest);
        Self { atoll: home.start().await, http: Http::default(), _home: home }
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await
    }

    /// The member `key` of the only endpoint of `service`, as the admin API shows it.
    async fn endpoint(&self, service: &str, key: &str) -> Value {
        let service = self.http.get(&format!("{}/v1/services/{service}", self.atoll.admin)).await.json();
        service["endpoints"][0][key].clone()
    }

    /// Starts requests that occupy all four instances of `hostile` until the returned set is dropped.
    async fn fill(&self) -> JoinSet<()> {
        let mut sleepers = JoinSet::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(self.atoll.gateway.trim_start_matches("http://")).await.unwrap();
            stream.write_all(b"GET /hostile/sleep?ms=3600000 HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
            sleepers.spawn(async move {
                let _ = stream.read_u8().await;
            });
        }
        eventually("all instances are taken", async || {
            let metrics = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
            let text = String::from_utf8_lossy(&metrics.body);
            let mut lines = text.lines().filter(|line| line.starts_with("atoll_instances{service=\"hostile\""));
            lines.any(|line| line.ends_with(" 4")).then_some(())
        })
        .await;
        sleepers
    }
}

#[tokio::test]
async fn each_guest_fault_has_its_status_and_problem_type() {
    let host = Host::start(1000, "1h").await;
    for (path, status, kind) in [
        ("/hostile/trap", 502, "trap"),
        ("/hostile/panic", 502, "trap"),
        ("/hostile/eat", 502, "memory-limit"),
        ("/hasty/loop", 504, "timeout"),
        ("/hasty/sleep?ms=600000", 504, "timeout"),
        ("/broken", 502, "instantiation"),
    ] {
        let answer = host.get(path).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status.as_u16(), &problem["type"]),
            (status, &format!("urn:atoll:problem:{kind}").into()),
            "{path}"
        );
        assert!(
            !problem["detail"].as_str().unwrap().contains("wasm"),
            "the answer must not show the host's internal message: {problem}"
        );
    }
    assert_eq!(
        (host.endpoint("hostile", "failures").await, host.endpoint("hasty", "failures").await),
        (json!(3), json!(2))
    );
    assert_eq!(host.get("/hostile/status/500").await.status, 500, "a 500 of the service itself must be passed on");
    assert_eq!(host.endpoint("hostile", "failures").await, 4, "a 500 of the service itself must count as a failure");
    assert_eq!(host.get("/hostile/status/404").await.status, 404);
    assert_eq!(host.endpoint("hostile", "failures").await, 4, "a 404 must not count as a failure");
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_final_chunk_and_counts_as_a_failure() {
    let host = Host::start(1000, "1h").await;
    for (service, failures, path) in [
        ("hostile", 1, "/hostile/panic-mid-stream"),
        ("hasty", 1, "/hasty/loop-mid-stream"),
        ("hasty", 2, "/hasty/stall-mid-stream"),
    ] {
        let mut stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n").as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        // Either end is accepted: a client only sees that the connection has ended.
        let _ = stream.read_to_end(&mut raw).await;
        let text = String::from_utf8_lossy(&raw);
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("transfer-encoding: chunked"), "{path}: {text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{path} has a final chunk: {text}");
        assert_eq!(host.endpoint(service, "failures").await, failures, "{path}");
    }
    assert!(host.atoll.logged("the instance failed").await.contains("hostile"));
}

#[tokio::test]
async fn an_open_circuit_answers_503_with_retry_after_and_calls_nobody() {
    let host = Host::start(3, "1h").await;
    for _ in 0..3 {
        assert_eq!(host.get("/hostile/trap").await.status, 502);
    }
    let refused = host.get("/hostile/ok").await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(refused.status == 503 && (1..=3600).contains(&wait), "{refused:?}");
    let problem = refused.problem();
    assert_eq!((&problem["type"], &problem["service"]), (&"urn:atoll:problem:circuit-open".into(), &"hostile".into()));
    assert_eq!(host.endpoint("hostile", "requests").await, 3, "a refused request must not reach the service");
    assert_eq!(host.get("/hello").await.status, 200, "another service's circuit must not be affected");
}

#[tokio::test]
async fn a_failed_probe_keeps_the_circuit_open_and_a_successful_one_closes_it() {
    let recovery = Duration::from_secs(1);
    let host = Host::start(3, "1s").await;
    for _ in 0..3 {
        assert_eq!(host.get("/hostile/trap").await.status, 502);
    }
    // Only the recovery timeout lets a probe through. A failed probe opens the circuit again.
    let probed = eventually("a probe that fails", async || {
        let started = Instant::now();
        (host.get("/hostile/trap").await.status == 502).then_some(started)
    });
    let probed = probed.await;
    let next = host.get("/hostile/ok").await;
    // On a machine that is too busy to send this request within the recovery timeout, this request may be the next
    // probe.
    assert!(next.status == 503 || probed.elapsed() >= recovery, "{next:?}");
    eventually("a probe that succeeds", async || (host.get("/hostile/ok").await.status == 200).then_some(())).await;
    for _ in 0..5 {
        assert_eq!(host.get("/hostile/ok").await.status, 200);
    }
}

#[tokio::test]
async fn a_half_open_circuit_lets_one_probe_through_and_refuses_the_others() {
    let host = Host::start(1, "100ms").await;
    assert_eq!(host.get("/hostile/trap").await.status, 502);
    let half_open = async || (host.endpoint("hostile", "breaker").await == "half-open").then_some(());
    eventually("the circuit is half-open", half_open).await;
    let answers = join_all((0..8).map(|_| host.get("/hostile/sleep?ms=1500"))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503, 503, 503, 503, 503, 503]);
    eventually("the circuit is closed", async || (host.endpoint("hostile", "breaker").await == "closed").then_some(()))
        .await;
    assert_eq!(host.get("/hostile/ok").await.status, 200);
}

#[tokio::test]
async fn a_full_service_queues_up_to_its_bound_and_refuses_the_rest() {
    let host = Host::start(1000, "1h").await;
    let sleepers = host.fill().await;
    // Four requests run and two wait. Whichever requests these are, the others are refused while those two wait.
    let mut answers: FuturesUnordered<_> = (0..8).map(|_| host.get("/hostile/ok")).collect();
    for _ in 0..6 {
        let refused = answers.next().await.unwrap();
        assert_eq!((refused.status.as_u16(), &refused.problem()["type"]), (503, &OVERLOADED.into()));
    }
    in_flight(&host.atoll, "hostile", 4).await;
    drop(sleepers);
    while let Some(waited) = answers.next().await {
        assert_eq!(waited.status, 200, "{waited:?}");
    }
    assert_eq!(host.endpoint("hostile", "failures").await, 0, "a refusal must not count as a failure of the service");
}

#[tokio::test]
async fn a_request_that_waits_until_its_deadline_gets_503_and_counts_no_failure() {
    let host = Host::start(1, "1h").await;
    let sleepers = host.fill().await;
    let refused = host.get("/impatient/ok").await;
    assert_eq!((refused.status.as_u16(), &refused.problem()["type"]), (503, &OVERLOADED.into()));
    drop(sleepers);
    assert_eq!(host.get("/hostile/ok").await.status, 200, "the refusal must not have opened the circuit");
}

#[tokio::test]
async fn a_client_that_disconnects_counts_no_failure() {
    let host = Host::start(1, "1h").await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"GET /hostile/loop HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        in_flight(&host.atoll, "hostile", 1).await;
        drop(stream);
        in_flight(&host.atoll, "hostile", 0).await;
    }
    assert_eq!(host.endpoint("hostile", "failures").await, 0);
    assert_eq!(host.get("/hostile/ok").await.status, 200);
}

#[tokio::test]
async fn a_body_up_to_the_limit_passes_and_a_longer_one_gets_413() {
    let host = Host::start(1, "1h").await;
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
    assert_eq!(host.get("/hostile/ok").await.status, 200, "the refusal must not have opened the circuit");
}

#[tokio::test]
async fn a_slow_or_broken_request_body_opens_no_circuit() {
    let host = Host::start(1, "1h").await;
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
    assert_eq!(
        host.get("/bucket/default/a").await.status,
        404,
        "the service must answer, and the value must not have been set"
    );
}

#[tokio::test]
async fn a_guest_without_grants_reaches_no_host_socket_file_or_environment() {
    let host = Host::start(1000, "1h").await;
    let admin = &host.atoll.admin;
    let address = admin.trim_start_matches("http://");
    let body_text = async |path: String| String::from_utf8_lossy(&host.get(&path).await.body).into_owned();
    for url in
        [format!("{admin}/v1/services"), format!("{}/hello", host.atoll.gateway), "http://169.254.169.254/".into()]
    {
        let body_text = body_text(format!("/hostile/dial?url={url}")).await;
        assert!(body_text.starts_with("denied") && body_text.contains("HttpRequestDenied"), "{url}: {body_text}");
    }
    let connect = body_text(format!("/hostile/connect?addr={address}")).await;
    assert!(connect.starts_with("denied"), "{connect}");
    let files = body_text("/hostile/fs".into()).await;
    assert!(files.lines().all(|line| line.contains("denied")), "{files}");
    let environment: serde_json::Value = host.get("/hostile/env").await.json();
    assert!(environment["env"].as_object().is_some_and(serde_json::Map::is_empty), "{environment}");
    host.atoll.logged("outbound HTTP is denied").await;
}

#[tokio::test]
async fn a_full_instance_pool_makes_requests_wait_and_fails_none() {
    let home = Home::new(
        r#"
[runtime]
instances = 2

[service.hello]
component = "{component:fixture-hello}"
limits = { wait = "1m" }

[[route]]
prefix = "/"
service = "hello"
"#,
    );
    let (atoll, http) = (home.start().await, Http::default());
    let url = format!("{}/slow?ms=50", atoll.gateway);
    let answers = join_all((0..12).map(|_| http.get(&url))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}
