//! Candidates that are compared in the shadow: they get what the stable revision got, and nobody notices.

use super::super::components::shop_manifest;
use super::*;
use http::Method;
use serde_json::json;

/// A component with the same code under another digest: a custom section is added (component model, Binary.md).
fn renamed(name: &str) -> Bytes {
    let mut bytes = fs::read(component(name)).unwrap();
    bytes.extend([0, 6, 4, b'n', b'o', b't', b'e', b'x']);
    bytes.into()
}

/// The component with each `from` replaced by `to`.
fn patched(name: &str, from: &str, to: &str) -> Bytes {
    let mut bytes = fs::read(component(name)).unwrap();
    let found: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).collect();
    let places: Vec<usize> = found.into_iter().map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + from.len()].copy_from_slice(to.as_bytes()));
    bytes.into()
}

async fn begin_for(http: &Http, atoll: &Atoll, service: &str, component: &Bytes, query: &str) -> Answer {
    let url = format!("{}/v1/services/{service}/rollouts{query}", atoll.admin);
    let request = Request::post(url).header("content-type", "application/wasm");
    http.try_send(request.body(Full::from(component.clone())).unwrap()).await.unwrap()
}

async fn rollout(http: &Http, atoll: &Atoll, service: &str) -> Value {
    http.get(&format!("{}/v1/services/{service}/rollouts", atoll.admin)).await.json()["rollouts"][0].clone()
}

/// The shadow of a service, once it has compared so many calls.
async fn shadow(http: &Http, atoll: &Atoll, service: &str, calls: u64) -> Value {
    eventually("calls are compared", async || {
        let rollout = rollout(http, atoll, service).await;
        (rollout["shadow"]["compared"].as_u64() >= Some(calls)).then(|| rollout["shadow"].clone())
    })
    .await
}

/// Uses the whole shop: creates users and products, places orders, and lists all. Returns the number of orders.
async fn shop(http: &Http, atoll: &Atoll, rounds: usize) -> usize {
    for round in 0..rounds {
        let send =
            async |method, path: &str, body: &Value| http.json(method, &format!("{}{path}", atoll.gateway), body).await;
        let email = format!("n{round}@example.org");
        let user = send(Method::POST, "/api/users", &json!({"name": "N", "email": email})).await.json();
        let price = json!({"amount": 1250, "currency": "EUR"});
        let product = json!({"sku": format!("s{round}"), "name": "A lamp", "price": price, "stock": 9});
        let product = send(Method::POST, "/api/products", &product).await.json();
        let order = json!({"user": user["id"], "lines": [{"product": product["id"], "quantity": 1}]});
        let request = Request::post(format!("{}/api/orders", atoll.gateway))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("k{round}"));
        assert_eq!(http.send(request, order.to_string()).await.status, 201);
        let path = format!("/api/users/{}", user["id"].as_str().unwrap());
        assert_eq!(send(Method::PATCH, &path, &json!({"name": "M"})).await.status, 200);
        assert_eq!(http.get(&format!("{}/api/users?limit=3", atoll.gateway)).await.status, 200);
        assert_eq!(http.get(&format!("{}/api/orders?limit=3", atoll.gateway)).await.status, 200);
    }
    let (mut orders, mut after) = (0, String::new());
    loop {
        let page = http.get(&format!("{}/api/orders?limit=100{after}", atoll.gateway)).await.json();
        orders += page["items"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { return orders };
        after = format!("&cursor={next}");
    }
}

/// The requests that [`shop`] makes of each service in one round. An order also calls the two others.
const REQUESTS: [(&str, usize); 3] = [("users", 3), ("products", 1), ("orders", 2)];

/// `ATOLL_SHADOW_ROUNDS=1700` makes it the 10,000 requests of the whole proof.
fn rounds() -> usize {
    number("ATOLL_SHADOW_ROUNDS", 8)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_against_itself_differs_in_nothing_and_has_no_effect() {
    let home = Home::new(&shop_manifest());
    let (atoll, http) = (home.start().await, Http::default());
    for (name, _) in REQUESTS {
        let begun = begin_for(&http, &atoll, name, &renamed(name), "?shadow_ms=86400000").await;
        assert_eq!(begun.status, 200, "{:?}", begun.body);
        assert_eq!(begun.json()["rollout"]["phase"], "shadow");
    }
    let orders = shop(&http, &atoll, rounds()).await;
    assert_eq!(orders, rounds(), "each order was placed once");
    let before = rollout(&http, &atoll, "orders").await;
    let (mut requests, mut compared, mut skipped) = (0, 0, 0);
    for (name, in_round) in REQUESTS {
        let count = |shadow: &Value, what: &str| usize::try_from(shadow[what].as_u64().unwrap()).unwrap();
        let shadow = eventually("all calls are compared or skipped", async || {
            let shadow = rollout(&http, &atoll, name).await["shadow"].clone();
            (count(&shadow, "compared") + count(&shadow, "skipped") >= in_round * rounds()).then_some(shadow)
        })
        .await;
        assert_eq!((&shadow["differing"], &shadow["stopped"]), (&0.into(), &0.into()), "{name}: {shadow}");
        requests += in_round * rounds();
        compared += count(&shadow, "compared");
        skipped += count(&shadow, "skipped");
    }
    println!("{requests} requests: {compared} calls compared in the shadow, 0 differ, {skipped} skipped");
    // On a busy machine the shadow leaves calls out.
    assert!(compared * 2 >= requests, "{compared} calls of {requests} requests are compared");
    // It had no call as a canary, and the metrics show the calls of the stable revision alone.
    assert_eq!(before["canary"]["of_canary"]["calls"], 0);
    let printed = home.output(&["rollout", "users", "--admin", &atoll.admin]).await;
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("0 differ, 0 ask for something new"), "{printed}");
    let ended = http.try_send(
        Request::post(format!("{}/v1/services/users/rollouts/current/promote", atoll.admin))
            .body(Full::default())
            .unwrap(),
    );
    assert_eq!(ended.await.unwrap().status, 200, "an operator may cut the shadow short");
    let ended = rollout(&http, &atoll, "users").await;
    assert!(ended["sentence"].as_str().unwrap().contains("calls compared in the shadow, 0 differ"), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_in_one_field_is_found_in_the_first_request_that_it_touches() {
    let home = Home::new(&shop_manifest());
    let (atoll, http) = (home.start().await, Http::default());
    let wrong = patched("users", "next_cursor", "next_cursot");
    let query = "?shadow_ms=86400000&fail_on_diff=true";
    assert_eq!(begin_for(&http, &atoll, "users", &wrong, query).await.status, 200);
    let (url, ada) = (format!("{}/api/users", atoll.gateway), json!({"name": "Ada", "email": "ada@example.org"}));
    assert_eq!(http.json(Method::POST, &url, &ada).await.status, 201);
    let shadow = shadow(&http, &atoll, "users", 1).await;
    assert_eq!(shadow["differing"], 0, "what has no such field is the same: {shadow}");
    // The first list has it.
    let list = http.get(&format!("{}/api/users", atoll.gateway)).await;
    assert!(list.json()["next_cursor"].is_null() && list.json()["items"].is_array());
    let ended = eventually("the rollout has ended", async || {
        let rollout = rollout(&http, &atoll, "users").await;
        rollout["ended"].is_u64().then_some(rollout)
    })
    .await;
    assert_eq!(ended["phase"], "rolled-back", "{ended}");
    let sentence = ended["sentence"].as_str().unwrap();
    assert!(sentence.contains("2 calls compared in the shadow, 1 differ"), "{sentence}");
    assert!(sentence.contains("body /next_cursor: null is nothing"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_shadow_a_canary_gets_calls_and_one_without_steps_all_of_them() {
    let home = Home::new(&manifest("rollout = { shadow = \"1s\", canary = [\"50%\"], step = \"1s\", calls = 10 }"));
    let (atoll, http) = (home.start().await, Http::default());
    let load = Load::begin(&atoll);
    let begun = begin(&http, &atoll, &renamed("fixture-fickle"), "").await.json();
    assert_eq!((&begun["rollout"]["phase"], &begun["rollout"]["canary"]["share"]), (&"shadow".into(), &0.into()));
    let ended = eventually("the rollout has ended", async || {
        let rollout = last(&http, &atoll).await;
        rollout["ended"].is_u64().then_some(rollout)
    })
    .await;
    assert_eq!(ended["phase"], "promoted", "{ended}");
    assert!(ended["sentence"].as_str().unwrap().contains(" differ"), "{ended}");
    // A candidate that answers otherwise goes on without `--fail-on-diff`, and its record says where.
    let (_, other) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &other, "").await.status, 200);
    let differs = eventually("it differs", async || {
        let rollout = last(&http, &atoll).await;
        rollout["shadow"]["differences"].as_array().is_some_and(|all| all.len() >= 2).then_some(rollout)
    })
    .await;
    let places: Vec<_> = differs["shadow"]["differences"].as_array().unwrap().iter().collect();
    assert!(places.iter().any(|one| one["place"] == "body") && places.iter().any(|one| one["place"] == "result"));
    let table = home.output(&["rollout", "fickle", "--admin", &atoll.admin]).await;
    assert!(String::from_utf8_lossy(&table.stdout).contains("FIRST REQUEST"), "{table:?}");
    let ended = eventually("the rollout has ended", async || {
        let rollout = last(&http, &atoll).await;
        rollout["ended"].is_u64().then_some(rollout)
    })
    .await;
    assert_eq!(ended["phase"], "promoted", "{ended}");
    let answers = load.end().await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_calls_share_instances_is_refused_for_a_shadow_by_name() {
    let home = Home::new(&manifest("isolation = \"reuse\""));
    let (atoll, http) = (home.start().await, Http::default());
    let refused = begin(&http, &atoll, &renamed("fixture-fickle"), "?shadow_ms=1000").await;
    assert_eq!(refused.status, 409, "{:?}", refused.body);
    let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("service `fickle` cannot be compared in the shadow") && detail.contains("reuse"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_goes_on_after_a_crash_and_with_no_calls_it_asks() {
    let home = Home::new(&manifest("rollout = { shadow = \"1s\", canary = [\"50%\"], step = \"1h\", ask = \"1s\" }"));
    let (atoll, http) = (home.start().await, Http::default());
    let id = begin(&http, &atoll, &renamed("fixture-fickle"), "").await.json()["rollout"]["id"].clone();
    atoll.logged("too few calls for a verdict").await;
    atoll.kill().await;
    let atoll = home.start().await;
    let resumed = eventually("the shadow goes on", async || {
        let rollout = last(&http, &atoll).await;
        (rollout["phase"] == "shadow").then_some(rollout)
    })
    .await;
    assert_eq!((&resumed["id"], &resumed["shadow"]["compared"]), (&id, &0.into()));
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.status, 200);
    let canary = eventually("the canary gets calls", async || {
        let rollout = last(&http, &atoll).await;
        (rollout["phase"] == "canary").then_some(rollout)
    })
    .await;
    assert_eq!(canary["shadow"]["compared"], 1, "{canary}");
}
