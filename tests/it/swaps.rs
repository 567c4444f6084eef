//! Swaps while traffic flows: no request fails, no answer mixes two revisions, and memory does not grow.

use super::atoll::{Atoll, Home, Http, TIMEOUT, hello_revision};
use super::components::component;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2

[service.other]
component = "{component:fixture-hello}"

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"

[[route]]
prefix = "/other"
service = "other"
"#;

const OLD: &str = "revision-000-aaa";
const NEW: &str = "revision-001-bbb";

/// The component whose revision is `OLD`, and the one whose revision is `NEW`.
fn revisions(home: &Home) -> [Bytes; 2] {
    let new = hello_revision(NEW.as_bytes().try_into().unwrap(), home.folder.path());
    [fs::read(component("fixture-hello")).unwrap().into(), fs::read(new).unwrap().into()]
}

async fn swap(http: &Http, atoll: &Atoll, service: &str, component: Bytes) -> u16 {
    let request =
        Request::post(format!("{}/v1/services/{service}/swap", atoll.admin)).header("content-type", "application/wasm");
    http.try_send(request.body(Full::from(component)).unwrap()).await.unwrap().status.as_u16()
}

/// Sends GET requests for `url` until `stop` is set, and counts the answers. Every answer must be complete and come
/// from one revision. Returns what went wrong.
async fn client(http: Http, url: String, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = http.try_send(Request::get(&url).body(Full::default()).unwrap()).await;
        match answer {
            Ok(answer) if answer.status == 200 => {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let (olds, news) = (text.matches(OLD).count(), text.matches(NEW).count());
                if (olds == 0) == (news == 0) {
                    failures.push(format!("an answer of both revisions, or of none: {text}"));
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            other => failures.push(format!("{url}: {other:?}")),
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_under_load_fail_no_request() {
    let home = Home::new(MANIFEST);
    let (atoll, admin) = (home.start().await, Http::default());
    let components = revisions(&home);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let paths = ["/hello", "/hello/x", "/hello/slow?ms=30", "/hello/body?chunks=8&ms=3"];
    let clients = paths.map(|path| {
        let url = format!("{}{path}", atoll.gateway);
        tokio::spawn(client(Http::default(), url, Arc::clone(&stop), Arc::clone(&answered)))
    });
    // Memory that the first swaps use for the first time (pool slots, caches, connections of both clients) is not
    // growth.
    let mut settled = 0;
    for number in 1..=200 {
        let expected = [OLD, NEW][number % 2];
        assert_eq!(swap(&admin, &atoll, "hello", components[number % 2].clone()).await, 200, "swap {number}");
        let answer = admin.get(&format!("{}/hello", atoll.gateway)).await;
        assert_eq!(answer.json()["revision"], expected, "the new revision must serve when the swap returns");
        if number == 60 {
            settled = atoll.resident();
        }
    }
    let grown = atoll.resident();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), Vec::<String>::new());
    }
    assert!(answered.load(Ordering::Relaxed) > 200, "there was too little load for this test to show anything");
    // The code of the component is about 1 MiB. If each of the 140 further swaps leaked it, memory would multiply.
    assert!(grown < settled + settled / 4, "{settled} KiB after 60 swaps, {grown} KiB after 200");
    let services = admin.get(&format!("{}/v1/services/hello", atoll.admin)).await.json();
    let failures: u64 = services["endpoints"].as_array().unwrap().iter().map(|e| e["failures"].as_u64().unwrap()).sum();
    assert_eq!(failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_finishes_on_the_revision_where_it_started() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    let [_, new] = revisions(&home);
    let url = format!("{}/hello/body?chunks=40&ms=20", atoll.gateway);
    let in_flight = tokio::spawn({
        let http = http.clone();
        async move { http.get(&url).await }
    });
    super::atoll::eventually("the request is in flight", async || {
        let endpoints = http.get(&format!("{}/v1/services/hello", atoll.admin)).await.json()["endpoints"].clone();
        endpoints.as_array().unwrap().iter().any(|endpoint| endpoint["in_flight"] == 1).then_some(())
    })
    .await;
    assert_eq!(swap(&http, &atoll, "hello", new).await, 200);
    assert_eq!(http.get(&format!("{}/hello", atoll.gateway)).await.json()["revision"], NEW);
    assert!(!in_flight.is_finished(), "the long answer must still be in flight");
    let answer = tokio::time::timeout(TIMEOUT, in_flight).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.body), OLD.repeat(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_swaps_of_two_services_all_succeed_or_are_refused_with_503() {
    let home = Home::new(MANIFEST);
    let (atoll, http) = (home.start().await, Http::default());
    let [old, new] = revisions(&home);
    let swaps = [("hello", &new), ("hello", &old), ("other", &new), ("hello", &new), ("other", &old)];
    let done = futures_util::future::join_all(
        swaps.map(|(service, component)| swap(&http, &atoll, service, component.clone())),
    )
    .await;
    // The admin API runs at most four swaps at a time, and answers 503 to a fifth.
    assert!(done.iter().all(|status| [200, 503].contains(status)), "{done:?}");
    assert!(done.iter().filter(|status| **status == 200).count() >= 4, "{done:?}");
    for service in ["hello", "other"] {
        let answer = http.get(&format!("{}/{service}", atoll.gateway)).await;
        assert!([OLD, NEW].contains(&answer.json()["revision"].as_str().unwrap()));
    }
}
