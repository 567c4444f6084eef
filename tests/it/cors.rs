//! Pages of other origins: preflights, and the fields of every answer on a route with a policy.

use super::atoll::{Answer, Atoll, Home, Http};
use super::plain_server::PlainServer;
use http::{Method, Request};

const SHOP: &str = "https://shop.example";

/// A host with a plain service behind routes with and without a policy, and a dead one.
async fn start(server: &PlainServer) -> (Home, Atoll) {
    let home = Home::new(&format!(
        r#"
        [service.legacy]
        urls = ["http://{}"]
        [service.dead]
        urls = ["http://127.0.0.1:9"]

        [gateway]
        cors = {{ origins = ["https://*.partner.example"] }}

        [[route]]
        prefix = "/shop"
        strip_prefix = "/shop"
        service = "legacy"
        cors.origins = ["{SHOP}"]
        cors.methods = ["GET", "PUT"]
        cors.headers = ["content-type", "authorization"]
        cors.expose = ["x-request-id"]
        cors.credentials = true
        cors.max_age = "1h"
        body = "4B"

        [[route]]
        path = "/items"
        method = "GET"
        service = "legacy"

        [[route]]
        path = "/items"
        method = "POST"
        service = "legacy"
        cors = {{ origins = ["*"] }}

        [[route]]
        prefix = "/own"
        strip_prefix = "/own"
        service = "legacy"
        cors = {{ origins = [] }}

        [[route]]
        prefix = "/dead"
        service = "dead"
        cors = {{ origins = ["{SHOP}"] }}
        "#,
        server.address
    ));
    let atoll = home.start().await;
    (home, atoll)
}

/// The fields of CORS, and `vary`.
fn fields(answer: &Answer) -> Vec<String> {
    let is_cors = |name: &str| name.starts_with("access-control-") || name == "vary";
    let mut fields: Vec<_> = answer.headers.iter().filter(|(name, _)| is_cors(name.as_str())).collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    fields.into_iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

async fn preflight(atoll: &Atoll, path: &str, origin: &str, method: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(format!("{}{path}", atoll.gateway))
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "content-type");
    Http::default().send(request, "").await
}

async fn send(atoll: &Atoll, method: &str, path: &str, origin: &str, body: &'static str) -> Answer {
    let uri = format!("{}{path}", atoll.gateway);
    Http::default().send(Request::builder().method(method).uri(uri).header("origin", origin), body).await
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_route_of_the_requested_method_and_reaches_no_service() {
    let server = PlainServer::start("one").await;
    let (_home, atoll) = start(&server).await;
    let answer = preflight(&atoll, "/shop/users/7", SHOP, "PUT").await;
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: content-type, authorization",
        "access-control-allow-methods: GET, PUT",
        "access-control-allow-origin: https://shop.example",
        "access-control-max-age: 3600",
        "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    ];
    assert_eq!((answer.status.as_u16(), fields(&answer)), (204, expected.map(str::to_owned).to_vec()));

    for origin in ["https://evil.example", "null", "https://shop.example.evil", "http://shop.example"] {
        let answer = preflight(&atoll, "/shop/users/7", origin, "PUT").await;
        assert_eq!(answer.problem()["type"], "urn:atoll:problem:cors-refused");
        assert_eq!((answer.status.as_u16(), fields(&answer).len()), (403, 1), "{origin}: only `vary`");
    }
    // One path, two routes: the policy is that of the method that is asked for.
    let post = preflight(&atoll, "/items", "https://anybody.example", "POST").await;
    assert_eq!((post.status.as_u16(), post.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(post.header("access-control-allow-methods"), "POST");
    let get = preflight(&atoll, "/items", "https://anybody.example", "GET").await;
    assert_eq!(get.status, 403, "the route for GET has the policy of [gateway]");
    let partner = preflight(&atoll, "/items", "https://a.partner.example", "GET").await;
    assert_eq!((partner.status.as_u16(), partner.header("access-control-allow-methods")), (204, "GET, HEAD"));
    let dead = preflight(&atoll, "/dead", SHOP, "GET").await;
    assert_eq!(dead.status, 204, "a preflight does not ask whether the service is there");
    assert_eq!(server.requests(), 0, "no preflight reaches the service");

    // Where no route has a policy for it, OPTIONS goes on as before.
    let own = preflight(&atoll, "/own/users", SHOP, "GET").await;
    assert_eq!((own.status.as_u16(), own.json()["method"].as_str()), (200, Some("OPTIONS")));
    assert_eq!(preflight(&atoll, "/items", SHOP, "DELETE").await.status, 405);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn every_answer_on_a_route_with_a_policy_says_what_a_page_may_read() {
    let server = PlainServer::start("one").await;
    let (_home, atoll) = start(&server).await;
    let granted = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://shop.example",
        "access-control-expose-headers: x-request-id",
        "vary: Origin",
    ];
    // The service's own answer, whose fields are replaced; its own 404; and the gateway's 413.
    for (method, path, body, status) in
        [("GET", "/shop/own-cors", "", 200), ("GET", "/shop/status/404", "", 404), ("PUT", "/shop/users", "large", 413)]
    {
        let answer = send(&atoll, method, path, SHOP, body).await;
        assert_eq!((answer.status.as_u16(), fields(&answer)), (status, granted.map(str::to_owned).to_vec()), "{path}");
        let answer = send(&atoll, method, path, "https://evil.example", body).await;
        assert_eq!((answer.status.as_u16(), fields(&answer)), (status, vec!["vary: Origin".to_owned()]), "{path}");
    }
    let dead = send(&atoll, "GET", "/dead", SHOP, "").await;
    assert_eq!((dead.status.as_u16(), dead.header("access-control-allow-origin")), (502, SHOP));
    assert_eq!(dead.problem()["type"], "urn:atoll:problem:connect");
    let without = Http::default().get(&format!("{}/shop/own-cors", atoll.gateway)).await;
    assert_eq!(fields(&without), ["vary: Origin"], "a cache keeps it for pages too");
    // Without a policy the service's own fields pass.
    let own = send(&atoll, "GET", "/own/own-cors", SHOP, "").await;
    assert_eq!(fields(&own), ["access-control-allow-origin: https://the-service.example"]);
}

#[tokio::test]
async fn a_wildcard_beside_credentials_is_a_mistake_of_the_manifest() {
    let route = "[service.a]\nurls = [\"http://127.0.0.1:9\"]\n[[route]]\nprefix = \"/\"\nservice = \"a\"\n";
    let home = Home::new(&format!("{route}cors = {{ origins = [\"*\"], credentials = true }}\n"));
    let output = home.output(&["check", "atoll.toml"]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("a `*` and `credentials = true` exclude each other"), "{text}");
    assert!(text.contains("atoll.toml:6:21"), "{text}");
}
