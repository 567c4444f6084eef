//! The names of a cluster: each node answers for all that serve.

use super::super::atoll::{Home, eventually};
use super::super::offered_names::dns_client::{DnsReply, ask};
use super::super::topics::nats_server::NatsServer;
use super::{MANIFEST, RunningNode};
use http::Method;
use rustix::process::Signal;
use serde_json::json;
use simple_dns::TYPE;
use std::net::SocketAddr;

const NAME: &str = "_http._tcp.hello.atoll.test";

/// A node that is told to be at this address. Nobody is there: what counts is what others are told.
async fn node(home: &Home, name: &str, address: &str) -> (RunningNode, SocketAddr) {
    let variables = [("ATOLL_NODE", name), ("ATOLL_DNS_ADDRESS", address), ("ATOLL_LOG", "debug,h2=off")];
    let host = home.start_with(&variables).await;
    let names = host.dns.as_ref().expect("it has a name server").parse().unwrap();
    (RunningNode { host, http: Default::default() }, names)
}

/// The port of a node's gateway.
fn port(node: &RunningNode) -> String {
    node.host.gateway.rsplit_once(':').unwrap().1.to_owned()
}

/// Waits until a name server names these nodes, each with its address and its gateway's port.
async fn names(server: SocketAddr, nodes: &[(&str, &str, String)]) -> DnsReply {
    let mut expected: Vec<_> = nodes
        .iter()
        .flat_map(|(name, address, port)| [format!("A {address}"), format!("SRV 0 2 {port} {name}.hello.atoll.test")])
        .collect();
    expected.sort();
    eventually(&format!("it answers {expected:?}"), async || {
        let reply = ask(server, NAME, TYPE::SRV).await;
        (reply.records == expected).then_some(reply)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_answers_for_all_that_serve_and_no_other() {
    let Some(server) = NatsServer::start().await else { return };
    let sections = format!("[cluster]\nnats = '{}'\nlease = '4s'\nzone = 'z1'\n", server.address());
    let with_names =
        || Home::new(&format!("{sections}[dns]\ndomain = 'atoll.test'\nlisten = '127.0.0.1:0'\n{MANIFEST}"));
    // The last one is as a node of an older version: it says nothing of its gateway.
    let homes = [with_names(), with_names(), with_names(), Home::new(&format!("{sections}{MANIFEST}"))];
    let (a, at_a) = node(&homes[0], "a", "192.0.2.1").await;
    let (b, at_b) = node(&homes[1], "b", "192.0.2.2,2001:db8::2").await;
    let (c, at_c) = node(&homes[2], "c", "192.0.2.3").await;
    let old = RunningNode::start(&homes[3], "d").await;
    for node in [&a, &b, &c, &old] {
        node.knows(&["a", "b", "c", "d"]).await;
    }
    let all = [("a", "192.0.2.1", port(&a)), ("b", "192.0.2.2", port(&b)), ("c", "192.0.2.3", port(&c))];
    for at in [at_a, at_b, at_c] {
        names(at, &all).await;
        assert_eq!(ask(at, "hello.atoll.test", TYPE::A).await.count("A"), 3);
        assert_eq!(ask(at, "b.hello.atoll.test", TYPE::A).await.records, ["A 192.0.2.2"]);
        assert_eq!(ask(at, "atoll.test", TYPE::A).await.count("A"), 3);
    }
    // An operator drains one: nobody is sent there, and it answers where else to go.
    let order = |what: &str| format!("{}/v1/nodes/b/{what}", a.host.admin);
    assert_eq!(a.http.json(Method::POST, &order("drain"), &json!({})).await.status, 200);
    for at in [at_a, at_b, at_c] {
        names(at, &[all[0].clone(), all[2].clone()]).await;
    }
    assert_eq!(a.http.json(Method::POST, &order("uncordon"), &json!({})).await.status, 200);
    for at in [at_a, at_b, at_c] {
        names(at, &all).await;
    }
    // One that is dead is named until its lease has ended, and one that stops is not.
    c.host.signal(Signal::KILL);
    names(at_a, &all[..2]).await;
    b.host.stop().await;
    names(at_a, &all[..1]).await;
    a.host.stop().await;
    old.host.stop().await;
}
