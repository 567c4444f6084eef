//! What both manifests have is served on, whatever else changes.

use super::super::components::shop_manifest;
use super::*;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OTHER: &str = "[service.other]\ncomponent = \"{component:fixture-hello}\"\n\
                     [[route]]\npath = \"/other\"\nservice = \"other\"\n";

/// Requests until it is stopped; returns how many there were, and each that was not answered with 200.
fn load(url: String, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<(usize, Vec<String>)> {
    tokio::spawn(async move {
        let (http, mut count, mut bad) = (Http::default(), 0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            let request = Request::get(&url).body(Full::<Bytes>::default()).unwrap();
            match http.try_send(request).await {
                Ok(answer) if answer.status == 200 => {}
                other => bad.push(format!("{other:?}")),
            }
        }
        (count, bad)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_routes_move_and_services_come_and_go() {
    let fickle = "[service.fickle]\ncomponent = \"{component:fixture-fickle}\"\n";
    let roll = "[[route]]\npath = \"/roll\"\nmethod = \"GET\"\ncall = \"fickle/dice#roll\"\n";
    let more = "[[route]]\npath = \"/first/{n}\"\nmethod = \"GET\"\ncall = \"fickle/dice#roll\"\n";
    // Other settings, and typed routes at other positions; a service that comes and goes.
    let manifests = [
        manifest("", &format!("{fickle}{roll}")),
        manifest(
            "limits.timeout = \"5s\"",
            &format!("{fickle}replicas = 2\n{more}{roll}").replace("/first/{n}", "/first"),
        ),
        format!(
            "[[route]]\npath = \"/roll\"\nmethod = \"GET\"\ncall = \"fickle/dice#roll\"\n{fickle}{}",
            manifest("replicas = 2", OTHER)
        ),
    ];
    let home = Home::new(&manifests[0]);
    let atoll = home.start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let paths = ["/hello", "/roll", "/hello", "/roll"];
    let loads = paths.map(|path| load(format!("{}{path}", atoll.gateway), Arc::clone(&stop)));
    for round in 1..10 {
        write(&home, &manifests[round % 3]);
        apply(&home).await;
    }
    stop.store(true, Ordering::Relaxed);
    for one in loads {
        let (count, bad) = one.await.unwrap();
        assert!(count > 9, "{count}");
        assert_eq!(bad, Vec::<String>::new(), "of {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_keeps_its_counters_its_circuits_its_buckets_and_its_answers() {
    let limit = "[limit.few]\nrate = \"3/1h\"\n[[route]]\npath = \"/few\"\nservice = \"hello\"\nlimit = [\"few\"]\n\
                 [[route]]\npath = \"/kept\"\nservice = \"hello\"\ncache.ttl = \"1h\"\n";
    let home = Home::new(&manifest("", limit));
    let (atoll, http) = (home.start().await, Http::default());
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&http, &atoll, "/few").await, expected);
    }
    assert_eq!(status(&http, &atoll, "/kept").await, 200);
    let opened = home.output(&["breaker", "close", "hello"]).await;
    assert_eq!(opened.status.code(), Some(0), "{}", err(&opened));
    let before = service(&http, &atoll, "hello").await;
    let metrics =
        async || String::from_utf8_lossy(&http.get(&format!("{}/metrics", atoll.admin)).await.body).into_owned();
    let counted = |text: &str, start: &str| {
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect::<Vec<_>>()
    };
    let limited = counted(&metrics().await, "atoll_gateway_requests_total{route=\"/few\"");

    // A route before all others, so that positions move.
    let first = "[[route]]\npath = \"/first\"\nservice = \"hello\"\ncache.ttl = \"1h\"\n";
    write(&home, &format!("{first}{}", manifest("", limit)));
    apply(&home).await;
    assert_eq!(status(&http, &atoll, "/few").await, 429, "the bucket is as empty as it was");
    let after = service(&http, &atoll, "hello").await;
    assert_eq!(before["endpoints"], after["endpoints"]);
    let kept = http.get(&format!("{}/kept", atoll.gateway)).await;
    assert!(kept.header("cache-status").contains("hit"), "{kept:?}");
    let other = http.get(&format!("{}/first", atoll.gateway)).await;
    assert!(!other.header("cache-status").contains("hit"), "no answer of another route: {other:?}");
    let now = counted(&metrics().await, "atoll_gateway_requests_total{route=\"/few\"");
    assert_eq!(now.len(), limited.len(), "{now:?}");
    assert!(now.iter().any(|line| line.contains("status=\"429\"") && line.ends_with(" 2")), "{now:?}");

    // Another policy of the service: its counters go on, also those of its endpoints.
    write(&home, &format!("{first}{}", manifest("retry = { tries = 1 }", limit)));
    apply(&home).await;
    let after = service(&http, &atoll, "hello").await;
    let requests = |view: &Value| view["endpoints"][0]["requests"].as_u64().unwrap();
    assert!(requests(&after) >= requests(&before), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_with_other_settings_is_heard() {
    let home = Home::new(&shop_manifest());
    let (atoll, http) = (home.start().await, Http::default());
    let post = async |path: &str, body: Value| {
        let answer = http.json(Method::POST, &format!("{}{path}", atoll.gateway), &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].clone()
    };
    let user = post("/api/users", json!({ "name": "Ada", "email": "ada@example.org" })).await;
    let price = json!({ "amount": 1250, "currency": "EUR" });
    let mug = post("/api/products", json!({ "sku": "mug", "name": "Mug", "price": price, "stock": 9 })).await;
    // Its deployment is another one from here on, with another grant to publish.
    let text = std::fs::read_to_string(home.manifest()).unwrap();
    let changed = text.replacen("page_size = \"50\", sweep_after", "page_size = \"49\", sweep_after", 1);
    assert_ne!(text, changed);
    std::fs::write(home.manifest(), changed).unwrap();
    apply(&home).await;
    let order = json!({ "user": user, "lines": [{ "product": mug, "quantity": 1 }] });
    let request = Request::post(format!("{}/api/orders", atoll.gateway)).header("idempotency-key", "k");
    let placed = http.send(request.header("content-type", "application/json"), order.to_string()).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    eventually("the order's mail is written", async || {
        let mails = http.get(&format!("{}/api/mails", atoll.gateway)).await.json();
        (mails["items"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}
