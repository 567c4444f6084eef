//! What nodes believe while NATS is away, and after it.

use super::{Fleet, LEASE, NAMES, NatsServer, RunningNode, eventually, names};
use std::fs;

async fn is_stale(node: &RunningNode) {
    eventually("it notices that NATS is away", async || node.view().await["stale_ms"].is_u64().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_and_after_it_nobody_is_evicted() {
    let Some(mut server) = NatsServer::start().await else { return };
    let fleet = Fleet::start(&server).await;
    server.kill().await;
    for node in &fleet.nodes {
        is_stale(node).await;
        let (status, text) = node.readyz().await;
        assert!(status == 200 && text.contains("degraded") && text.contains("the last table is used"), "{text}");
    }
    // Every lease has run out meanwhile.
    fleet.stays_whole_for(2 * LEASE).await;
    server.start_again().await;
    eventually("all tables are fresh", async || {
        for node in &fleet.nodes {
            let view = node.view().await;
            assert_eq!(names(&view), NAMES);
            if !view["stale_ms"].is_null() || !view["lease_age_ms"].is_u64() {
                return None;
            }
        }
        Some(())
    })
    .await;
    fleet.stays_whole_for(2 * LEASE).await;
    for node in &fleet.nodes {
        assert_eq!(node.readyz().await, (200, r#"{"status":"ready"}"#.to_owned()));
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_paused_is_noticed_and_one_that_has_forgotten_all_is_told_again() {
    let Some(mut server) = NatsServer::start().await else { return };
    let fleet = Fleet::start(&server).await;
    server.pause();
    for node in &fleet.nodes {
        is_stale(node).await;
    }
    server.go_on();
    for node in &fleet.nodes {
        node.knows(&NAMES).await;
    }
    // Its disk is gone. What lives in the registry alone would be gone, too.
    server.kill().await;
    fs::remove_dir_all(server.folder().join("jetstream")).unwrap();
    server.start_again().await;
    fleet.stays_whole_for(LEASE).await;
    for node in &fleet.nodes {
        node.knows(&NAMES).await;
    }
    fleet.stays_whole_for(2 * LEASE).await;
    fleet.stop().await;
}
