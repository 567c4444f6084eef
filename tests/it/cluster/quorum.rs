//! What breaks under load where three hosts share three real NATS servers: one server, all servers, one host that
//! stands still in the middle of a swap, and one host that dies. Every call of the load crosses nodes.
//!
//! `ATOLL_NATS_AWAY` and `ATOLL_NODE_STOPPED` say for how long NATS is away and a node stands still, as `30s` or `10m`;
//! by default for little more than a lease, so that every lease runs out. `just cluster-long` is a full run.

use super::super::atoll::{TIMEOUT, eventually, hello_revision};
use super::shop_load::{LostPart, ShopLoad, ShopOutage};
use super::trio::{NatsTrio, SpreadShop, swap};
use super::{LEASE, NAMES, RunningNode};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// So long, or as long as this variable says.
pub(super) fn duration(variable: &str, default: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "whoever starts a full run says so")]
    let named = std::env::var(variable).ok();
    named.map_or(default, |text| {
        let (number, unit) = text.split_at(text.len().saturating_sub(1));
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            _ => panic!("{variable}={text} is no duration: write 30s or 10m"),
        };
        Duration::from_secs(number.parse::<u64>().expect("a number of seconds or minutes") * unit)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_sells_on_while_servers_and_nodes_are_killed_stopped_and_started() {
    let Some(mut nats) = NatsTrio::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut shop = SpreadShop::open(&nats, &folder.path().join("pki")).await;
    let load = ShopLoad::begin(&shop).await;
    one_server_is_killed(&mut nats, &shop, &load).await;
    all_servers_are_away(&mut nats, &shop, &load).await;
    let mut outages = a_node_sleeps_in_the_middle_of_its_swap(&nats, &shop, &load, folder.path()).await;
    outages.push(a_node_is_killed(&mut shop, &load).await);
    let (calls, failed) = load.end(&outages).await;
    println!("{calls} calls, of which {failed} needed a node that was not there");
    for node in shop.nodes.into_iter().flatten() {
        node.host.stop().await;
    }
}

/// The one that leads the nodes' bucket. Nobody notices but the clients of NATS.
async fn one_server_is_killed(nats: &mut NatsTrio, shop: &SpreadShop, load: &ShopLoad) {
    let (began, leader) = (Instant::now(), nats.leader().await);
    nats.servers[leader].kill().await;
    shop.stays_whole_for(2 * LEASE).await;
    let fresh = shop.is_fresh().await;
    load.was_served_since(began);
    println!("a server of NATS was killed: the tables were fresh {fresh:?} after two leases");
    nats.servers[leader].start_again().await;
    nats.leader().await;
}

/// Holds a time in the long run alone, which has the machine for itself: `just cluster-long`.
pub(super) fn hold(took: Duration, bound: Duration) {
    let is_short = duration("ATOLL_NATS_AWAY", Duration::ZERO).is_zero();
    assert!(took <= bound || is_short, "{took:?}, not {bound:?}");
}

/// Every lease runs out meanwhile. Calls go on, and nobody is evicted; then or when NATS is back.
async fn all_servers_are_away(nats: &mut NatsTrio, shop: &SpreadShop, load: &ShopLoad) {
    let (began, away) = (Instant::now(), duration("ATOLL_NATS_AWAY", LEASE + Duration::from_secs(2)));
    for server in &mut nats.servers {
        server.stop().await;
    }
    shop.is_stale().await;
    shop.stays_whole_for(away).await;
    for server in &mut nats.servers {
        server.start_again().await;
    }
    nats.leader().await;
    let fresh = shop.is_fresh().await;
    println!("NATS was away for {away:?}: all tables agree {fresh:?} after it has a leader");
    hold(fresh, LEASE);
    shop.stays_whole_for(2 * LEASE).await;
    load.was_served_since(began);
}

/// `c` sleeps when it has proposed a swap and not all have voted. It wakes when another swap was agreed on, and what it
/// writes then comes too late.
async fn a_node_sleeps_in_the_middle_of_its_swap(
    nats: &NatsTrio,
    shop: &SpreadShop,
    load: &ShopLoad,
    folder: &Path,
) -> Vec<ShopOutage> {
    let late = fs::read(hello_revision(b"revision-001-bbb", folder)).unwrap();
    let wins = fs::read(hello_revision(b"revision-002-ccc", folder)).unwrap();
    let stopped = duration("ATOLL_NODE_STOPPED", LEASE + Duration::from_secs(2));
    let [a, b, c] = [0, 1, 2].map(|node| shop.node(node));
    // `b` does not vote, so the swap stays open.
    let from = Instant::now();
    b.host.signal(Signal::STOP);
    let (http, admin) = (c.http.clone(), c.host.admin.clone());
    let proposed = tokio::spawn(async move { swap(&http, &admin, late).await });
    eventually("`c` has proposed it", async || nats.has_proposal().await.then_some(())).await;
    let asleep = Instant::now();
    c.host.signal(Signal::STOP);
    b.host.signal(Signal::CONT);
    shop.knows(0, &["a", "b"]).await;
    println!("a node that stands still is gone {:?} later", asleep.elapsed());
    shop.knows(1, &["a", "b"]).await;
    let awake = Instant::now();
    let swapped = eventually("the swap of `c` is over", async || {
        let answer = swap(&a.http, &a.host.admin, wins.clone()).await.unwrap();
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    let revision = swapped["revision"].as_str().unwrap().to_owned();
    shop.serve(&[0, 1], &revision).await;
    tokio::time::sleep(stopped.saturating_sub(asleep.elapsed())).await;

    c.host.signal(Signal::CONT);
    let woken = Instant::now();
    let answer = timeout(TIMEOUT, proposed).await.expect("it is answered").unwrap();
    // A client may have given the connection up meanwhile; what counts is that nothing came of it.
    assert!(!answer.as_ref().is_ok_and(|answer| answer.status.is_success()), "{answer:?}");
    for node in 0..NAMES.len() {
        shop.knows(node, &NAMES).await;
    }
    println!("it is back {:?} after its waking; its swap was answered: {answer:?}", woken.elapsed());
    hold(woken.elapsed(), LEASE);
    shop.serve(&[0, 1, 2], &revision).await;
    load.is_served().await;
    let to = Instant::now();
    vec![ShopOutage { of: LostPart::Node(1), from, to: awake }, ShopOutage { of: LostPart::Node(2), from: asleep, to }]
}

/// What it alone had is away with it; what may stand elsewhere does so within two leases.
async fn a_node_is_killed(shop: &mut SpreadShop, load: &ShopLoad) -> ShopOutage {
    let from = Instant::now();
    shop.nodes[0].take().unwrap().host.kill().await;
    eventually("`hello` stands on the others", async || {
        let hosts = shop.hosts(1).await;
        (hosts.len() == 2 && !hosts.contains(&"a".to_owned())).then_some(())
    })
    .await;
    println!("a node was killed: `hello` stands on the others {:?} later", from.elapsed());
    hold(from.elapsed(), 2 * LEASE);
    for node in [1, 2] {
        shop.knows(node, &["b", "c"]).await;
    }
    let a = RunningNode::start(&shop.homes[0], "a").await;
    shop.nodes[0] = Some(a);
    load.found_at(shop);
    for node in 0..NAMES.len() {
        shop.knows(node, &NAMES).await;
    }
    load.is_served().await;
    ShopOutage { of: LostPart::Node(0), from, to: Instant::now() }
}
