//! Copies of requests for another service.

use super::Edge;
use crate::it::atoll::eventually;
use crate::it::plain_server::{Behaviour, DeadAddress, PlainServer};

/// A host whose requests to `legacy` are copied to `next`.
async fn start(next: std::net::SocketAddr, keys: &str) -> Edge {
    let routes = format!(
        r#"
        [service.next]
        urls = ["http://{next}"]
        retry = {{ tries = 3 }}
        [[route]]
        prefix = "/"
        service = "legacy"
        mirror = "next"
        {keys}
        "#
    );
    Edge::start(&routes).await
}

#[tokio::test]
async fn a_copy_has_all_of_the_request_and_its_answer_is_dropped() {
    let next = PlainServer::start("next").await;
    let edge = start(next.address, "").await;
    let answer = edge.send("PUT", "/users/7?a=b", &[("x-tenant", "acme")], "a body").await;
    assert_eq!((answer.status.as_u16(), answer.json()["name"].as_str()), (200, Some("legacy")));
    assert_eq!(answer.json()["headers"].get("x-atoll-mirrored"), None);
    let seen = eventually("the copy comes", async || next.seen().into_iter().next()).await;
    let (original, copied) = (answer.json(), &seen["headers"]);
    assert_eq!(
        (&seen["method"], &seen["target"], &seen["body"]),
        (&original["method"], &original["target"], &original["body"])
    );
    assert_eq!((&copied["x-tenant"], &copied["x-atoll-mirrored"]), (&"acme".into(), &"1".into()));
    assert_eq!(copied["x-request-id"], answer.header("x-request-id"), "one id finds both in the logs");
    // A request without a body, and an answer that the client would have got otherwise.
    let moved = edge.ask("GET", "/status/500", &[("x-atoll-mirrored", "1")]).await;
    assert_eq!(moved.status, 500);
    eventually("its copy comes", async || (next.seen().len() == 2).then_some(())).await;
    let last = edge.server.seen().pop().unwrap();
    assert_eq!(last["headers"].get("x-atoll-mirrored"), None, "a client cannot say that it is a copy");
}

#[tokio::test]
async fn a_copy_that_fails_or_hangs_is_nothing_to_the_request_and_is_not_repeated() {
    let dead = DeadAddress::new();
    let edge = start(dead.address(), "").await;
    for _ in 0..20 {
        assert_eq!(edge.send("PUT", "/users", &[], "a").await.status, 200);
    }
    let next = PlainServer::start("next").await;
    next.behave(Behaviour::Silent);
    let edge = start(next.address, "mirror_concurrency = 2").await;
    for _ in 0..10 {
        assert_eq!(edge.ask("GET", "/users", &[]).await.status, 200);
    }
    eventually("two copies are under way", async || (next.requests() == 2).then_some(())).await;
    assert_eq!(edge.ask("GET", "/users", &[]).await.status, 200);
    assert_eq!(next.requests(), 2, "no more than `mirror_concurrency`");
    next.behave(Behaviour::Status(503));
    eventually("both have ended", async || (next.seen().len() == 2).then_some(())).await;
    // 503 of an idempotent request would be tried again.
    let copied = eventually("there is room again", async || {
        assert_eq!(edge.ask("GET", "/users", &[]).await.status, 200);
        (next.seen().len() > 2).then(|| next.seen().len())
    })
    .await;
    assert!(copied <= edge.server.seen().len());
    let sent: std::collections::BTreeSet<_> =
        next.seen().iter().map(|seen| seen["headers"]["x-request-id"].to_string()).collect();
    assert_eq!(sent.len(), next.seen().len(), "each copy is sent once");
}

#[tokio::test]
async fn a_body_that_is_too_long_and_a_lot_that_falls_elsewhere_make_no_copy() {
    let next = PlainServer::start("next").await;
    let edge = start(next.address, "mirror_body = \"10B\"").await;
    let seen = edge.send("POST", "/users", &[], "eleven bytes").await.json();
    assert_eq!(seen["body"], "eleven bytes");
    assert_eq!(edge.send("POST", "/users", &[], "ten bytes.").await.status, 200);
    let copy = eventually("the short one is copied", async || next.seen().into_iter().next()).await;
    assert_eq!((&copy["body"], next.requests()), (&"ten bytes.".into(), 1));
    let none = start(next.address, "mirror_share = \"0%\"").await;
    for _ in 0..20 {
        assert_eq!(none.ask("GET", "/users", &[]).await.status, 200);
    }
    assert_eq!(next.requests(), 1);
}
