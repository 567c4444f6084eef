//! A host without a server: alone, and refused where a server will not do.

use super::super::atoll::{Home, Http, ended, eventually};
use super::super::topics::jet_stream::old_server;
use super::{MANIFEST, RunningNode, home};
use http::Method;
use serde_json::json;

/// Nobody listens there.
const NOWHERE: &str = "nats://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_nats_a_node_starts_and_serves_alone_and_says_so() {
    let home = home(NOWHERE);
    let node = RunningNode::start(&home, "a").await;
    assert_eq!(node.known().await, ["a"]);
    let view = node.view().await;
    assert!(view["stale_ms"].is_u64() && view["lease_age_ms"].is_null(), "{view}");
    eventually("it knows what it serves itself", async || {
        (node.node("a").await["services"][0]["name"] == "hello").then_some(())
    })
    .await;
    let doctor = home.command(&["doctor"]).env("ATOLL_NODE", "a").output().await.unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("the NATS of [cluster]: 0 of 1 servers take connections"), "{doctor}");
    let (status, text) = node.readyz().await;
    assert!(status == 200 && text.contains("NATS does not tell of the nodes"), "{text}");
    assert_eq!(node.http.get(&format!("{}/hello", node.host.gateway)).await.status, 200);
    let drain = format!("{}/v1/nodes/a/drain", node.host.admin);
    let answer = node.http.json(Method::POST, &drain, &json!({})).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let log = node.host.stop().await;
    assert!(log.iter().any(|line| line.contains("this node is alone until NATS can be reached")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name() {
    let home = home(&old_server().await);
    home.link_cache();
    let output = ended(home.command(&["run", "atoll.toml"]).env("ATOLL_NODE", "a")).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("connecting to the NATS of the cluster"), "{complaint}");
    assert!(complaint.contains("2.10.26 has JetStream API level 0, and Atoll needs level 1"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_the_section_is_no_node() {
    let host = Home::new(MANIFEST).start_with(&[("ATOLL_NODE", "a"), ("ATOLL_CLUSTER_NATS", NOWHERE)]).await;
    let answer = Http::default().get(&format!("{}/v1/nodes", host.admin)).await;
    assert!(answer.status == 409 && answer.problem()["detail"].as_str().unwrap().contains("[cluster]"), "{answer:?}");
    let metrics = Http::default().get(&format!("{}/metrics", host.admin)).await;
    assert!(!String::from_utf8_lossy(&metrics.body).contains("atoll_cluster"));
    host.stop().await;
}
