//! Bridges between hosts over real brokers: one host copies its events there, the other gets them, and what is killed
//! meanwhile loses none and doubles none.

use super::super::atoll::{Home, eventually};
use super::nats_server::NatsServer;
use super::rabbit_server::RabbitServer;
use super::{Book, MANIFEST};
use serde_json::Value;

/// A bridge of a manifest.
fn bridge(name: &str, direction: &str, address: &str, remote: &str) -> String {
    format!("[bridge.{name}]\ntopic = 'entries'\n{direction} = '{address}'\nremote = '{remote}'\n")
}

async fn bridges(book: &Book) -> Vec<Value> {
    let topics = book.admin("/v1/topics").await;
    let entries = topics.as_array().unwrap().iter().find(|one| one["name"] == "entries").unwrap();
    entries["bridges"].as_array().unwrap().clone()
}

/// Waits until `reader` of a host has handled so many entries of the key `k`, and returns them in their order.
async fn handled(book: &Book, count: usize) -> Vec<String> {
    eventually("the entries are handled", async || {
        let order = book.value("reader", "order/k").await;
        let ids: Vec<_> = order.split_whitespace().map(str::to_owned).collect();
        (ids.len() >= count).then_some(ids)
    })
    .await
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("e{number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cross_jet_stream_from_host_to_host_over_crashes_of_all_three() {
    let Some(mut server) = NatsServer::start().await else { return };
    let address = server.address();
    let near = Home::new(&format!("{}{MANIFEST}", bridge("out", "to", &address, "shop.entries")));
    let far = Home::new(&format!("{}{MANIFEST}", bridge("in", "from", &address, "shop.entries")));
    let (mut here, mut there) = (near.start().await, far.start().await);
    for id in &ids(20) {
        Book::of(&here).entry(id, "k", "").await;
    }
    assert_eq!(handled(&Book::of(&there), 20).await, ids(20));
    // The broker is away: publishing here goes on.
    server.kill().await;
    for id in &ids(30)[20..] {
        Book::of(&here).entry(id, "k", "").await;
    }
    let told = async || bridges(&Book::of(&here)).await[0]["error"].as_str().map(str::to_owned);
    eventually("the bridge tells that the broker is away", told).await;
    here.kill().await;
    there.kill().await;
    server.start_again().await;
    (here, there) = (near.start().await, far.start().await);
    assert_eq!(handled(&Book::of(&there), 30).await, ids(30));
    assert_eq!(handled(&Book::of(&here), 30).await, ids(30));
    // Nothing is there twice.
    for (host, name) in [(&here, "out"), (&there, "in")] {
        let found = &bridges(&Book::of(host)).await[0];
        assert_eq!((&found["name"], &found["lag"]), (&Value::from(name), &Value::from(0)), "{found}");
        assert_eq!(Book::of(host).value("reader", "order/k").await.split_whitespace().count(), 30);
    }
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_crosses_rabbitmq_does_not_come_back_to_where_it_was() {
    let Some(server) = RabbitServer::start().await else { return };
    let address = server.address();
    let both = |name: &str| {
        let bridges = ["from", "to"].map(|way| bridge(&format!("{name}-{way}"), way, &address, "entries"));
        Home::new(&format!("{}{}{MANIFEST}", bridges[0], bridges[1]))
    };
    let (near, far) = (both("near"), both("far"));
    let (here, there) = (near.start().await, far.start().await);
    Book::of(&here).entry("e0", "k", "").await;
    assert_eq!(handled(&Book::of(&there), 1).await, ids(1));
    Book::of(&there).entry("e1", "k", "").await;
    assert_eq!(handled(&Book::of(&here), 2).await, ids(2));
    // What goes in a circle comes again and again.
    Book::of(&here).entry("e2", "k", "").await;
    for host in [&here, &there] {
        assert_eq!(handled(&Book::of(host), 3).await, ids(3));
        eventually("nothing is under way", async || {
            let lags = bridges(&Book::of(host)).await;
            lags.iter().all(|one| one["lag"] == 0).then_some(())
        })
        .await;
        assert_eq!(handled(&Book::of(host), 3).await, ids(3));
    }
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_cannot_be_is_refused_with_the_place_and_the_mend() {
    for (text, message, help) in [
        ("[bridge.x]\ntopic = 'entries'\n", "bridge `x` needs either `from` or `to`", "say where the events come from"),
        ("[bridge.x]\nto = 'nats://a'\n", "bridge `x` has no `topic`", "name a topic of this manifest"),
        (
            "[bridge.x]\nto = 'redis://a'\ntopic = 'entries'\n",
            "`to` must be an address of NATS, RabbitMQ or",
            "nats://",
        ),
        ("[bridge.x]\nto = 'nats://a'\ntopic = 'entriess'\n", "there is no topic `entriess`", "entries"),
        (
            "[bridge.x]\nto = 'nats://a'\ntopic = 'entries'\n[bridge.y]\nto = 'nats://a'\ntopic = 'entries'\n",
            "bridge `x` copies the same events already",
            "leave one of them out",
        ),
        (
            "[events]\nbroker = 'nats://a'\n[bridge.x]\nto = 'nats://b'\ntopic = 'entries'\n",
            "a bridge is for topics of the host's own database",
            "leave the bridge out",
        ),
    ] {
        let home = Home::new(&format!("{text}{MANIFEST}"));
        home.link_cache();
        let output = home.output(&["check", "atoll.toml"]).await;
        let told = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(message) && told.contains(help), "{text}: {told}");
    }
}
