//! What nodes know of each other while NATS is there.

use super::super::atoll::hello_revision;
use super::{Fleet, LEASE, NatsServer, RunningNode, eventually, home};
use rustix::process::Signal;
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_and_one_that_is_killed_goes_and_comes_back_as_another() {
    let Some(server) = NatsServer::start().await else { return };
    let mut fleet = Fleet::start(&server).await;
    let before = fleet.nodes[0].node("b").await;
    assert_eq!((&before["zone"], &before["standing"], &before["own"]), (&"z1".into(), &"living".into(), &false.into()));
    assert_eq!(before["services"].as_array().unwrap().len(), 1, "plain addresses are nobody's");
    assert_eq!(before["services"][0]["replicas"], 2);

    let [c, b, a] = [2, 1, 0].map(|at| fleet.nodes.remove(at));
    b.host.kill().await;
    a.knows(&["a", "c"]).await;
    c.knows(&["a", "c"]).await;
    a.host.logged("a node has lost its lease").await;
    let b = RunningNode::start(&fleet.homes[1], "b").await;
    for node in [&a, &b, &c] {
        node.knows(&["a", "b", "c"]).await;
    }
    assert_ne!(a.node("b").await["incarnation"], before["incarnation"]);
    // A node that ends is no node that was lost.
    b.host.stop().await;
    c.host.stop().await;
    a.knows(&["a"]).await;
    let log = a.host.stop().await;
    assert_eq!(log.iter().filter(|line| line.contains("a node has lost its lease")).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_at_one_node_is_of_all_and_ps_shows_all() {
    let Some(server) = NatsServer::start().await else { return };
    let fleet = Fleet::start(&server).await;
    let [a, b] = [&fleet.nodes[0], &fleet.nodes[1]];
    let before = a.node("b").await["services"][0]["digest"].clone();
    let new = hello_revision(b"revision-001-bbb", fleet.homes[1].folder.path());
    let swap = format!("{}/v1/services/hello/swap", b.host.admin);
    let request = http::Request::post(swap).header("content-type", "application/wasm");
    let swapped = b.http.send(request, fs::read(new).unwrap()).await;
    assert_eq!(swapped.status, 200, "{swapped:?}");
    for node in ["a", "b", "c"] {
        eventually(&format!("a knows the revision of {node}"), async || {
            (a.node(node).await["services"][0]["digest"] != before).then_some(())
        })
        .await;
    }
    let output = fleet.homes[0].command(&["ps", "--all"]).env("ATOLL_ADMIN", &a.host.admin).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for node in ["a", "b", "c"] {
        assert!(text.lines().any(|line| line.starts_with("hello") && line.contains(&format!("  {node}  "))), "{text}");
    }
    let metrics = a.http.get(&format!("{}/metrics", a.host.admin)).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "atoll_cluster_nodes{standing=\"living\"} 3",
        "atoll_cluster_doubted_nodes 0",
        "atoll_cluster_lease_held 1",
        "atoll_cluster_refused_calls_total 0",
        "atoll_cluster_table_stale_seconds 0.0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing");
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sleeps_goes_and_when_it_wakes_up_nobody_else_does() {
    let Some(server) = NatsServer::start().await else { return };
    let fleet = Fleet::start(&server).await;
    let [a, b] = [&fleet.nodes[0], &fleet.nodes[1]];
    let incarnation = a.node("b").await["incarnation"].clone();
    b.host.signal(Signal::STOP);
    a.knows(&["a", "c"]).await;
    b.host.signal(Signal::CONT);
    for node in &fleet.nodes {
        node.knows(&["a", "b", "c"]).await;
    }
    assert_eq!(a.node("b").await["incarnation"], incarnation, "it is the same process");
    fleet.stays_whole_for(2 * LEASE).await;
    assert!(!b.host.log().iter().any(|line| line.contains("a node has lost its lease")), "it evicts nobody");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_name_the_first_is_the_node_and_the_other_says_so() {
    let Some(server) = NatsServer::start().await else { return };
    let fleet = Fleet::start(&server).await;
    let incarnation = fleet.nodes[0].node("b").await["incarnation"].clone();
    let second = home(&server.address());
    let twin = RunningNode::start(&second, "b").await;
    twin.host.logged("another process has the name of this node").await;
    let (status, text) = twin.readyz().await;
    assert!(status == 200 && text.contains("which no other node sees"), "{text}");
    assert_eq!(fleet.nodes[0].node("b").await["incarnation"], incarnation);
    fleet.stop().await;
    // Now the name is free.
    eventually("the second one has its lease", async || {
        (twin.readyz().await == (200, r#"{"status":"ready"}"#.to_owned())).then_some(())
    })
    .await;
    assert!(twin.view().await["lease_age_ms"].is_u64());
    twin.host.stop().await;
}
