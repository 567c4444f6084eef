//! Limits by the processor time and the memory that the guests of a request take.

use super::super::atoll::{Answer, Atoll, Home, Http};
use super::super::components::shop_manifest;
use super::{get, left, verb};
use http::Request;
use serde_json::json;

/// More requests than any machine answers within the budgets of these tests.
const MANY: usize = 5000;

/// Budgets that are not refilled while a test runs.
const MANIFEST: &str = r#"
[limit.fair]
cpu = "100ms/1h"
by = "header:x-client"

[limit.slim]
memory = "16B/1h"
by = "header:x-client"

[service.work]
component = "{component:fixture-bench}"

[service.kept]
component = "{component:fixture-bench}"
isolation = "reuse"

[[route]]
prefix = "/fresh"
strip_prefix = "/fresh"
service = "work"
limit = ["fair"]

[[route]]
prefix = "/kept"
strip_prefix = "/kept"
service = "kept"
limit = ["fair"]

[[route]]
prefix = "/slim"
strip_prefix = "/slim"
service = "work"
limit = ["slim"]

[[route]]
prefix = "/"
service = "work"
"#;

/// Sends requests until one is refused. Returns how many were answered, and the refusal.
async fn until_refused(atoll: &Atoll, path: &str, client: &str) -> (usize, Answer) {
    for answered in 0..MANY {
        let answer = get(atoll, path, ("x-client", client)).await;
        if answer.status == 429 {
            return (answered, answer);
        }
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    panic!("{path} was never refused");
}

#[tokio::test]
async fn a_client_is_charged_for_the_processor_time_of_its_requests() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    for way in ["fresh", "kept"] {
        let (heavy, light) = (format!("{way}-heavy"), format!("{way}-light"));
        let first = get(&atoll, &format!("/{way}/compute"), ("x-client", &heavy)).await;
        assert_eq!(first.header("ratelimit-policy"), "\"fair.cpu\";q=100;w=3600;qu=\"cpu-milliseconds\"");
        assert_eq!(left(&first, "fair.cpu"), 100, "nothing was used up before");
        let (answered, refused) = until_refused(&atoll, &format!("/{way}/compute"), &heavy).await;
        // Two million multiplications, each of which needs the one before, take a millisecond on no processor.
        assert!(answered < 100, "{answered} requests of {way} were answered");
        let problem = refused.problem();
        assert_eq!(problem["type"], "urn:atoll:problem:quota-exceeded");
        assert_eq!(problem["violated-policies"], json!(["fair.cpu"]));
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        // As many cheap requests of another client, whose account is its own.
        let mut last = get(&atoll, &format!("/{way}/json"), ("x-client", &light)).await;
        for _ in 0..10 {
            last = get(&atoll, &format!("/{way}/json"), ("x-client", &light)).await;
        }
        assert!(last.status == 200 && left(&last, "fair.cpu") > 0, "{last:?}");
    }
    let table = verb(&home, &atoll, &["limit", "show"]).await;
    assert!(table.contains("cpu 100ms/3600s") && table.contains("memory 0KiB/3600s"), "{table}");
    let limits = Http::default().get(&format!("{}/v1/limits", atoll.admin)).await.json();
    let fair = limits.as_array().unwrap().iter().find(|limit| limit["name"] == "fair").unwrap();
    assert_eq!((&fair["refused"], &fair["keys"], &fair["shared"]), (&json!(2), &json!(4), &json!(0)));
}

#[tokio::test]
async fn a_client_is_charged_for_the_memory_that_its_requests_hold() {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    let (_, refused) = until_refused(&atoll, "/slim/compute", "one").await;
    assert_eq!(refused.problem()["violated-policies"], json!(["slim.memory"]));
    assert_eq!(get(&atoll, "/slim/json", ("x-client", "other")).await.status, 200);
}

#[tokio::test]
async fn the_work_of_a_service_that_another_one_calls_is_charged_to_the_client() {
    // Products computes until its time is over, whoever asks.
    let shop = shop_manifest();
    let dist = shop.split("component = \"").nth(1).unwrap().rsplit_once("/users.wasm").unwrap().0.to_owned();
    let products = format!("component = \"{dist}/products.wasm\"");
    let bad = "component = \"{component:fixture-bad-products}\"\nlimits = { timeout = \"200ms\" }\n\
               retry = { tries = 0 }\n\
               breaker = { failure_threshold = 1000, recovery_timeout = \"5s\" }\nconfig = { mode = \"loop\" }";
    let rest = shop.split_once(&products).unwrap().1;
    let rest = rest.split_once("\n\n").unwrap();
    let before = shop.split_once(&products).unwrap().0;
    let limited = rest.1.replace("[[route]]", "[[route]]\nlimit = [\"fair\"]");
    let limit = "[limit.fair]\ncpu = \"100ms/1h\"\nby = \"header:x-client\"\n";
    let home = Home::new(&format!("{before}{bad}\n\n{limited}\n{limit}"));
    let atoll = home.start().await;
    let http = Http::default();
    let user = http
        .json(
            http::Method::POST,
            &format!("{}/api/users", atoll.gateway),
            &json!({"name": "Ada", "email": "ada@example.org"}),
        )
        .await;
    let order = json!({"user": user.json()["id"], "lines": [{"product": "1", "quantity": 1}]}).to_string();
    let post = async |client: &str, body: &str| {
        let request = Request::post(format!("{}/api/orders", atoll.gateway)).header("x-client", client);
        let request = request.header("content-type", "application/json").header("idempotency-key", "one");
        http.send(request, body.to_owned()).await
    };
    let mut refused = false;
    for _ in 0..50 {
        let answer = post("nested", &order).await;
        refused = answer.status == 429;
        if refused {
            break;
        }
        assert_eq!(answer.status, 503, "products does not answer: {answer:?}");
    }
    assert!(refused, "the loops of products were charged to nobody");
    let other = post("other", &order.replace("\"1\"", "\"x\"")).await;
    assert_eq!(other.status, 422, "another client: {other:?}");
}
