//! What operators order of nodes.

use super::{Fleet, NatsServer, RunningNode};
use http::Method;
use serde_json::json;

async fn run(fleet: &Fleet, arguments: &[&str]) -> String {
    let command = fleet.homes[0].command(arguments).env("ATOLL_ADMIN", &fleet.nodes[0].host.admin).output().await;
    let output = command.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_says_so_to_all_and_to_its_balancer_through_a_restart() {
    let Some(server) = NatsServer::start().await else { return };
    let mut fleet = Fleet::start(&server).await;
    let text = run(&fleet, &["node", "drain", "b"]).await;
    assert!(text.contains("node b is draining") && text.contains("node b has no calls under way"), "{text}");
    for node in &fleet.nodes {
        node.says("b", "draining").await;
    }
    let (status, text) = fleet.nodes[1].readyz().await;
    assert!(status == 503 && text.contains("an operator has drained this node"), "{text}");
    let list = run(&fleet, &["node", "list"]).await;
    assert!(list.lines().any(|line| line.starts_with("b ") && line.contains("draining")), "{list}");

    // The order is the operator's, and not the process's.
    let b = fleet.nodes.remove(1);
    b.host.stop().await;
    let b = RunningNode::start(&fleet.homes[1], "b").await;
    fleet.nodes.insert(1, b);
    for node in &fleet.nodes {
        node.says("b", "draining").await;
    }
    run(&fleet, &["node", "uncordon", "b"]).await;
    for node in &fleet.nodes {
        node.says("b", "living").await;
    }
    assert_eq!(fleet.nodes[1].readyz().await.0, 200);
    run(&fleet, &["node", "cordon", "c"]).await;
    fleet.nodes[1].says("c", "cordoned").await;
    assert_eq!(fleet.nodes[2].readyz().await.0, 200, "a cordoned node takes calls");

    let a = &fleet.nodes[0];
    let path = format!("{}/v1/nodes/nobody/drain", a.host.admin);
    let answer = a.http.json(Method::POST, &path, &json!({})).await;
    assert!(answer.status == 404 && answer.problem()["detail"] == "there is no node `nobody`", "{answer:?}");
    fleet.stop().await;
}
