//! Rate limits of routes, through the real binary.

use super::atoll::{Answer, Atoll, Home, Http};
use super::plain_server::PlainServer;
use http::Request;
use std::net::SocketAddr;

/// A limit that is not refilled while a test runs.
fn manifest(upstream: SocketAddr, gateway: &str) -> String {
    format!(
        r#"
        [gateway]
        {gateway}

        [limit.daily]
        rate = "1/1h"
        burst = 3

        [limit.tenant]
        rate = "1/1h"
        burst = 2
        by = "header:X-Tenant"

        [service.legacy]
        urls = ["http://{upstream}"]

        [[route]]
        prefix = "/daily"
        service = "legacy"
        limit = ["daily"]

        [[route]]
        prefix = "/both"
        service = "legacy"
        limit = ["daily", "tenant"]

        [[route]]
        prefix = "/free"
        service = "legacy"
        "#
    )
}

struct Host {
    atoll: Atoll,
    http: Http,
    upstream: PlainServer,
    _home: Home,
}

impl Host {
    async fn start(gateway: &str) -> Self {
        let upstream = PlainServer::start("only").await;
        let home = Home::new(&manifest(upstream.address, gateway));
        Self { atoll: home.start().await, http: Http::default(), upstream, _home: home }
    }

    async fn get(&self, path: &str, header: Option<(&str, &str)>) -> Answer {
        let request = Request::get(format!("{}{path}", self.atoll.gateway));
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        self.http.send(request, "").await
    }
}

#[tokio::test]
async fn a_request_beyond_a_limit_is_answered_with_429_and_reaches_no_service() {
    let host = Host::start("").await;
    for left in [2, 1, 0] {
        let answer = host.get("/daily", None).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-policy")), (200, "\"daily\";q=1;w=3600"));
        assert!(answer.header("ratelimit").starts_with(&format!("\"daily\";r={left};t=")), "{answer:?}");
    }
    let refused = host.get("/daily", None).await;
    assert_eq!(refused.status, 429);
    let problem = refused.problem();
    assert_eq!(problem["type"], "urn:atoll:problem:quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["daily"]));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((3590..=3600).contains(&wait), "the next request is refilled in an hour: {wait}");
    assert!(refused.header("ratelimit").starts_with("\"daily\";r=0;t="), "{refused:?}");
    let free = host.get("/free", None).await;
    assert_eq!((free.status.as_u16(), free.headers.get("ratelimit")), (200, None));
    let metrics = host.http.get(&format!("{}/metrics", host.atoll.admin)).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let counted = |line: &&str| line.contains("kind=\"quota-exceeded\"") && line.contains("route=\"/daily/*\"");
    let line = metrics.lines().find(counted).unwrap_or_else(|| panic!("no series of refusals in {metrics}"));
    assert!(line.ends_with(" 1") && line.contains("status=\"429\""), "{line}");
    assert_eq!(host.upstream.requests(), 4, "three and the free one");
}

#[tokio::test]
async fn several_limits_count_together_and_a_refusal_costs_none_of_them() {
    let host = Host::start("").await;
    for _ in 0..2 {
        assert_eq!(host.get("/both", Some(("x-tenant", "a"))).await.status, 200);
    }
    for _ in 0..5 {
        let refused = host.get("/both", Some(("x-tenant", "a"))).await;
        assert_eq!(refused.problem()["violated-policies"], serde_json::json!(["tenant"]));
    }
    // One of three is left in `daily`, which both routes share.
    assert_eq!(host.get("/both", Some(("x-tenant", "b"))).await.status, 200);
    let refused = host.get("/daily", None).await;
    assert_eq!(refused.problem()["violated-policies"], serde_json::json!(["daily"]));
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_bucket_and_cannot_choose_another() {
    let host = Host::start("trusted_proxies = [\"127.0.0.1\"]").await;
    let from = |hops: &'static str| host.get("/daily", Some(("x-forwarded-for", hops)));
    for _ in 0..3 {
        assert_eq!(from("192.0.2.1").await.status, 200);
    }
    // What stands before the address that the proxy has appended is the client's word.
    assert_eq!(from("198.51.100.7, 192.0.2.1").await.status, 429);
    assert_eq!(from("192.0.2.2").await.status, 200);
    let direct = Host::start("").await;
    for _ in 0..3 {
        assert_eq!(direct.get("/daily", Some(("x-forwarded-for", "192.0.2.1"))).await.status, 200);
    }
    assert_eq!(direct.get("/daily", Some(("x-forwarded-for", "192.0.2.2"))).await.status, 429);
}
