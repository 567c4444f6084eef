//! Cuts between three machines, each with a host and a server of NATS, in every direction, under load: no acknowledged
//! write is lost, no call fails whose way is whole, nobody is evicted who can be reached, no node acts alone, and all
//! tables agree when the cut has ended.
//!
//! By default one cut of each kind; with `ATOLL_CUTS=all` all of them, as in `just cluster-long`.

use super::super::atoll::{eventually, hello_revision};
use super::own_network::{Cut, OwnNetwork, is_in_own_network};
use super::quorum::{duration, hold};
use super::shop_load::{LostPart, ShopLoad, ShopOutage};
use super::trio::{NatsTrio, ShopPlace, SpreadShop, swap};
use super::{LEASE, NAMES, NodeProcess};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The three machines.
const NODES: [usize; 3] = [0, 1, 2];
/// The token of the admins, which are not on loopback here.
const TOKEN: &str = "root-0123456789abcdef0123456789";

/// One experiment.
struct CutPlan {
    name: String,
    cuts: Vec<Cut>,
}

impl CutPlan {
    fn new(name: String, cuts: &[Cut]) -> Self {
        Self { name, cuts: cuts.to_vec() }
    }

    /// A machine without the others: what it sends is lost, or what they send, or both.
    fn alone(node: usize, sends: bool, receives: bool) -> Self {
        let others = || NODES.into_iter().filter(move |other| *other != node);
        let out = others().filter(|_| !sends).map(|other| Cut::Way(node, other));
        let to = others().filter(|_| !receives).map(|other| Cut::Way(other, node));
        let what = match (sends, receives) {
            (false, false) => "is alone",
            (false, true) => "is not heard",
            _ => "hears nothing",
        };
        Self { name: format!("{} {what}", NAMES[node]), cuts: out.chain(to).collect() }
    }

    /// Whether no packet passes between two machines in one direction at least.
    fn severs(&self, one: usize, other: usize) -> bool {
        let is_on_the_way =
            |cut: &Cut| matches!(*cut, Cut::Way(from, to) if (from, to) == (one, other) || (from, to) == (other, one));
        self.cuts.iter().any(is_on_the_way)
    }

    /// The machine that no other one reaches.
    fn lonely(&self) -> Option<usize> {
        NODES.into_iter().find(|node| NODES.into_iter().all(|other| other == *node || self.severs(*node, other)))
    }
}

/// All of them, or those that stand for their kind.
fn plans() -> Vec<CutPlan> {
    let mut plans = Vec::new();
    for node in NODES {
        let name = NAMES[node];
        plans.push(CutPlan::new(format!("{name} does not reach NATS"), &[Cut::ToNats(node)]));
        plans.push(CutPlan::new(format!("NATS does not reach {name}"), &[Cut::FromNats(node)]));
        plans.push(CutPlan::new(format!("{name} is without NATS"), &[Cut::ToNats(node), Cut::FromNats(node)]));
        plans.push(CutPlan::alone(node, false, false));
        plans.push(CutPlan::alone(node, false, true));
        plans.push(CutPlan::alone(node, true, false));
        let next = (node + 1) % NODES.len();
        let [way, back] = [Cut::Way(node, next), Cut::Way(next, node)];
        plans.push(CutPlan::new(format!("{name} does not reach {}", NAMES[next]), &[way]));
        plans.push(CutPlan::new(format!("{} does not reach {name}", NAMES[next]), &[back]));
        plans.push(CutPlan::new(format!("{name} and {} are apart", NAMES[next]), &[way, back]));
    }
    plans.push(CutPlan::new("all are without NATS".into(), &NODES.map(Cut::ToNats)));
    #[expect(clippy::disallowed_methods, reason = "whoever starts a full run says so")]
    let wanted = std::env::var("ATOLL_CUTS").unwrap_or_else(|_| {
        "a does not reach NATS,NATS does not reach b,\
        b is alone,c is not heard,a hears nothing,c does not reach a,b and c are apart,all are without NATS"
            .into()
    });
    plans.retain(|plan| wanted == "all" || wanted.split(',').any(|one| one == plan.name));
    assert!(!plans.is_empty(), "there is no cut of this name: {wanted}");
    plans
}

/// The machines with what runs there.
struct CutShop {
    network: OwnNetwork,
    nats: NatsTrio,
    shop: SpreadShop,
}

impl CutShop {
    async fn open(pki: &Path) -> Option<Self> {
        let network = OwnNetwork::start(NODES.len()).await;
        let routes: Vec<_> = network.machines.iter().map(|one| format!("nats://{}:6222", one.address)).collect();
        let places: Vec<_> = network.machines.iter().map(|one| (one.through(), one.address.clone())).collect();
        let nats = NatsTrio::start_on(&routes, &places, &[]).await?;
        let place = |(through, address): &(Vec<String>, String)| {
            let own = format!("{address}:0");
            let listens = ["ATOLL_GATEWAY_LISTEN", "ATOLL_ADMIN_LISTEN"].map(|variable| (variable, own.clone()));
            let variables = [listens.to_vec(), vec![("ATOLL_ADMIN_TOKEN", TOKEN.to_owned())]].concat();
            let process = NodeProcess { through: through.clone(), variables };
            ShopPlace { nats: nats.addresses(), lines: format!("listen = '{own}'\n"), process }
        };
        let places: Vec<_> = places.iter().map(place).collect();
        let shop = SpreadShop::open_at(&places, NODES.len(), pki).await;
        Some(Self { network, nats, shop })
    }

    /// Waits until NATS is whole, and then until all nodes say the same of all nodes. Returns how long each took.
    async fn agree(&self) -> (Duration, Duration) {
        let began = Instant::now();
        self.nats.is_whole().await;
        let (whole, began) = (began.elapsed(), Instant::now());
        eventually("all tables agree", async || {
            let mut tables = Vec::new();
            for node in NODES {
                let view = self.shop.node(node).view().await;
                if !view["stale_ms"].is_null() || !view["lease_age_ms"].is_u64() {
                    return None;
                }
                tables.push(table(&view));
            }
            (tables[0].len() == NODES.len() && tables.iter().all(|table| *table == tables[0])).then_some(())
        })
        .await;
        (whole, began.elapsed())
    }

    /// Waits until the services that move stand on as many nodes as they should, as all know it. Returns where `solo`
    /// is.
    async fn settles(&self) -> String {
        eventually("the services stand where they should", async || {
            let mut seen = Vec::new();
            for node in NODES {
                seen.push((self.shop.hosts(node).await, self.shop.hosts_of("solo", node).await));
            }
            let (two, one) = &seen[0];
            (two.len() == 2 && one.len() == 1 && seen.iter().all(|other| *other == seen[0])).then(|| one[0].clone())
        })
        .await
    }

    /// Sees meanwhile that nobody is evicted whose way to the node is whole.
    async fn last(&self, plan: &CutPlan, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            for node in NODES {
                let known = self.shop.node(node).known().await;
                for other in NODES.into_iter().filter(|other| !plan.severs(node, *other)) {
                    let (after, other) = (began.elapsed(), NAMES[other]);
                    assert!(known.iter().any(|one| one == other), "{}: {other} is gone {after:?} later", NAMES[node]);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until `solo`, whose only instances were on a machine that nobody reaches, is served on another one.
    async fn moves_from(&self, lonely: usize) {
        let began = Instant::now();
        let asked = self.shop.node(NODES.into_iter().find(|node| *node != lonely).unwrap());
        let url = format!("{}/solo", asked.host.gateway);
        let answer = async || asked.http.get(&url).await.status.is_success().then_some(());
        eventually("`solo` is served elsewhere", answer).await;
        println!("  `solo` is served on the others {:?} after the cut was noted", began.elapsed());
    }

    /// What is swapped at a node that is alone is refused, and what is swapped elsewhere counts on all.
    async fn has_no_split_brain(&self, lonely: usize, folder: &Path) -> String {
        let revision = |name: &[u8; 16]| fs::read(hello_revision(name, folder)).unwrap();
        let (late, wins) = (revision(b"revision-001-bbb"), revision(b"revision-002-ccc"));
        let alone = self.shop.node(lonely);
        let refused = swap(&alone.http, &alone.host.admin, late).await;
        assert!(!refused.as_ref().is_ok_and(|answer| answer.status.is_success()), "{refused:?}");
        let other = self.shop.node((lonely + 1) % NODES.len());
        let swapped = eventually("the others agree", async || {
            let answer = swap(&other.http, &other.host.admin, wins.clone()).await.ok()?;
            answer.status.is_success().then(|| answer.json())
        })
        .await;
        swapped["revision"].as_str().unwrap().to_owned()
    }
}

/// What a view says of each node: its standing, and its services with their revisions.
fn table(view: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let node = |node: &Value| {
        let services = node["services"].as_array().unwrap().iter();
        let services = services.map(|one| format!("{} {}", text(&one["name"]), text(&one["digest"])));
        (text(&node["name"]), text(&node["standing"]), services.collect())
    };
    view["nodes"].as_array().unwrap().iter().map(node).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cut_loses_a_write_or_parts_nodes_that_reach_each_other() {
    let test = "it::cluster::cuts::no_cut_loses_a_write_or_parts_nodes_that_reach_each_other";
    if !is_in_own_network(test).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(shop) = CutShop::open(&folder.path().join("pki")).await else { return };
    let load = ShopLoad::begin(&shop.shop).await;
    shop.agree().await;
    let mut outages = Vec::new();
    for plan in plans() {
        outages.extend(is_cut(&shop, &load, &plan, folder.path()).await);
    }
    let (calls, failed) = load.end(&outages).await;
    println!("{calls} calls, of which {failed} needed a way that was cut");
    for node in shop.shop.nodes.into_iter().flatten() {
        node.host.stop().await;
    }
}

/// One cut, and its end.
async fn is_cut(shop: &CutShop, load: &ShopLoad, plan: &CutPlan, folder: &Path) -> Vec<ShopOutage> {
    println!("{}: NATS is led by {}", plan.name, NAMES[shop.nats.leader().await]);
    let ports: Vec<_> = shop.nats.servers.iter().map(|server| server.port()).collect();
    let solo = shop.settles().await;
    let from = Instant::now();
    shop.network.cut(&plan.cuts, &ports).await;
    let mut swapped = None;
    if let Some(lonely) = plan.lonely() {
        if solo == NAMES[lonely] {
            shop.moves_from(lonely).await;
            hold(from.elapsed(), 2 * LEASE);
        }
        if plan.name.ends_with("is alone") {
            swapped = Some(shop.has_no_split_brain(lonely, folder).await);
        }
    }
    let least = duration("ATOLL_CUT", LEASE + Duration::from_secs(3));
    shop.last(plan, least.saturating_sub(from.elapsed())).await;
    let lasted = from.elapsed();
    shop.network.heal().await;
    let (whole, agreed) = shop.agree().await;
    println!("  after {lasted:?} it ended; NATS is whole {whole:?} later, and all tables agree {agreed:?} after that");
    hold(agreed, LEASE);
    if let Some(revision) = swapped {
        shop.shop.serve(&NODES, &revision).await;
    }
    load.is_served().await;
    let severed = NODES.into_iter().flat_map(|one| NODES.into_iter().map(move |other| (one, other)));
    let severed = severed.filter(|(one, other)| one < other && plan.severs(*one, *other));
    let to = Instant::now();
    let outages: Vec<_> = severed.map(|(one, other)| ShopOutage { of: LostPart::Link(one, other), from, to }).collect();
    if outages.is_empty() {
        load.was_served_since(from);
    }
    outages
}
