//! Services behind `urls`: plain HTTP servers with the same gateway, balancing and breaker as components.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::plain_server::{DeadAddress, PlainServer};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A host with one service, `legacy`, which has these addresses and these further keys.
struct Host {
    atoll: Atoll,
    http: Http,
    _home: Home,
}

impl Host {
    async fn start(addresses: &[SocketAddr], keys: &str) -> Self {
        let urls: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
        let home = Home::new(&format!(
            r#"
            [service.legacy]
            urls = {urls:?}
            {keys}

            [[route]]
            path = "/legacy/{{id}}"
            service = "legacy"
            rewrite = "/users/{{id}}"

            [[route]]
            prefix = "/plain"
            strip_prefix = "/plain"
            service = "legacy"
            "#
        ));
        Self { atoll: home.start().await, http: Http::default(), _home: home }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.atoll.gateway)
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&self.url(path)).await
    }

    /// The member `key` of each endpoint, as the admin API shows it.
    async fn endpoints(&self, key: &str) -> Vec<Value> {
        let service = self.http.get(&format!("{}/v1/services/legacy", self.atoll.admin)).await.json();
        service["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint[key].clone()).collect()
    }
}

#[tokio::test]
async fn every_method_body_and_status_passes_unchanged() {
    let plain = PlainServer::start("only").await;
    let host = Host::start(&[plain.address], "").await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let body = if matches!(method, "POST" | "PUT" | "PATCH") { "some text" } else { "" };
        let answer = host.http.send(Request::builder().method(method).uri(host.url("/legacy/7?a=%2Fb&c")), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = answer.json();
        let expected = [json!(method), json!("/users/7?a=%2Fb&c"), json!(body)];
        assert_eq!([&seen["method"], &seen["target"], &seen["body"]], expected.each_ref());
    }
    let head = host.http.send(Request::head(host.url("/legacy/7")), "").await;
    assert_eq!((head.status.as_u16(), head.header("x-method"), head.body.len()), (200, "HEAD", 0));
    assert_eq!(host.get("/legacy/a%20b").await.json()["target"], "/users/a%20b");
    assert_eq!(host.get("/legacy/7/x").await.status, 404, "a path parameter must match one segment only");
    for status in [204, 304, 404, 418] {
        assert_eq!(host.get(&format!("/plain/status/{status}")).await.status, status);
    }
    assert_eq!(host.endpoints("failures").await, [json!(0)], "a 4xx must not count as a failure");
    assert!(
        plain.connections() < plain.requests() / 2,
        "connections must be reused: {} connections",
        plain.connections()
    );
}

/// RFC 9110, section 9.3.2: the answer to HEAD is that to GET without its content. A service that knows only GET need
/// not know HEAD; one that the route names HEAD for gets it.
#[tokio::test]
async fn a_head_is_served_as_a_get_without_content_where_the_route_names_get_alone() {
    let plain = PlainServer::start("only").await;
    let route =
        |path: &str, method: &str| format!("[[route]]\npath = \"{path}\"\nmethod = {method}\nservice = \"plain\"\n");
    let routes = [
        route("/get", "\"GET\""),
        route("/both", "[\"GET\", \"HEAD\"]"),
        route("/two", "\"GET\""),
        route("/two", "\"HEAD\""),
        route("/post", "\"POST\""),
    ];
    let home = Home::new(&format!("[service.plain]\nurls = [\"http://{}\"]\n{}", plain.address, routes.concat()));
    let (atoll, http) = (home.start().await, Http::default());
    let ask = async |method: &str, path: &str| {
        http.send(Request::builder().method(method).uri(format!("{}{path}", atoll.gateway)), "").await
    };
    for (path, method) in [("/get", "GET"), ("/both", "HEAD"), ("/two", "HEAD")] {
        let head = ask("HEAD", path).await;
        assert_eq!((head.status.as_u16(), head.header("x-method"), head.body.len()), (200, method, 0), "{path}");
        let get = ask("GET", path).await;
        assert_eq!((get.status.as_u16(), get.header("x-method"), get.body.is_empty()), (200, "GET", false), "{path}");
    }
    let length = ask("GET", "/get").await.body.len().to_string();
    assert_eq!(ask("HEAD", "/get").await.header("content-length"), length, "the fields are those of GET");
    let refused = ask("HEAD", "/post").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "POST"));
    let refused = ask("POST", "/get").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn forwarded_headers_are_set_and_those_of_a_stranger_dropped() {
    let plain = PlainServer::start("only").await;
    let host = Host::start(&[plain.address], "").await;
    let request = Request::get(host.url("/plain/anything"))
        .header("x-forwarded-for", "9.9.9.9")
        .header("forwarded", "for=9.9.9.9")
        .header("connection", "x-secret")
        .header("x-secret", "between us two")
        .header("x-request-id", "chosen-by-a-stranger")
        .header("x-kept", "kept");
    let answer = host.http.send(request, "").await;
    let headers = &answer.json()["headers"];
    let public = host.atoll.gateway.strip_prefix("http://").unwrap();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", public),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/plain"),
        ("forwarded", &format!("for=127.0.0.1;host=\"{public}\";proto=http")),
        ("host", public),
        ("x-request-id", answer.header("x-request-id")),
        ("x-kept", "kept"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(headers["x-secret"], Value::Null, "a header named by `connection` must not go beyond the gateway");
    assert_ne!(answer.header("x-request-id"), "chosen-by-a-stranger");
    let moved = host.get("/plain/moved").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (301, "/plain/users/7?from=moved"));
}

#[tokio::test]
async fn request_and_answer_bodies_stream_at_the_same_time() {
    let plain = PlainServer::start("only").await;
    let host = Host::start(&[plain.address], "limits = { body = \"64MiB\" }").await;
    let gateway = host.atoll.gateway.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (pieces, mut taken) = mpsc::channel::<Bytes>(1);
    let body = stream::poll_fn(move |context| {
        taken.poll_recv(context).map(|piece| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
    });
    let request = Request::post("/plain/echo").header("host", gateway).body(StreamBody::new(body)).unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    // Each piece comes back before the next is sent: nothing on the path waits for the end of the body.
    for n in 0..5 {
        let piece = Bytes::from(format!("piece {n}"));
        pieces.send(piece.clone()).await.unwrap();
        let mut back = Vec::new();
        while back.len() < piece.len() {
            back.extend_from_slice(&answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(back, piece);
    }
    drop(pieces);
    assert!(answer.body_mut().frame().await.is_none());

    let large = Bytes::from(vec![b'x'; 32 << 20]);
    let answer = host.http.send(Request::post(host.url("/plain/echo")), large.clone()).await;
    assert!(answer.body == large, "{} bytes of {}", answer.body.len(), large.len());
}

#[tokio::test]
async fn a_dead_address_opens_its_circuit_and_the_other_address_answers_all() {
    let (plain, dead) = (PlainServer::start("alive").await, DeadAddress::new());
    let keys = "balance = \"round-robin\"\nretry = { tries = 0 }\n\
                breaker = { failure_threshold = 3, recovery_timeout = \"1h\" }";
    let host = Host::start(&[plain.address, dead.address()], keys).await;
    let mut failures = 0;
    // With round-robin, each address gets three of the six requests.
    for _ in 0..6 {
        let answer = host.get("/legacy/7").await;
        if answer.status != 200 {
            assert_eq!((answer.status.as_u16(), &answer.problem()["service"]), (502, &json!("legacy")));
            failures += 1;
        }
    }
    assert_eq!(failures, 3, "only the requests that went to the dead address must fail");
    assert_eq!(host.endpoints("breaker").await, ["closed", "open"]);
    for (method, n) in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].iter().cycle().zip(0..50)
    {
        let answer = host.http.send(Request::builder().method(method).uri(host.url("/legacy/7")), n.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!((&answer.json()["name"], &answer.json()["body"]), (&json!("alive"), &json!(n.to_string())));
    }
    assert_eq!(host.endpoints("breaker").await, ["closed", "open"]);
    assert_eq!(host.endpoints("failures").await, [json!(0), json!(3)]);
    assert_eq!(host.endpoints("place").await[1], format!("http://{}/", dead.address()));
}

#[tokio::test]
async fn a_request_that_reached_no_address_is_sent_to_the_other_even_if_it_is_a_post() {
    let (plain, dead) = (PlainServer::start("alive").await, DeadAddress::new());
    let keys = "balance = \"round-robin\"\nbreaker = { failure_threshold = 3, recovery_timeout = \"1h\" }";
    let host = Host::start(&[plain.address, dead.address()], keys).await;
    // Nothing was sent to the dead address. So every request may be sent to the other address, also a request that
    // must not be sent twice.
    for n in 0..10 {
        let answer = host.http.send(Request::post(host.url("/legacy/7")), n.to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["body"]), (200, &json!(n.to_string())));
    }
    assert_eq!(host.endpoints("failures").await, [json!(0), json!(3)]);
    assert_eq!(plain.requests(), 10, "each request must be sent once");
}

#[tokio::test]
async fn an_address_that_listens_again_is_used_again() {
    let dead = DeadAddress::new();
    let keys = "breaker = { failure_threshold = 1, recovery_timeout = \"50ms\" }";
    let host = Host::start(&[dead.address()], keys).await;
    assert_eq!(host.get("/legacy/7").await.problem()["status"], 502);
    let _back = PlainServer::serve("back", dead.listen());
    eventually("the address that listens again is used", async || {
        (host.get("/legacy/7").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(host.endpoints("breaker").await, ["closed"]);
}

#[tokio::test]
async fn with_all_circuits_open_the_gateway_answers_503_with_retry_after_at_once() {
    let (one, other) = (DeadAddress::new(), DeadAddress::new());
    let keys = "retry = { tries = 0 }\nbreaker = { failure_threshold = 2, recovery_timeout = \"90s\" }";
    let host = Host::start(&[one.address(), other.address()], keys).await;
    let mut statuses = BTreeMap::new();
    for _ in 0..10 {
        let answer = host.get("/legacy/7").await;
        assert_eq!(answer.problem()["service"], "legacy");
        *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(502, 4), (503, 6)]), "two failures open each of the two circuits");
    let refused = host.get("/legacy/7").await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=90).contains(&wait), "{wait}");
    assert!(refused.problem()["detail"].as_str().unwrap().contains("`legacy`"));
    assert_eq!(host.endpoints("requests").await, [json!(2), json!(2)], "a refused call must not reach an address");
}

#[tokio::test]
async fn a_500_and_broken_bodies_open_the_circuit_of_an_address() {
    let plain = PlainServer::start("only").await;
    let host = Host::start(&[plain.address], "breaker = { failure_threshold = 3, recovery_timeout = \"1h\" }").await;
    assert_eq!(host.get("/plain/status/500").await.status, 500, "the answer of the service itself must be passed on");
    for _ in 0..2 {
        let broken =
            host.http.try_send(Request::get(host.url("/plain/broken")).body(Default::default()).unwrap()).await;
        assert!(broken.is_err(), "the answer must break off for the client too: {broken:?}");
    }
    assert_eq!(host.get("/plain/status/200").await.problem()["status"], 503);
    assert_eq!(host.endpoints("failures").await, [json!(3)]);
}

#[tokio::test]
async fn round_robin_alternates_between_two_addresses() {
    let (one, other) = (PlainServer::start("one").await, PlainServer::start("other").await);
    let host = Host::start(&[one.address, other.address], "balance = \"round-robin\"").await;
    let mut names = Vec::new();
    for _ in 0..10 {
        names.push(host.get("/legacy/7").await.json()["name"].clone());
    }
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

#[tokio::test]
async fn a_service_with_urls_and_a_component_is_balanced_over_both() {
    let plain = PlainServer::start("old").await;
    let component = super::components::component("fixture-hello");
    let keys = format!("component = {component:?}\nbalance = \"round-robin\"");
    let host = Host::start(&[plain.address], &keys).await;
    for _ in 0..10 {
        assert_eq!(host.get("/legacy/7").await.status, 200);
    }
    assert_eq!(plain.requests(), 5, "the component must answer the other half");
    assert_eq!(host.endpoints("requests").await, [json!(5), json!(5)]);
    assert_eq!(host.endpoints("place").await, [json!("instance"), json!(format!("http://{}/", plain.address))]);
}
