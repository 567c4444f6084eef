//! Recorded calls, and their replays in another process.

use super::super::components::shop_manifest;
use super::*;
use http::Method;
use serde_json::json;
use std::process::Output;

/// A service that fails as its path says. What fails is recorded, and one call in a million.
const HOSTILE: &str = r#"
[service.hostile]
component = "{component:fixture-hostile}"
record = { every = 1000000 }

[record]
entry = "64KiB"
mask = ["x-pin"]

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"
"#;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The recordings, once there are so many.
async fn recordings(http: &Http, atoll: &Atoll, count: usize) -> Vec<Value> {
    eventually("the calls are recorded", async || {
        let list = http.get(&format!("{}/v1/recordings", atoll.admin)).await.json();
        let list = list.as_array().unwrap().clone();
        (list.len() >= count).then_some(list)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_replayed_with_the_same_outcome_and_frames_in_another_process() {
    let home = Home::new(HOSTILE);
    let (atoll, http) = (home.start().await, Http::default());
    for _ in 0..5 {
        assert_eq!(http.get(&format!("{}/hostile/random", atoll.gateway)).await.status, 200);
    }
    let request = Request::post(format!("{}/hostile/panic?token=s3cret77", atoll.gateway)).header("x-pin", "4711");
    let failed = http.send(request, r#"{"password":"hunter2","amount":7}"#).await;
    assert_eq!(failed.status, 502, "{failed:?}");
    let list = recordings(&http, &atoll, 2).await;
    let of_panic = &list[0];
    assert_eq!((&of_panic["request"], &of_panic["failed"]), (&failed.header("x-request-id").into(), &true.into()));
    assert_eq!(of_panic["call"], "POST /panic", "{of_panic}");
    assert!(of_panic["outcome"].as_str().unwrap().starts_with("trap: wasm trap:"), "{of_panic}");
    // The first call is the one of so many; of the others only what failed is there.
    assert_eq!(list.len(), 2, "{list:?}");

    let id = failed.header("x-request-id");
    let file = http.get(&format!("{}/v1/recordings/{id}", atoll.admin)).await;
    let masked = String::from_utf8_lossy(&file.body);
    for secret in ["s3cret77", "4711", "hunter2"] {
        assert!(!masked.contains(secret), "{masked}");
    }
    let frames = file.json()["recording"]["outcome"]["failed"]["frames"].clone();
    assert!(frames.as_array().unwrap().len() > 3, "{frames}");

    // By the host's recording, a hundred times.
    let replayed = home.output(&["replay", id, "--times", "100", "--admin", &atoll.admin]).await;
    assert!(replayed.status.success(), "{}", text(&replayed));
    assert!(text(&replayed).contains("replayed it 100 times: 100 the same"), "{}", text(&replayed));
    let saved = home.output(&["replay", id, "--save", "bad.json", "--admin", &atoll.admin]).await;
    assert!(saved.status.success(), "{}", text(&saved));
    let listed = home.output(&["replay", "--admin", &atoll.admin]).await;
    assert!(text(&listed).contains("POST /panic"), "{}", text(&listed));
    drop(atoll.stop().await);

    // By the file, without a host; and with another component, which does not fail.
    let replayed = home.output(&["replay", "--file", "bad.json", "--times", "20"]).await;
    assert!(replayed.status.success(), "{}", text(&replayed));
    let other = super::super::components::component("fixture-hello").display().to_string();
    let replayed = home.output(&["replay", "--file", "bad.json", "--against", &other]).await;
    assert_eq!(replayed.status.code(), Some(1), "{}", text(&replayed));
    assert!(text(&replayed).contains("outcome: trap: wasm trap:"), "{}", text(&replayed));
    fs::write(home.folder.path().join("no.json"), "{}").unwrap();
    let refused = home.output(&["replay", "--file", "no.json"]).await;
    assert!(text(&refused).contains("it is no recording"), "{}", text(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_state_randomness_and_other_services_are_replayed_without_any_of_them() {
    let record = "record = { every = 1, failed = false }\nstate = true";
    // The first three services; those that hear of an order are called later, and how often by then is chance.
    let home = Home::new(&shop_manifest().replacen("state = true", record, 3));
    let (atoll, http) = (home.start().await, Http::default());
    let post =
        async |path: &str, body: &Value| http.json(Method::POST, &format!("{}{path}", atoll.gateway), body).await;
    let user = post("/api/users", &json!({"name": "Ada", "email": "ada@example.org"})).await;
    let price = json!({"amount": 1250, "currency": "EUR"});
    let product = json!({"sku": "lamp", "name": "A lamp", "price": price, "stock": 9});
    let product = post("/api/products", &product).await;
    let order = json!({"user": user.json()["id"], "lines": [{"product": product.json()["id"], "quantity": 2}]});
    let request = Request::post(format!("{}/api/orders", atoll.gateway))
        .header("content-type", "application/json")
        .header("idempotency-key", "one");
    let placed = http.send(request, order.to_string()).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let listed = http.get(&format!("{}/api/users?limit=5", atoll.gateway)).await;
    assert_eq!(listed.status, 200);
    // Besides the four requests an order calls users and products.
    let list = recordings(&http, &atoll, 6).await;
    let services: std::collections::BTreeSet<_> = list.iter().filter_map(|one| one["service"].as_str()).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), ["orders", "products", "users"]);
    for recording in &list {
        let number = recording["number"].to_string();
        let replayed = home.output(&["replay", &number, "--times", "3", "--admin", &atoll.admin]).await;
        assert!(replayed.status.success(), "{recording}: {}", text(&replayed));
        assert!(text(&replayed).contains("3 the same"), "{}", text(&replayed));
    }
    // Of a request it is the gateway's own call.
    let id = placed.header("x-request-id");
    let replayed = home.output(&["replay", id, "--admin", &atoll.admin]).await;
    assert!(text(&replayed).starts_with("orders: "), "{}", text(&replayed));
    let of_users = home.output(&["replay", id, "--service", "users", "--admin", &atoll.admin]).await;
    assert!(text(&of_users).starts_with("users: "), "{}", text(&of_users));
    let absent = home.output(&["replay", "nothing", "--admin", &atoll.admin]).await;
    assert!(text(&absent).contains("there is no recording"), "{}", text(&absent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_word_of_the_manifest_nothing_is_recorded_and_too_large_a_call_never_is() {
    let home = Home::new(&HOSTILE.replace("record = { every = 1000000 }", ""));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(http.get(&format!("{}/hostile/trap", atoll.gateway)).await.status, 502);
    assert_eq!(http.get(&format!("{}/v1/recordings", atoll.admin)).await.json(), json!([]));
    drop(atoll.stop().await);
    home.write(&HOSTILE.replace("1000000", "1"));
    let atoll = home.start().await;
    let large = http.get(&format!("{}/hostile/stream?chunks=100&bytes=1024", atoll.gateway)).await;
    assert_eq!((large.status.as_u16(), large.body.len()), (200, 102_400));
    assert_eq!(http.get(&format!("{}/hostile/stream?chunks=10&bytes=1024", atoll.gateway)).await.status, 200);
    let list = recordings(&http, &atoll, 1).await;
    assert_eq!(list.len(), 1, "{list:?}");
    let number = list[0]["number"].to_string();
    let replayed = home.output(&["replay", &number, "--admin", &atoll.admin]).await;
    assert!(replayed.status.success(), "{}", text(&replayed));
}

/// Takes inputs by a route whose answers are kept by state, so that the host also watches what the call takes.
const INPUTS: &str = r#"
[service.inputs]
component = "{component:fixture-inputs}"
state = true
calls = ["inputs"]
env = { INPUT = "s3cret-of-the-environment" }
record = { every = 1, failed = false }

[[route]]
method = "GET"
path = "/take"
call = "inputs/take"
cache = "state"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fills_the_cache_by_state_is_recorded_and_leaves_the_host_without_its_secrets() {
    let home = Home::new(INPUTS);
    let (atoll, http) = (home.start().await, Http::default());
    let url = format!("{}/take?what=get:a,random,insecure,wall,monotonic,map,environment", atoll.gateway);
    let answer = http.get(&url).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = recordings(&http, &atoll, 1).await;
    assert!(list[0]["call"].as_str().unwrap().ends_with("#take"), "{list:?}");
    // Clocks and randomness went over both the notes of the cache and the tape.
    let replayed = home.output(&["replay", "1", "--times", "3", "--admin", &atoll.admin]).await;
    assert!(text(&replayed).contains("3 the same"), "{}", text(&replayed));

    let file = async |query: &str| http.get(&format!("{}/v1/recordings/1{query}", atoll.admin)).await;
    for query in ["", "?random=true"] {
        let masked = String::from_utf8_lossy(&file(query).await.body).into_owned();
        assert!(!masked.contains("s3cret"), "the answer repeats the environment: {masked}");
    }
    let random = |file: Value| file["recording"]["inputs"]["random"][0].clone();
    assert_eq!(random(file("").await.json()), "***");
    assert_ne!(random(file("?random=true").await.json()), "***");
    assert_eq!(file("?randm=true").await.status, 400);
    let saved = home.output(&["replay", "1", "--save", "call.json", "--admin", &atoll.admin]).await;
    assert!(saved.status.success(), "{}", text(&saved));
    let replayed = home.output(&["replay", "--file", "call.json"]).await;
    assert!(text(&replayed).contains("of the recording are masked"), "{}", text(&replayed));
}
