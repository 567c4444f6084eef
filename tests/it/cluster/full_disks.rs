//! Servers of NATS whose disks are full: one of three, and then all.

use super::LEASE;
use super::own_network::{is_in_own_network, run};
use super::quorum::hold;
use super::shop_load::ShopLoad;
use super::trio::{NatsTrio, SpreadShop};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The size of each disk.
const SIZE: usize = 16 << 20;

/// Three servers, each with a small disk of its own.
struct SmallDisks {
    nats: NatsTrio,
    disks: Vec<PathBuf>,
}

impl SmallDisks {
    async fn start(folder: &Path) -> Option<Self> {
        // What streams may need at most is more than these disks have, and would be refused.
        let config = folder.join("nats.conf");
        fs::write(&config, "jetstream { max_file_store: 8GB, max_memory_store: 64MB }\n").unwrap();
        let mut nats = NatsTrio::start_with(&["--config", config.to_str().unwrap()]).await?;
        let mut disks = Vec::new();
        for server in &mut nats.servers {
            server.stop().await;
            let disk = server.folder().join("jetstream");
            fs::remove_dir_all(&disk).unwrap();
            fs::create_dir(&disk).unwrap();
            let size = format!("size={SIZE}");
            run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", disk.to_str().unwrap()]).await;
            disks.push(disk);
        }
        for server in &mut nats.servers {
            server.start_again().await;
        }
        Some(Self { nats, disks })
    }

    /// Fills a disk to its last byte.
    fn fill(&self, server: usize) {
        let mut file = fs::File::create(self.disks[server].join("filler")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    /// Makes room. A server that has met a full disk begins again when it is started again.
    async fn clear(&mut self, server: usize) {
        fs::remove_file(self.disks[server].join("filler")).unwrap();
        self.nats.servers[server].kill().await;
        self.nats.servers[server].start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disks_of_nats_fail_no_call_and_evict_nobody() {
    if !is_in_own_network("it::cluster::full_disks::full_disks_of_nats_fail_no_call_and_evict_nobody").await {
        return;
    }
    run(&["ip", "link", "set", "lo", "up"]).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut small) = SmallDisks::start(folder.path()).await else { return };
    let shop = SpreadShop::open(&small.nats, &folder.path().join("pki")).await;
    let load = ShopLoad::begin(&shop).await;
    small.nats.is_whole().await;
    let leader = small.nats.leader().await;
    is_survived(&mut small, &[leader], &shop, &load).await;
    is_survived(&mut small, &[0, 1, 2], &shop, &load).await;
    let (calls, failed) = load.end(&[]).await;
    println!("{calls} calls, of which {failed} failed");
    for node in shop.nodes.into_iter().flatten() {
        node.host.stop().await;
    }
    for server in &mut small.nats.servers {
        server.kill().await;
    }
    for disk in &small.disks {
        run(&["umount", disk.to_str().unwrap()]).await;
    }
}

async fn is_survived(small: &mut SmallDisks, full: &[usize], shop: &SpreadShop, load: &ShopLoad) {
    let began = Instant::now();
    for server in full {
        small.fill(*server);
    }
    shop.stays_whole_for(3 * LEASE).await;
    let mut without = 0;
    for node in 0..3 {
        without += usize::from(!shop.node(node).view().await["lease_age_ms"].is_u64());
    }
    println!("{} of 3 disks are full: {without} nodes have no lease", full.len());
    assert!(full.len() < 3 || without == 3, "nothing can be written");
    for server in full {
        small.clear(*server).await;
    }
    small.nats.is_whole().await;
    let fresh = shop.is_fresh().await;
    println!("there is room: all tables agree {fresh:?} after NATS does");
    hold(fresh, LEASE);
    shop.stays_whole_for(LEASE + Duration::from_secs(1)).await;
    load.was_served_since(began);
}
