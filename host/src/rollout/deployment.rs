//! One service as it is deployed, and its line of revisions.

use super::addresses::{Site, resolve};
use super::plan::Plan;
use crate::base::Digest;
use crate::contract::FunctionName;
use crate::mesh::{
    Endpoint, EndpointGroup, EndpointTarget, OutsideHosts, OutsideSettings, RevisionInfo, Service, Traffic,
};
use crate::registry::Registry;
use crate::runtime::{Grants, InstancePool, Revision, Runtime};
use crate::state::Store;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::Mutex;

/// What lives as long as the service, through all of its revisions.
pub(super) struct Deployment {
    pub(super) plan: Plan,
    pub(super) grants: Arc<Grants>,
    /// What the manifest calls idempotent, by the names that its component has for it. They hold for every later revision.
    pub(super) idempotent: Vec<FunctionName>,
    /// Whoever changes the revision holds this from the first check to the publication.
    pub(super) line: Mutex<RevisionHistory>,
    pub(super) traffic: Arc<Traffic>,
    outside: Arc<OutsideHosts>,
    /// Whoever changes what the discovery table shows holds this until it shows it.
    shown: SyncMutex<Shown>,
}

/// The revisions of one service.
#[derive(Default)]
pub(super) struct RevisionHistory {
    /// What serves.
    pub(super) stable: Option<Arc<Revision>>,
    /// What served before it.
    pub(super) previous: Option<Arc<Revision>>,
    /// What the manifest's component was when the host started.
    pub(super) manifest: Option<Digest>,
}

/// What the discovery table shows of a service.
#[derive(Clone)]
struct Shown {
    replicas: Vec<Arc<Endpoint>>,
    sites: Vec<Site>,
    revision: Option<RevisionInfo>,
}

impl Deployment {
    pub(super) fn new(plan: Plan, store: Option<&Store>) -> Self {
        let bucket = store.filter(|_| plan.state).map(|store| store.bucket(&plan.name));
        let (traffic, breaker) = (plan.traffic.clone(), plan.breaker);
        let outside = OutsideSettings { dial: plan.outside.clone(), traffic, breaker };
        let egress = plan.egress.clone();
        Self {
            grants: Arc::new(Grants::new(plan.name.clone(), bucket, plan.calls.clone(), egress, &plan.config)),
            idempotent: Vec::new(),
            line: Mutex::default(),
            traffic: Arc::new(Traffic::new(plan.traffic.clone())),
            outside: Arc::new(OutsideHosts::new(plan.name.clone(), outside)),
            shown: SyncMutex::new(Shown { replicas: Vec::new(), sites: Site::all(&plan), revision: None }),
            plan,
        }
    }

    /// A pool of instances of `revision`, bounded as the plan says.
    pub(super) fn pool(&self, runtime: &Arc<Runtime>, revision: &Arc<Revision>) -> InstancePool {
        InstancePool::new(Arc::clone(runtime), Arc::clone(revision), self.plan.limits.clone(), &self.plan.isolation)
    }

    /// Puts the line into the discovery table: fresh endpoints for the stable revision, with closed circuits but for those that an operator
    /// holds; the addresses as they were.
    pub(super) fn publish(&self, runtime: &Arc<Runtime>, registry: &Registry<Service>, line: &RevisionHistory) {
        self.show(registry, |shown| self.change(runtime, line, shown));
    }

    /// The same, but that the table is left as it is.
    pub(super) fn replace(&self, runtime: &Arc<Runtime>, line: &RevisionHistory) {
        self.change(runtime, line, &mut self.shown());
    }

    fn change(&self, runtime: &Arc<Runtime>, line: &RevisionHistory, shown: &mut Shown) {
        let plan = &self.plan;
        let replica = |revision: &Arc<Revision>, index: usize| {
            let place = EndpointTarget::Instances(self.pool(runtime, revision));
            let id = format!("{}-{index}", plan.name);
            Arc::new(Endpoint::new(id, place, plan.breaker, plan.weight, Instant::now(), rand::random()))
        };
        let replicas = line.stable.iter().flat_map(|revision| (0..plan.replicas).map(|index| replica(revision, index)));
        let replicas: Vec<_> = replicas.collect();
        let revision = line.stable.as_ref().map(|revision| RevisionInfo {
            digest: revision.digest(),
            since: SystemTime::now(),
            differs_from_manifest: line.manifest != Some(revision.digest()),
            previous: line.previous.as_ref().map(|revision| revision.digest()),
        });
        for (replica, before) in replicas.iter().zip(&shown.replicas) {
            replica.stats.inherit(&before.stats, Instant::now());
        }
        shown.replicas = replicas;
        shown.revision = revision;
    }

    /// Whether the addresses of the service may change.
    pub(super) fn has_names(&self) -> bool {
        self.sites().iter().any(Site::is_name)
    }

    /// Resolves the host names of its addresses, and puts what has changed into the discovery table.
    pub(super) async fn resolve(&self, registry: &Registry<Service>) {
        if let Some(sites) = resolve(&self.plan, &self.sites()).await {
            self.show(registry, |shown| shown.sites = sites);
        }
    }

    fn sites(&self) -> Vec<Site> {
        self.shown().sites.clone()
    }

    fn show(&self, registry: &Registry<Service>, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown();
        change(&mut shown);
        registry.publish(&self.plan.name, self.service(&shown));
    }

    /// What the discovery table is to show of it.
    pub(super) fn entry(&self) -> Service {
        self.service(&self.shown())
    }

    fn service(&self, shown: &Shown) -> Service {
        let addresses = shown.sites.iter().flat_map(Site::endpoints);
        let endpoints: Vec<_> = shown.replicas.iter().chain(addresses).cloned().collect();
        self.traffic.bulkhead.resize(endpoints.len());
        let group = EndpointGroup { name: self.plan.name.clone(), endpoints, traffic: Arc::clone(&self.traffic) };
        Service {
            group: Arc::new(group),
            outside: Arc::clone(&self.outside),
            revision: shown.revision.clone(),
            idempotent: self.idempotent.clone(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
