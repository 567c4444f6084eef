//! This host as a node.

use super::bucket::NodeBucket;
use super::component_store::ComponentStore;
use super::error::ClusterError;
use super::key;
use super::node_keeper::{NodeKeeper, NodeState, Serving};
use super::record;
use super::settings::Settings;
use super::shared_table::SharedTable;
use super::swap_table::SwapTable;
use super::table_keeper::TableKeeper;
use crate::base::ServiceName;
use crate::broker::{BrokerError, JetStream, LinkPace};
use crate::membership::{
    ClusterView, EvictionRule, Incarnation, LeaseClaim, LeaseTerms, MemberTable, NodeName, NodeRow, Standing,
};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many messages of the registry wait here at most: a list of 4,096 nodes has three for each.
const WAITING: usize = 16_384;
/// How long a node that ends waits for the registry.
const FAREWELL: Duration = Duration::from_secs(2);

/// This host as a node of its cluster.
pub struct Cluster {
    bucket: NodeBucket,
    table: Arc<SharedTable>,
    state: Arc<NodeState>,
    terms: LeaseTerms,
    swaps: Arc<SwapTable>,
    components: ComponentStore,
    tasks: Mutex<JoinSet<()>>,
}

/// How this node fares in its cluster.
#[derive(Debug, Clone)]
pub struct ClusterReport {
    /// The nodes that it knows.
    pub view: Arc<ClusterView>,
    /// How long ago its lease was last renewed; `None`: it has none.
    pub lease_age: Option<Duration>,
    /// For how long its table may be the past; `None`: it is told each change.
    pub stale_for: Option<Duration>,
    /// How many nodes have no lease and are believed to live all the same.
    pub doubted: usize,
    /// Whether another process has its name.
    pub taken: bool,
}

impl Cluster {
    /// Connects to NATS, and begins to be a node that serves what `serving` says. A NATS that is away is no error: the
    /// host is alone until it comes.
    ///
    /// # Errors
    /// NATS does not let this host in, or is too old; the bucket is not what nodes need.
    pub async fn start(settings: &Settings, serving: Serving) -> Result<Self, ClusterError> {
        let terms = LeaseTerms::of(settings.lease);
        // A packet that is lost costs a second, and whoever was cut off is to be back within a lease.
        let connect = terms.length / 2;
        let pace = LinkPace { ping: terms.renewal(), connect, pause: terms.renewal(), waiting: WAITING };
        let nats = JetStream::link(&settings.nats, settings.replicas, pace).await?;
        let bucket = NodeBucket::new(nats, &settings.name);
        match bucket.prepare().await {
            Err(error) if error.is_lasting() => return Err(error),
            Err(error) => tracing::warn!(%error, "this node is alone until NATS can be reached"),
            Ok(()) => {}
        }
        let (services, cannot) = serving();
        let own = Arc::new(NodeRow {
            name: settings.node.clone(),
            incarnation: Incarnation(rand::random()),
            zone: settings.zone.clone(),
            address: settings.address.clone(),
            standing: Standing::Living,
            services,
            cannot,
            gateway: settings.gateway.clone(),
        });
        let table = MemberTable::new(EvictionRule::of(settings.lease), own, Instant::now());
        let table = Arc::new(SharedTable::new(table));
        let claim = Mutex::new(LeaseClaim::new(terms));
        let (ending, taken) = (AtomicBool::new(false), AtomicBool::new(false));
        let state = NodeState { claim, ending, taken, told: Mutex::default() };
        let state = Arc::new(state);
        let mut tasks = JoinSet::new();
        let (swaps, components) = (Arc::new(SwapTable::new()), ComponentStore::new(bucket.clone(), &settings.name));
        let (told, lease) = (Arc::clone(&swaps), settings.lease);
        let watcher = TableKeeper { bucket: bucket.clone(), table: Arc::clone(&table), swaps: told, lease };
        tasks.spawn(watcher.run());
        let (own_table, own_state) = (Arc::clone(&table), Arc::clone(&state));
        let keeper = NodeKeeper { bucket: bucket.clone(), table: own_table, terms, state: own_state, serving };
        tasks.spawn(keeper.run());
        Ok(Self { bucket, table, state, terms, swaps, components, tasks: Mutex::new(tasks) })
    }

    /// The longest time in which a node that is told nothing more believes what it was told.
    pub fn lease(&self) -> Duration {
        self.terms.length
    }

    /// The nodes, now and whenever that changes.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.table.view()
    }

    pub(super) fn nodes(&self) -> &NodeBucket {
        &self.bucket
    }

    pub(super) fn components(&self) -> &ComponentStore {
        &self.components
    }

    pub(super) fn swap_table(&self) -> &SwapTable {
        &self.swaps
    }

    /// How this node fares.
    pub fn report(&self) -> ClusterReport {
        let now = Instant::now();
        let age = |since: Instant| now.saturating_duration_since(since);
        let (stale_for, doubted) = self.table.look(|table| (table.stale_since().map(age), table.doubted().count()));
        let claim = self.state.claim.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lease_age = claim.age(now).filter(|age| *age < self.terms.length);
        let view = self.view().borrow().clone();
        ClusterReport { view, lease_age, stale_for, doubted, taken: self.state.taken.load(Relaxed) }
    }

    /// Whether this node has its lease, so that others see it.
    pub fn holds_lease(&self) -> bool {
        self.state.claim.lock().unwrap_or_else(PoisonError::into_inner).holds(Instant::now()).is_some()
    }

    /// Whether the registry has been told that this node has none of `service`.
    pub fn has_told_none_of(&self, service: &ServiceName) -> bool {
        let told = self.state.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().is_some_and(|rows| rows.iter().all(|row| row.service != *service))
    }

    /// Whether somebody of this host has reached a node directly just now. It overrules the registry, both ways.
    pub fn probed(&self, node: &NodeName, reached: bool) {
        self.table.change(|table, now| table.probed(node, reached, now));
    }

    /// Whoever calls this tries to reach each of [`Cluster::to_probe`], and says so within `longest`.
    pub fn expect_probes(&self, longest: Duration) {
        self.table.change(|table, _| table.expect_probes(longest));
    }

    /// The nodes that have no lease and would be evicted now unless somebody reached them lately.
    pub fn to_probe(&self) -> Vec<NodeName> {
        self.table.look(|table| table.to_probe(Instant::now()).cloned().collect())
    }

    /// Says what operators want of a node, until they say something else: it lasts through restarts of the node.
    /// `Living` takes the order back.
    ///
    /// # Errors
    /// [`ClusterError::NoNode`] for a node that is not in the view, and NATS.
    pub async fn order(&self, node: &str, standing: Standing) -> Result<(), ClusterError> {
        let no_node = || ClusterError::NoNode(node.to_owned());
        let name = NodeName::new(node).map_err(|_| no_node())?;
        if !self.view().borrow().nodes.contains_key(&name) {
            return Err(no_node());
        }
        let key = format!("{}.{name}", key::ORDER);
        let written = async {
            match standing {
                Standing::Living => self.bucket.remove(&key, None).await,
                standing => self.bucket.put(&key, record::order(standing), None, None).await,
            }
        };
        let late = |_| Err(BrokerError::Away("no answer in time".to_owned()).into());
        timeout(self.terms.length, written).await.unwrap_or_else(late)?;
        // The watch would say it a moment later, and whoever has ordered it looks now.
        let order = (standing != Standing::Living).then_some(standing);
        self.table.change(|table, _| table.order(&name, order));
        Ok(())
    }

    /// Tells the others that this host ends, so that they send nothing more. It goes on to be a node.
    pub fn drain(&self) {
        self.state.ending.store(true, Relaxed);
        self.table.change(|table, _| {
            let row = NodeRow { standing: Standing::Draining, ..(**table.own()).clone() };
            table.set_own(Arc::new(row));
        });
    }

    /// Leaves the cluster: gives the lease back, so that the others need not wait for its end.
    pub async fn leave(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let revision = self.state.claim.lock().unwrap_or_else(PoisonError::into_inner).revision();
        let Some(revision) = revision else { return };
        let lease = self.table.look(|table| format!("{}.{}", key::LEASE, table.own().name));
        let left = timeout(FAREWELL, self.bucket.remove(&lease, Some(revision))).await;
        if !matches!(left, Ok(Ok(_))) {
            tracing::debug!("the lease of this node ends by itself");
        }
        // What is in the client's buffer goes out before the process ends.
        let _ = timeout(FAREWELL, self.bucket.nats().client().flush()).await;
    }
}
