//! Machines whose time of day is ten minutes off, and one whose clock is set while it runs.

use super::own_network::is_asked_for;
use super::shop_load::ShopLoad;
use super::trio::{NatsTrio, ShopPlace, SpreadShop, swap};
use super::{LEASE, NodeProcess, RunningNode};
use crate::it::atoll::{eventually, hello_revision};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The library of Debian's package `faketime`, by which a program reads another time of day. `None`: it is not there.
async fn library() -> Option<PathBuf> {
    let shown = Command::new("faketime").args(["-m", "-f", "+0s", "printenv", "LD_PRELOAD"]).output().await;
    let shown = shown.ok().filter(|shown| shown.status.success());
    if shown.is_none() {
        eprintln!("the package `faketime` is not installed: nothing was tested");
    }
    Some(String::from_utf8(shown?.stdout).unwrap().trim().into())
}

/// By how many seconds a node's time of day is ahead of this process's, as the last line of its log says.
fn ahead(node: &RunningNode) -> Option<i64> {
    let line: Value = serde_json::from_str(&node.host.log().pop()?).ok()?;
    let said: jiff::Timestamp = line["timestamp"].as_str()?.parse().ok()?;
    Some(said.as_second() - jiff::Timestamp::now().as_second())
}

/// Waits until it is off by so much.
async fn is_off(node: &RunningNode, by: i64) {
    let is_so = async || ((ahead(node)? - by).abs() < 5).then_some(());
    eventually(&format!("its clock is off by {by} s"), is_so).await;
}

/// `a` is right, `b` ten minutes ahead, `c` ten minutes behind, each by what its file says.
async fn open(nats: &NatsTrio, library: &Path, folder: &Path) -> SpreadShop {
    let place = |(at, by): (usize, &str)| {
        let clock = folder.join(format!("clock-{at}"));
        fs::write(&clock, by).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let variables = vec![
            ("LD_PRELOAD", text(library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&clock)),
            // A file that is written anew counts at once.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // A clock that is set is the time of day. The one that only counts goes on.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let process = NodeProcess { through: Vec::new(), variables };
        ShopPlace { nats: nats.addresses(), lines: "listen = '127.0.0.1:0'\n".into(), process }
    };
    let places: Vec<_> = ["+0", "+600", "-600"].into_iter().enumerate().map(place).collect();
    SpreadShop::open_at(&places, nats.servers.len(), &folder.join("pki")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ten_minutes_off_or_is_set_changes_nothing() {
    if !is_asked_for() {
        return;
    }
    let Some(library) = library().await else { return };
    let Some(nats) = NatsTrio::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let shop = open(&nats, &library, folder.path()).await;
    let load = ShopLoad::begin(&shop).await;
    for (node, by) in [(0, 0), (1, 600), (2, -600)] {
        is_off(shop.node(node), by).await;
    }
    let began = Instant::now();
    shop.stays_whole_for(3 * LEASE).await;
    // The clock is set: twenty minutes back, and then as far ahead.
    for by in [-600, 600] {
        fs::write(folder.path().join("clock-1"), format!("{by:+}")).unwrap();
        is_off(shop.node(1), by).await;
        shop.stays_whole_for(2 * LEASE).await;
    }
    let new = fs::read(hello_revision(b"revision-001-bbb", folder.path())).unwrap();
    let b = shop.node(1);
    let swapped = swap(&b.http, &b.host.admin, new).await.unwrap();
    assert_eq!(swapped.status, 200, "{swapped:?}");
    let revision = swapped.json()["revision"].as_str().unwrap().to_owned();
    shop.serve(&[0, 1, 2], &revision).await;
    assert!(shop.is_fresh().await < Duration::from_secs(1), "all leases are held");
    load.was_served_since(began);
    let (calls, failed) = load.end(&[]).await;
    println!("{calls} calls, of which {failed} failed");
    for node in shop.nodes.into_iter().flatten() {
        node.host.stop().await;
    }
}
