//! What a client waited for is in the gateway's duration: the bulkhead, the engine's pool, and further tries.

use super::super::plain_server::{Behaviour, PlainServer};
use super::{Counted, Metrics};
use futures_util::future::join_all;

/// How long each call works.
const WORK: f64 = 0.3;

fn manifest(plain: &PlainServer) -> String {
    let mut text = String::from("[runtime]\ninstances = 8\n");
    for (name, keys) in [
        ("narrow", "limits = { concurrency = 1, wait = \"1m\", timeout = \"1m\" }"),
        ("pooled", "limits = { wait = \"1m\", timeout = \"1m\" }"),
    ] {
        text += &format!(
            "[service.{name}]\ncomponent = \"{{component:fixture-hostile}}\"\n{keys}\n\
             [[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\ntimeout = \"1m\"\n"
        );
    }
    text + &format!(
        "[service.silent]\nurls = [\"http://{}\"]\nlimits = {{ timeout = \"200ms\" }}\nretry = {{ tries = 2 }}\n\
         breaker = {{ failure_threshold = 1000 }}\n\
         [[route]]\nprefix = \"/silent\"\nstrip_prefix = \"/silent\"\nservice = \"silent\"\ntimeout = \"1m\"\n",
        plain.address
    )
}

/// The time of all requests of a route, from the arrival of the head to the end of the answer.
fn duration(metrics: &Metrics, route: &str) -> f64 {
    metrics.sum("atoll_gateway_duration_seconds_sum", &[("route", route)])
}

#[tokio::test]
async fn the_gateways_duration_has_all_waits_and_tries() {
    let plain = PlainServer::start("silent").await;
    plain.behave(Behaviour::Silent);
    let host = Counted::start(&manifest(&plain)).await;
    let send = async |service: &str, requests: usize, status: u16| {
        let url = format!("{}/{service}/sleep?ms=300", host.atoll.gateway);
        let statuses = join_all((0..requests).map(async |_| host.http.get(&url).await.status.as_u16())).await;
        assert_eq!(statuses, vec![status; requests], "{service}");
    };
    send("narrow", 3, 200).await;
    send("pooled", 12, 200).await;
    send("silent", 1, 504).await;
    let metrics = host.metrics().await;

    let queued = metrics.service("atoll_queue_wait_seconds_sum", "narrow");
    // The second has waited for the first, and the third for both, but for the time by which they came later.
    assert!(queued > WORK, "{queued}");
    let took = duration(&metrics, "/narrow/*");
    assert!(took >= 3.0 * WORK + queued, "{took} s, of which {queued} s were waits at the bulkhead");

    let pooled = metrics.service("atoll_pool_wait_seconds_sum", "pooled");
    assert!(pooled > WORK, "twelve calls in a pool of eight: {pooled}");
    let took = duration(&metrics, "/pooled/*");
    assert!(took >= 12.0 * WORK + pooled, "{took} s, of which {pooled} s were waits for the pool");

    let tries = metrics.service("atoll_requests_total", "silent");
    assert!(tries > 1.0);
    let took = duration(&metrics, "/silent/*");
    assert!(took >= 0.2 * tries, "{took} s for {tries} tries of 0.2 s");
}
