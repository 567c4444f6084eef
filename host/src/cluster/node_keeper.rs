//! The task that keeps this node's own lease and row.

use super::bucket::{LastWord, NodeBucket};
use super::error::ClusterError;
use super::key;
use super::record;
use super::shared_table::SharedTable;
use crate::base::ServiceName;
use crate::membership::{Incarnation, LeaseClaim, LeaseTerms, MemberTable, NodeRow, ServiceRow, Standing};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What this node serves now, in the order of the names, and what it cannot start.
pub type Serving = Arc<dyn Fn() -> (Vec<ServiceRow>, BTreeSet<ServiceName>) + Send + Sync>;

/// How often one looks whether this node has something else to say.
const LOOK: Duration = Duration::from_millis(250);
/// How long a row is kept that nobody writes again: the garbage of nodes that never come back. A node writes its own
/// four times in that time.
const ROW_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How many leases without a renewal that is taken count as an election of NATS; it takes some seconds.
const ELECTION: u32 = 3;

/// Keeps this node in the registry, for as long as the host runs.
pub(super) struct NodeKeeper {
    pub(super) bucket: NodeBucket,
    pub(super) table: Arc<SharedTable>,
    pub(super) terms: LeaseTerms,
    pub(super) state: Arc<NodeState>,
    pub(super) serving: Serving,
}

/// What others want to know of this node's standing in the registry.
pub(super) struct NodeState {
    pub(super) claim: Mutex<LeaseClaim>,
    /// Whether this host ends.
    pub(super) ending: AtomicBool,
    /// Whether another process has this node's name.
    pub(super) taken: AtomicBool,
    /// The services of the row that was last stored.
    pub(super) told: Mutex<Option<Vec<ServiceRow>>>,
}

/// What was last written of the row.
#[derive(Default)]
struct WrittenRow {
    row: Option<NodeRow>,
    at: Option<Instant>,
}

impl NodeKeeper {
    /// Renews the lease, and writes the row where it changes. It never returns.
    pub(super) async fn run(self) {
        // The revision that a free key has: of its marker, or 0.
        let (mut free, mut due) = (Some(0), Instant::now());
        let (mut written, mut failing) = (WrittenRow::default(), None);
        loop {
            let began = Instant::now();
            let renews = began >= due;
            if renews {
                due = began + self.terms.renewal();
                let had = self.claim(|claim| claim.holds(began));
                match timeout(self.terms.renewal(), self.renew(&mut free)).await {
                    Ok(Ok(())) => failing = None,
                    Ok(Err(ClusterError::Overtaken)) => due = began + LOOK,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "the lease of this node was not renewed");
                        self.hold_evictions(&mut failing, began);
                    }
                    Err(_) => {
                        tracing::debug!("the registry did not answer in time");
                        self.hold_evictions(&mut failing, began);
                    }
                }
                let has = self.claim(|claim| claim.holds(Instant::now()));
                if has.is_some() && has != had {
                    tracing::info!("this node has its lease");
                    // Others may have forgotten the row.
                    written = WrittenRow::default();
                }
            }
            self.tell(&mut written, renews).await;
            sleep(LOOK.saturating_sub(began.elapsed())).await;
        }
    }

    /// Evicts nobody for a lease: a registry that did not take this renewal need not have taken anybody's. If it takes
    /// none for longer than an election lasts, the fault is this node's own, and what the registry says counts again.
    fn hold_evictions(&self, failing: &mut Option<Instant>, now: Instant) {
        if now.saturating_duration_since(*failing.get_or_insert(now)) < self.terms.length * ELECTION {
            self.table.change(MemberTable::unwritten);
        }
    }

    fn claim<T>(&self, look: impl FnOnce(&mut LeaseClaim) -> T) -> T {
        look(&mut self.state.claim.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn incarnation(&self) -> Incarnation {
        self.table.look(|table| table.own().incarnation)
    }

    fn key(&self, kind: &str) -> String {
        self.table.look(|table| format!("{kind}.{}", table.own().name))
    }

    /// One write of the lease, or a look at it where somebody else has written it.
    async fn renew(&self, free: &mut Option<u64>) -> Result<(), ClusterError> {
        let (lease, incarnation) = (self.key(key::LEASE), self.incarnation());
        let Some(expected) = self.claim(|claim| claim.revision()).or(*free) else {
            return self.look(&lease, incarnation, free).await;
        };
        // Before it is sent: the server gets it later than this, and so ends it later than this node counts.
        self.claim(|claim| claim.sending(Instant::now()));
        let text = record::lease(incarnation);
        match self.bucket.put(&lease, text, Some(self.terms.length), Some(expected)).await {
            Ok(revision) => {
                self.claim(|claim| claim.stored(revision));
                self.state.taken.store(false, Relaxed);
                Ok(())
            }
            Err(ClusterError::Overtaken) => {
                self.look(&lease, incarnation, free).await?;
                if self.claim(|claim| claim.revision()).is_none() && free.is_some() {
                    return Err(ClusterError::Overtaken);
                }
                Ok(())
            }
            Err(error) => {
                if matches!(error, ClusterError::Unfit(_)) {
                    tracing::error!(%error, "the registry of the cluster cannot be used");
                }
                Err(error)
            }
        }
    }

    /// Finds out who has the lease. Only the leader of the stream is asked, and only a comparison decides.
    async fn look(&self, lease: &str, incarnation: Incarnation, free: &mut Option<u64>) -> Result<(), ClusterError> {
        match self.bucket.last(lease).await? {
            LastWord::Nothing => {
                *free = Some(0);
                self.claim(LeaseClaim::lost);
            }
            LastWord::Ended(revision) => {
                *free = Some(revision);
                self.claim(LeaseClaim::lost);
            }
            LastWord::There { revision, text } if record::read_lease(&text) == Some(incarnation) => {
                self.claim(|claim| claim.found_own(revision));
                // If it counts from nothing that is known, it is written anew.
                *free = Some(revision);
            }
            LastWord::There { .. } => {
                *free = None;
                self.claim(LeaseClaim::lost);
                if !self.state.taken.swap(true, Relaxed) {
                    tracing::warn!("another process has the name of this node, or had it until a lease ago");
                }
            }
        }
        Ok(())
    }

    /// Says what this node is now, if that has changed. What changes all the time, the load, is told with a renewal.
    async fn tell(&self, written: &mut WrittenRow, renews: bool) {
        let (services, cannot) = (self.serving)();
        let ending = self.state.ending.load(Relaxed).then_some(Standing::Draining);
        let row = self.table.change(|table, _| {
            let standing = table.own_order().max(ending).unwrap_or_default();
            let row = Arc::new(NodeRow { standing, services, cannot, ..(**table.own()).clone() });
            table.set_own(Arc::clone(&row));
            row
        });
        let same = written.row.as_ref().is_some_and(|before| {
            let quiet = |row: &NodeRow| {
                let mut row = row.clone();
                row.services.iter_mut().for_each(|service| service.load = 0);
                row
            };
            if renews { *before == *row } else { quiet(before) == quiet(&row) }
        });
        let fresh = written.at.is_some_and(|at| at.elapsed() < ROW_LIFE / 4);
        if (same && fresh) || self.claim(|claim| claim.holds(Instant::now())).is_none() {
            return;
        }
        let key = self.key(key::ROW);
        let put = self.bucket.put(&key, record::row(&row), Some(ROW_LIFE), None);
        match timeout(self.terms.renewal(), put).await {
            Ok(Ok(_)) => {
                *self.state.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(row.services.clone());
                *written = WrittenRow { row: Some((*row).clone()), at: Some(Instant::now()) };
            }
            Ok(Err(error)) => tracing::debug!(%error, "the row of this node was not written"),
            Err(_) => tracing::debug!("the registry did not answer in time"),
        }
    }
}
