//! The metrics that lead to a trace, those that tell services apart, and their number.

use super::super::components::shop_manifest;
use super::TracedHost;
use http::{Method, Request};
use serde_json::json;
use std::fmt::Write;

async fn scrape(host: &TracedHost) -> String {
    let answer = host.http.get(&format!("{}/metrics", host.atoll.admin)).await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    String::from_utf8(answer.body.into()).unwrap()
}

#[tokio::test]
async fn a_bucket_leads_to_a_kept_trace() {
    let manifest = "[telemetry]\nsample = 1\n\n[service.hello]\ncomponent = \"{component:fixture-hello}\"\n\n\
                    [[route]]\nprefix = \"/\"\nservice = \"hello\"\n";
    let host = TracedHost::start(manifest).await;
    let id = host.get("/").await.header("x-request-id").to_owned();
    let text = super::super::atoll::eventually("the request has ended", async || {
        Some(scrape(&host).await).filter(|text| text.contains("trace_id"))
    })
    .await;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("trace_id")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    assert!(line.starts_with("atoll_gateway_duration_seconds_bucket{le=\""), "{line}");
    assert!(line.contains(&format!(" 1 # {{trace_id=\"{id}\"}} ")), "{line}");
    assert_eq!(host.admin(&format!("/v1/traces/{id}")).await["request_id"], id);
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
}

#[tokio::test]
async fn callers_calls_and_the_work_of_guests_are_counted_apart() {
    let host = TracedHost::start(&shop_manifest()).await;
    let post = async |path: &str, body| host.http.json(Method::POST, &host.url(path), &body).await;
    let ada = post("/api/users", json!({"name": "Ada", "email": "ada@example.org"})).await.json()["id"].clone();
    let price = json!({"amount": 1250, "currency": "EUR"});
    let mug = post("/api/products", json!({"sku": "mug", "name": "A mug", "price": price, "stock": 5})).await;
    let order = json!({"user": ada, "lines": [{"product": mug.json()["id"], "quantity": 1}]});
    let request = Request::post(host.url("/api/orders"))
        .header("content-type", "application/json")
        .header("idempotency-key", "k");
    assert_eq!(host.http.send(request, order.to_string()).await.status, 201);
    for (series, least) in [
        ("atoll_calls_total{service=\"users\",caller=\"orders\"}", 1.0),
        ("atoll_calls_total{service=\"products\",caller=\"orders\"}", 1.0),
        ("atoll_call_seconds_count{service=\"orders\"}", 1.0),
        // One by the gateway, and one by orders.
        ("atoll_call_seconds_count{service=\"users\"}", 2.0),
        ("atoll_guest_seconds_total{service=\"orders\"}", 1e-6),
        // A page of WebAssembly.
        ("atoll_instance_memory_peak_bytes{service=\"orders\"}", 65536.0),
        ("atoll_components_loaded_total", 1.0),
        ("atoll_host_cpu_seconds_total", 1e-3),
        ("atoll_host_memory_bytes", 1e6),
        ("atoll_host_uptime_seconds", 1e-3),
        ("atoll_state_batch_seconds_count", 3.0),
        ("atoll_state_file_bytes", 4096.0),
        ("atoll_state_operations_total{service=\"users\",operation=\"commit\"}", 1.0),
        ("atoll_state_operations_total{service=\"users\",operation=\"get\"}", 1.0),
        // Their names and addresses alone are more.
        ("atoll_state_written_bytes_total{service=\"users\"}", 20.0),
        ("atoll_state_read_bytes_total{service=\"users\"}", 20.0),
        ("atoll_state_commit_seconds_total{service=\"users\"}", 1e-6),
    ] {
        let value = host.metric(series).await;
        assert!(value >= least, "{series} is {value}");
    }
    assert!(host.metric("atoll_calls_failed_total{service=\"users\",caller=\"orders\"}").await < 0.5);
    let build = format!("atoll_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert!((host.metric(&build).await - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn instances_that_are_made_and_those_that_serve_again_are_counted() {
    let manifest = "[service.kept]\ncomponent = \"{component:fixture-hello}\"\nisolation = \"reuse\"\n\
                    [[route]]\nprefix = \"/\"\nservice = \"kept\"\n";
    let host = TracedHost::start(manifest).await;
    let counts = async || {
        let made = host.metric("atoll_instances_made_total{service=\"kept\"}").await;
        (made, host.metric("atoll_instances_reused_total{service=\"kept\"}").await)
    };
    for _ in 0..2 {
        assert_eq!(host.http.get(&host.url("/")).await.status, 200);
    }
    // One after the other: the second request finds the instance of the first.
    let (made, reused) = counts().await;
    assert!(made >= 1.0 && reused >= 1.0, "{made} made, {reused} reused");
    assert_eq!(host.http.get(&host.url("/")).await.status, 200);
    let (made_then, reused_then) = counts().await;
    assert!((made_then - made).abs() < 0.5 && (reused_then - reused - 1.0).abs() < 0.5, "{made_then}, {reused_then}");
}

/// A manifest of so many services, each with one address and one route.
fn services(count: usize) -> String {
    let mut manifest = "[telemetry]\nsample = 1\n".to_owned();
    for number in 0..count {
        let _ = write!(
            manifest,
            "[service.s{number}]\nurls = [\"http://127.0.0.1:1\"]\nretry = {{ tries = 0 }}\n\n[[route]]\n\
             prefix = \"/s{number}\"\nservice = \"s{number}\"\n"
        );
    }
    manifest
}

/// The names and labels of all series.
fn series(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" # ").next().unwrap().rsplit_once(' ').unwrap().0).collect()
}

#[tokio::test]
async fn the_number_of_series_is_the_manifests_whatever_clients_send() {
    let host = TracedHost::start(&services(3)).await;
    let send = async |number: usize| {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        let url = host.url(&format!("/s{}/{number}?q={number}", number % 4));
        let request = Request::builder().method(method).uri(url);
        let request = request.header("x-request-id", format!("r-{number}")).header("host", format!("h{number}"));
        let trace = format!("00-{:032x}-{:016x}-01", number + 1, number + 1);
        host.http.send(request.header("traceparent", trace).header("baggage", format!("a={number}")), "").await
    };
    for number in 0..40 {
        send(number).await;
    }
    let first = scrape(&host).await;
    for number in 40..240 {
        send(number).await;
    }
    let second = scrape(&host).await;
    // Of the histograms each has all buckets, whichever were used.
    assert_eq!(series(&first), series(&second));
    assert!(!second.contains("M239") && !second.contains("h239") && !second.contains("r-239"));
}

#[tokio::test]
async fn a_scrape_has_a_bound_for_each_service() {
    let host = TracedHost::start(&services(200)).await;
    let quiet = scrape(&host).await;
    for number in 0..200 {
        assert_eq!(host.get(&format!("/s{number}/x")).await.status, 502);
    }
    let busy = scrape(&host).await;
    // 10.5 kB for each service whose route had a request, a third of it histograms that are empty.
    let each = busy.len() / 200;
    assert!(each < 11 << 10 && quiet.len() < busy.len(), "{each} bytes a service, {} without a request", quiet.len());
}
