//! Slow links between the nodes, and between them and NATS, by proxies of the test.

use super::own_network::is_asked_for;
use super::shop_load::ShopLoad;
use super::trio::{ShopPlace, SpreadShop, swap};
use super::{LEASE, NAMES, NodeProcess};
use crate::it::atoll::hello_revision;
use crate::it::topics::nats_server::NatsServer;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// How much later each byte arrives, in each direction: a link around the earth takes about as long.
const DELAY: Duration = Duration::from_millis(100);
/// How many bytes a second each connection carries in each direction.
const RATE: u32 = 128 << 10;

/// A slow way to `target`. Returns its address.
async fn slow_link(target: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&target).await else { continue };
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            pass(from_client, to_server);
            pass(from_server, to_client);
        }
    });
    address
}

/// Hands on what comes, later and slowly, and the end of it too.
fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // What is under way: as much as comes in the time that it takes.
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    tokio::spawn(async move {
        let mut bytes = vec![0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            if sender.send((Instant::now() + DELAY, bytes[..length].to_vec())).await.is_err() {
                return;
            }
            let length = u32::try_from(length).unwrap();
            tokio::time::sleep(Duration::from_secs(1) * length / RATE).await;
        }
    });
    tokio::spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_links_fail_no_call_and_evict_nobody() {
    if !is_asked_for() {
        return;
    }
    let Some(nats) = NatsServer::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut places = Vec::new();
    // Nobody reaches a node before it runs, so its port can be known before.
    let held: Vec<_> = NAMES.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    for one in &held {
        let listen = one.local_addr().unwrap();
        let (nats, own) = (slow_link(nats.address().replace("nats://", "")).await, slow_link(listen.to_string()).await);
        let lines = format!("listen = '{listen}'\naddress = '{own}'\n");
        places.push(ShopPlace { nats: format!("nats://{nats}"), lines, process: NodeProcess::default() });
    }
    drop(held);
    let shop = SpreadShop::open_at(&places, 1, &folder.path().join("pki")).await;
    let load = ShopLoad::begin(&shop).await;
    let began = Instant::now();
    shop.stays_whole_for(5 * LEASE).await;
    let new = fs::read(hello_revision(b"revision-001-bbb", folder.path())).unwrap();
    let (a, length) = (shop.node(0), new.len());
    let swapped = swap(&a.http, &a.host.admin, new).await.unwrap();
    println!("a swap of {length} bytes took {:?} with the five leases before", began.elapsed());
    assert_eq!(swapped.status, 200, "{swapped:?}");
    let revision = swapped.json()["revision"].as_str().unwrap().to_owned();
    shop.serve(&[0, 1, 2], &revision).await;
    println!("all tables are fresh {:?} later", shop.is_fresh().await);
    load.was_served_since(began);
    let (calls, failed) = load.end(&[]).await;
    println!("{calls} calls, of which {failed} failed");
    for node in shop.nodes.into_iter().flatten() {
        node.host.stop().await;
    }
}
