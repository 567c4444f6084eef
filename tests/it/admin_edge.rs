//! The operators' HTTP edge of a running host: probes, metrics, tables and guards. Also what guests write to the log.

use super::atoll::{Atoll, Home, Http, ended, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Two services. The service `hostile` fails when its path asks for it.
const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2

[service.hostile]
component = "{component:fixture-hostile}"

[[route]]
prefix = "/hello"
service = "hello"

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
path = "/hello/{name}"
method = ["GET", "HEAD"]
service = "hostile"
rewrite = "/status/{name}"
"#;

/// Sends `request` byte for byte to the admin edge, and returns all bytes that come back until the host closes.
async fn raw(atoll: &Atoll, request: &str) -> String {
    let address: SocketAddr = atoll.admin.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn service<'v>(services: &'v Value, name: &str) -> &'v Value {
    services.as_array().unwrap().iter().find(|service| service["name"] == name).unwrap()
}

fn is_short_digest(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[tokio::test]
async fn the_admin_lists_services_with_their_counters_and_routes_in_manifest_order() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    for _ in 0..6 {
        assert_eq!(http.get(&format!("{}/hello", atoll.gateway)).await.status, 200);
    }
    assert_eq!(http.get(&format!("{}/hostile/status/500", atoll.gateway)).await.status, 500);
    assert_eq!(http.get(&format!("{}/hostile/trap", atoll.gateway)).await.status, 502);
    let answer = http.get(&format!("{}/v1/services", atoll.admin)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert!(!answer.header("x-request-id").is_empty());
    let services = answer.json();
    let names: Vec<_> = services.as_array().unwrap().iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["hello", "hostile"]);
    let (hello, hostile) = (service(&services, "hello"), service(&services, "hostile"));
    assert!(is_short_digest(&hello["revision"]) && is_short_digest(&hostile["revision"]), "{services}");
    let endpoints = hello["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.iter().map(|endpoint| &endpoint["id"]).collect::<Vec<_>>(), ["hello-0", "hello-1"]);
    for endpoint in endpoints {
        assert_eq!((&endpoint["place"], &endpoint["breaker"]), (&json!("instance"), &json!("closed")));
        assert_eq!(endpoint["failures"], 0);
    }
    assert_eq!(endpoints.iter().map(|endpoint| endpoint["requests"].as_u64().unwrap()).sum::<u64>(), 6);
    assert_eq!((&hostile["endpoints"][0]["requests"], &hostile["endpoints"][0]["failures"]), (&json!(2), &json!(2)));

    let one = http.get(&format!("{}/v1/services/hostile", atoll.admin)).await.json();
    assert_eq!(
        (&one["name"], &one["revision"], &one["endpoints"]),
        (&hostile["name"], &hostile["revision"], &hostile["endpoints"])
    );
    assert_eq!(http.get(&format!("{}/v1/services/nobody", atoll.admin)).await.problem()["status"], 404);
    assert_eq!(http.get(&format!("{}/nothing", atoll.admin)).await.problem()["status"], 404);
    let wrong = http.json(http::Method::PUT, &format!("{}/v1/services", atoll.admin), &Value::Null).await;
    assert_eq!((&wrong.problem()["status"], wrong.header("allow")), (&json!(405), "GET,HEAD"));

    let routes = http.get(&format!("{}/v1/routes", atoll.admin)).await.json();
    let targets: Vec<_> =
        routes.as_array().unwrap().iter().map(|route| (&route["service"], &route["rewrite"])).collect();
    assert_eq!(targets.len(), 3);
    assert_eq!(
        targets[2],
        (&json!("hostile"), &json!("becomes /status/{name}")),
        "the routes must be listed in the order of the manifest: {routes}"
    );
}

#[tokio::test]
async fn probes_answer_and_metrics_count_requests_failures_and_instances() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    for (probe, status) in [("healthz", "alive"), ("readyz", "ready")] {
        let answer = http.get(&format!("{}/{probe}", atoll.admin)).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "status": status })));
    }
    http.get(&format!("{}/hello", atoll.gateway)).await;
    http.get(&format!("{}/hostile/trap", atoll.gateway)).await;
    let services = http.get(&format!("{}/v1/services", atoll.admin)).await.json();
    let revision = service(&services, "hostile")["revision"].as_str().unwrap();
    let answer = http.get(&format!("{}/metrics", atoll.admin)).await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for (family, kind) in [
        ("requests", "counter"),
        ("failures", "counter"),
        ("latency_seconds", "histogram"),
        ("breaker_state", "gauge"),
        ("instances", "gauge"),
        ("swaps", "counter"),
    ] {
        let line = format!("# TYPE atoll_{family} {kind}\n");
        assert_eq!(text.matches(&line).count(), 1, "{line} must occur exactly once in\n{text}");
    }
    let info = format!("atoll_revision_info{{service=\"hostile\",revision=\"{revision}\"}} 1\n");
    assert!(text.contains(&info), "{info} is missing in\n{text}");
    let labels = "service=\"hostile\",endpoint=\"hostile-0\"";
    for (name, value) in [("requests_total", 1), ("failures_total", 1), ("breaker_state", 0)] {
        let line = format!("atoll_{name}{{{labels}}} {value}\n");
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("atoll_swaps_total{service=\"hello\"} 0\n"), "{text}");
    assert!(text.contains("atoll_latency_seconds_count{service=\"hostile\"} 1\n"), "{text}");
    assert!(text.contains("atoll_gateway_failures_total{route=\"/hostile/*\",service=\"hostile\"} 1\n"), "{text}");
    // The answer is sent before its instance has ended, so the gauge needs a moment.
    let none = format!("atoll_instances{{{labels}}} 0\n");
    eventually("the instance has ended", async || {
        let metrics = http.get(&format!("{}/metrics", atoll.admin)).await;
        String::from_utf8_lossy(&metrics.body).contains(&none).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_foreign_host_origin_or_media_type_is_refused_by_the_admin() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    let own = atoll.admin.strip_prefix("http://").unwrap().to_owned();
    let status_line = async |head: &str| {
        raw(&atoll, &format!("{head}\r\nConnection: close\r\n\r\n")).await.lines().next().unwrap_or_default().to_owned()
    };
    let list = "GET /v1/services HTTP/1.1\r\n";
    let localhost = own.replace("127.0.0.1", "localhost");
    // The last three are no hosts (RFC 3986, section 3.2), though they begin like a name of this machine.
    for (host, status) in [
        (own.as_str(), 200),
        (&localhost, 200),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("localhost:80x", 421),
        ("a@localhost", 421),
        ("[::1]x", 421),
    ] {
        assert!(status_line(&format!("{list}Host: {host}")).await.contains(&status.to_string()), "{host}");
    }
    for (origin, status) in [(format!("http://{own}"), 200), ("http://evil.example".into(), 403), ("null".into(), 403)]
    {
        let line = status_line(&format!("{list}Host: {own}\r\nOrigin: {origin}")).await;
        assert!(line.contains(&status.to_string()), "{origin}: {line}");
    }
    let before = http.get(&format!("{}/v1/services", atoll.admin)).await.json();
    let swap = format!("POST /v1/services/hello/swap HTTP/1.1\r\nHost: {own}\r\nContent-Length: 0");
    for (header, status) in [
        ("X-Nothing: x", 415),
        ("Content-Type: text/plain", 415),
        ("Content-Type: multipart/form-data; boundary=x", 415),
        ("Content-Type: application/wasm\r\nOrigin: http://evil.example", 403),
        ("Content-Type: application/wasm", 422),
    ] {
        let line = status_line(&format!("{swap}\r\n{header}")).await;
        assert!(line.contains(&status.to_string()), "{header}: {line}");
    }
    let large = format!("POST /v1/services/hello/swap HTTP/1.1\r\nHost: {own}\r\nContent-Length: {}", (128 << 20) + 1);
    assert!(status_line(&format!("{large}\r\nContent-Type: application/wasm")).await.contains("413"));
    let after = http.get(&format!("{}/v1/services", atoll.admin)).await.json();
    assert_eq!(before[0]["revision"], after[0]["revision"], "a refused request must change nothing");
}

#[tokio::test]
async fn an_admin_beyond_loopback_demands_its_token_and_never_logs_it() {
    let home = Home::new(MANIFEST);
    let refused = ended(home.command(&["run"]).env("ATOLL_ADMIN_LISTEN", "0.0.0.0:0")).await;
    assert_eq!(refused.status.code(), Some(1));
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("ATOLL_ADMIN_TOKEN") && refused.stdout.is_empty(), "{complaint}");

    let mut guessable = home.command(&["run"]);
    guessable.env("ATOLL_ADMIN_LISTEN", "0.0.0.0:0").env("ATOLL_ADMIN_TOKEN", "12345");
    let refused = ended(&mut guessable).await;
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{complaint}");
    assert!(complaint.contains("openssl rand -hex 32") && !complaint.contains("12345"), "{complaint}");

    let token = "5ca1ab1e0ddba11f00dfacade0decade";
    let mut atoll = home.start_with(&[("ATOLL_ADMIN_LISTEN", "0.0.0.0:0"), ("ATOLL_ADMIN_TOKEN", token)]).await;
    atoll.admin = atoll.admin.replace("0.0.0.0", "127.0.0.1");
    let http = Http::default();
    let url = format!("{}/v1/services", atoll.admin);
    let anonymous = http.get(&url).await;
    assert_eq!(anonymous.problem()["status"], 401);
    assert!(anonymous.header("www-authenticate").starts_with("Bearer"));
    let known = http.send(http::Request::get(&url).header("authorization", format!("Bearer {token}")), "").await;
    assert_eq!(known.status, 200);
    assert_eq!(http.get(&format!("{}/healthz", atoll.admin)).await.status, 200, "probes need no token");
    for (shown, code) in [(token, Some(0)), ("another", Some(1))] {
        let mut ps = home.command(&["ps", "--admin", &atoll.admin]);
        assert_eq!(ps.env("ATOLL_ADMIN_TOKEN", shown).output().await.unwrap().status.code(), code, "{shown}");
    }
    assert!(!atoll.stop().await.join("\n").contains(token), "the token must never be logged");
}

#[tokio::test]
async fn a_manifest_of_one_service_and_one_route_serves_and_keeps_state() {
    let home = Home::new(
        "[service.users]\ncomponent = \"{component:users}\"\nstate = true\n\
         [[route]]\nprefix = \"/\"\nservice = \"users\"\n",
    );
    let (atoll, http) = (home.start().await, Http::default());
    let user = json!({"name": "Ada", "email": "ada@example.org"});
    assert_eq!(http.json(http::Method::POST, &format!("{}/users", atoll.gateway), &user).await.status, 201);
    assert!(home.folder.path().join(".atoll/state.redb").is_file(), "the store must be beside the manifest");
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_edge_and_address() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new(MANIFEST);
    for (variable, edge) in [("ATOLL_GATEWAY_LISTEN", "the gateway"), ("ATOLL_ADMIN_LISTEN", "the admin")] {
        let refused = ended(home.command(&["run"]).env(variable, &address)).await;
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
        let complaint = String::from_utf8(refused.stderr).unwrap();
        let expected = format!("error: {edge}: cannot listen on {address}: Address already in use");
        assert!(complaint.contains(&expected), "{complaint}");
    }
    assert!(!Path::new(&home.folder.path().join(".atoll/state.redb")).exists());
}

#[tokio::test]
async fn each_line_that_a_guest_writes_becomes_one_tagged_line_of_the_log() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    let services = http.get(&format!("{}/v1/services", atoll.admin)).await.json();
    let forged = "hello%20%22x%22%0A%7B%22level%22%3A%22ERROR%22%7D%1B%00%0Dx%09y%E2%80%AE";
    let answer = http.get(&format!("{}/hostile/log?text={forged}", atoll.gateway)).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"logged"[..]));
    let guest = async || {
        let lines: Vec<Value> = atoll.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| line["target"] == "guest").collect();
        (lines.len() >= 4).then_some(lines)
    };
    let lines = eventually("two lines of each of the two output streams", guest).await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in &lines {
        assert_eq!(line["service"], "hostile");
        assert_eq!(line["revision"], service(&services, "hostile")["revision"]);
        assert_eq!(line["request_id"], answer.header("x-request-id"));
        assert!(line["instance"].is_u64(), "{line}");
    }
    let messages = |level: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["level"] == level).map(|line| &line["message"]).collect()
    };
    for level in ["INFO", "WARN"] {
        let logged = messages(level);
        assert_eq!(logged[0], "hello \"x\"", "{level}");
        // A guest must not forge a line of the host's log, whoever shows it: a terminal obeys controls.
        assert_eq!(logged[1], "{\"level\":\"ERROR\"}\\u{1b}\\u{0}\\rx\ty\\u{202e}", "{level}");
    }
}
