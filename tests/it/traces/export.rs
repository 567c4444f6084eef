//! What a collector gets, and what the host does about one that fails.

use super::super::atoll::{Home, Http, eventually};
use super::super::components::shop_manifest;
use super::TracedHost;
use super::collector::{Collector, Mood, ReceivedSpan};
use http::{Method, Request};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(super) fn hello(telemetry: &str) -> String {
    format!(
        "[telemetry]\n{telemetry}\n\n[service.hello]\ncomponent = \"{{component:fixture-hello}}\"\n\n[[route]]\n\
         prefix = \"/\"\nservice = \"hello\"\n"
    )
}

fn to(collector: &Collector) -> String {
    hello(&format!("otlp = \"http://{}\"\nsample = 1.0\nservice_name = \"shop\"", collector.address))
}

/// Exports are sent at once.
pub(super) const AT_ONCE: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "1");

pub(super) async fn start(manifest: &str, variables: &[(&str, &str)]) -> TracedHost {
    let home = Home::new(manifest);
    TracedHost { atoll: home.start_with(variables).await, http: Http::default(), home }
}

/// The spans below `parent`, by the order in which they began.
fn below<'a>(spans: &'a [ReceivedSpan], parent: &ReceivedSpan) -> Vec<&'a ReceivedSpan> {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent == parent.id).collect();
    children.sort_by_key(|span| span.began);
    children
}

#[tokio::test]
async fn one_order_with_a_retry_is_one_tree() {
    let collector = Collector::start(Mood::Takes).await;
    let telemetry =
        format!("[telemetry]\notlp = \"http://{}\"\nsample = 1\nservice_name = \"shop\"", collector.address);
    let host = start(&format!("{}\n{telemetry}\n", shop_manifest()), &[AT_ONCE]).await;
    let post = async |path: &str, body| host.http.json(Method::POST, &host.url(path), &body).await;
    let ada = post("/api/users", json!({"name": "Ada", "email": "ada@example.org"})).await.json()["id"].clone();
    let price = json!({"amount": 1250, "currency": "EUR"});
    let mug = json!({"sku": "mug", "name": "A mug", "price": price, "stock": 1_000});
    let mug = post("/api/products", mug).await.json()["id"].clone();
    // Every second try of a call of users fails, until an order is placed after one that did.
    let fault = format!("{}/v1/services/users/faults", host.atoll.admin);
    assert_eq!(host.http.json(Method::POST, &fault, &json!({"error": "50%"})).await.status, 201);
    let mut tries = 0;
    let (id, spans) = loop {
        tries += 1;
        assert!(tries < 200, "no order was placed after a failed try");
        let order = json!({"user": ada, "lines": [{"product": mug, "quantity": 1}]});
        let request = Request::post(host.url("/api/orders"))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("order-{tries}"));
        let placed = host.http.send(request, order.to_string()).await;
        // A circuit may open meanwhile.
        let reset = format!("{}/v1/services/users/breaker", host.atoll.admin);
        host.http.json(Method::POST, &reset, &json!({"order": "reset"})).await;
        let id = placed.header("x-request-id").to_owned();
        let spans = eventually("the collector has the order", async || {
            let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == id).collect();
            spans.iter().any(|span| span.parent.is_empty()).then_some(spans)
        })
        .await;
        if placed.status == 201 && spans.iter().any(|span| !span.attribute("http.request.resend_count").is_empty()) {
            break (id, spans);
        }
    };

    let root = spans.iter().find(|span| span.parent.is_empty()).expect("a first span");
    assert_eq!((root.name.as_str(), root.kind, root.status, root.service()), ("POST /api/orders", 2, 0, "shop"));
    assert_eq!(root.attribute("http.route"), "/api/orders");
    assert_eq!((root.attribute("http.response.status_code"), root.attribute("atoll.request_id")), ("201", &*id));
    assert_eq!((root.attribute("atoll.sampling.rule"), root.flags), ("failed", 0x103));
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len());
    for span in &spans {
        let parent = spans.iter().find(|one| one.id == span.parent);
        assert!(parent.is_some() || span.id == root.id, "{span:?} has no parent");
        let parent = parent.unwrap_or(root);
        assert!(parent.began <= span.began && span.began <= span.ended, "{span:?}");
        assert!(span.ended <= parent.ended, "{span:?} ends after {parent:?}");
    }

    // gateway → the try at orders → the guest orders → the tries at users, the second with a link to the first
    let [tried] = below(&spans, root)[..] else { panic!("{:?}", below(&spans, root)) };
    assert_eq!((tried.name.as_str(), tried.kind, tried.service()), ("orders", 3, "shop"));
    assert_eq!(tried.attribute("rpc.method"), "shop:orders/orders@1.1.0#place");
    let guest = below(&spans, tried).into_iter().find(|span| span.kind == 2).expect("the guest orders");
    assert_eq!((guest.name.as_str(), guest.service()), ("place", "orders"));
    assert_eq!((guest.resource["service.namespace"].as_str(), guest.resource["service.version"].len()), ("shop", 12));
    let work = below(&spans, guest);
    let of_users: Vec<_> = work.iter().filter(|span| span.name == "users").collect();
    let (first, second) = (of_users[0], of_users[1]);
    assert_eq!((first.status, first.attribute("error.type"), first.service()), (2, "reset", "orders"));
    assert_eq!(second.attribute("http.request.resend_count"), "1");
    assert_eq!(second.links, [(id.clone(), first.id.clone())]);
    assert!(first.ended <= second.began);
    let users = below(&spans, second);
    assert_eq!((users[0].service(), users[0].kind), ("users", 2));
    assert!(below(&spans, users[0]).iter().any(|span| span.name == "state"), "users reads its state");
    assert!(work.iter().any(|span| span.name == "products" && span.service() == "orders"));
    let services: BTreeSet<&str> = spans.iter().map(ReceivedSpan::service).collect();
    assert_eq!(services, BTreeSet::from(["orders", "products", "shop", "users"]));
    assert!(work.iter().any(|span| span.name == "state" && span.attribute("db.operation.name") == "commit"));
}

#[tokio::test]
async fn a_collector_that_asks_for_time_gets_the_spans_once() {
    let collector = Collector::start(Mood::Hesitates).await;
    let keys = ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=geheim%21");
    let host = start(&to(&collector), &[AT_ONCE, keys]).await;
    assert_eq!(host.get("/").await.status, 200);
    eventually("the spans arrived", async || (!collector.spans().is_empty()).then_some(())).await;
    let [_, (path, headers)] = &collector.requests()[..] else { panic!("one refused, and one taken") };
    assert_eq!(path, "/v1/traces");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-collector-key"], "geheim!");
    assert!(headers.get("traceparent").is_none(), "an export is not traced");
    let line = host.atoll.logged("took a part").await;
    assert!(line.contains("\"rejected\":3") && line.contains("full"), "{line}");
    let sent = collector.spans().len();
    eventually("the spans are counted", async || {
        let exported = host.metric("atoll_otlp_spans_exported_total").await;
        ((exported - f64::from(u32::try_from(sent).unwrap())).abs() < 0.5).then_some(())
    })
    .await;
    assert!(host.metric("atoll_otlp_spans_dropped_total").await < 0.5);
    let log = host.atoll.stop().await;
    assert_eq!(collector.spans().len(), sent, "no span is sent twice");
    assert!(!log.iter().any(|line| line.contains("geheim")), "the collector's key is a secret");
}

#[tokio::test]
async fn an_export_that_is_refused_is_counted_and_not_repeated() {
    let collector = Collector::start(Mood::Status(400)).await;
    let host = start(&to(&collector), &[AT_ONCE]).await;
    assert_eq!(host.get("/").await.status, 200);
    eventually("the spans are counted as lost", async || {
        (host.metric("atoll_otlp_spans_dropped_total").await >= 3.0).then_some(())
    })
    .await;
    assert_eq!(collector.requests().len(), 1);
    let line = host.atoll.logged("the collector takes nothing").await;
    assert!(line.contains("status 400"), "{line}");
}

#[tokio::test]
async fn a_black_hole_neither_delays_requests_nor_the_end_of_the_host() {
    let collector = Collector::start(Mood::Silent).await;
    // The export would wait for a minute, and 24 spans may wait: those of eight requests.
    let long = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "24"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "24"),
        AT_ONCE,
    ];
    let host = start(&to(&collector), &long).await;
    assert_eq!(host.get("/").await.status, 200);
    eventually("an export hangs", async || (!collector.requests().is_empty()).then_some(())).await;
    for _ in 0..50 {
        assert_eq!(host.get("/").await.status, 200);
    }
    eventually("what has no room is counted", async || {
        (host.metric("atoll_otlp_spans_dropped_total").await > 0.0).then_some(())
    })
    .await;
    assert!(host.metric("atoll_otlp_spans_waiting").await <= 24.0);
    assert_eq!(host.admin("/v1/traces").await.as_array().unwrap().len(), 50, "the admin shows them all the same");
    let began = Instant::now();
    host.atoll.stop().await;
    assert!(began.elapsed() < Duration::from_secs(30), "the end waited for the collector: {:?}", began.elapsed());
}

#[tokio::test]
async fn what_waits_at_the_end_reaches_the_collector() {
    let collector = Collector::start(Mood::Takes).await;
    // Spans would be gathered for a minute.
    let host = start(&to(&collector), &[("OTEL_BSP_SCHEDULE_DELAY", "60000")]).await;
    assert_eq!(host.get("/").await.status, 200);
    host.atoll.stop().await;
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert!(names.contains(&"GET /*".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_collector_of_the_environment_is_honoured_without_a_section() {
    let collector = Collector::start(Mood::Takes).await;
    let manifest = hello("").replace("[telemetry]\n", "");
    let endpoint = format!("http://{}/otlp", collector.address);
    let sampler = [("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "by-variable")];
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let variables = [&sampler[..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), resource, AT_ONCE]].concat();
    let host = start(&manifest, &variables).await;
    assert_eq!(host.get("/").await.status, 200);
    let spans =
        eventually("the spans arrived", async || Some(collector.spans()).filter(|spans| spans.len() >= 3)).await;
    let gateway = spans.iter().find(|span| span.parent.is_empty()).unwrap();
    assert_eq!(gateway.service(), "by-variable");
    assert_eq!(gateway.resource["deployment.environment.name"], "test");
    assert_eq!(collector.requests()[0].0, "/otlp/v1/traces");
}
