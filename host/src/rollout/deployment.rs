//! One service as it is deployed, and its line of revisions.

use super::plan::Plan;
use crate::balance::Balancer;
use crate::base::Digest;
use crate::contract::FunctionName;
use crate::mesh::{Endpoint, HttpClient, Place, RevisionInfo, Service};
use crate::runtime::{Grants, InstancePool, Revision, Runtime};
use crate::state::Store;
use crate::telemetry::ServiceMetrics;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Mutex;

/// What lives as long as the service, through all of its revisions.
pub(super) struct Deployment {
    pub(super) plan: Plan,
    pub(super) grants: Arc<Grants>,
    /// What the manifest calls idempotent, by the names that its component has for it. They hold for every later revision.
    pub(super) idempotent: Vec<FunctionName>,
    /// Whoever changes the revision holds this from the first check to the publication.
    pub(super) line: Mutex<Line>,
    balancer: Arc<Balancer>,
    pub(super) metrics: Arc<ServiceMetrics>,
    addresses: Vec<Arc<Endpoint>>,
}

/// The revisions of one service.
#[derive(Default)]
pub(super) struct Line {
    /// What serves.
    pub(super) stable: Option<Arc<Revision>>,
    /// What served before it.
    pub(super) previous: Option<Arc<Revision>>,
    /// What the manifest's component was when the host started.
    pub(super) manifest: Option<Digest>,
}

impl Deployment {
    pub(super) fn new(plan: Plan, store: Option<&Store>, client: &HttpClient) -> Self {
        let bucket = store.filter(|_| plan.state).map(|store| store.bucket(&plan.name));
        let address = |(index, base): (usize, &http::Uri)| {
            let place = Place::Url { base: base.clone(), client: client.clone() };
            Arc::new(Endpoint::new(format!("{}-url-{index}", plan.name), place, plan.breaker))
        };
        Self {
            grants: Arc::new(Grants::new(plan.name.clone(), bucket, plan.calls.clone(), &plan.config)),
            idempotent: Vec::new(),
            line: Mutex::default(),
            balancer: Arc::new(Balancer::new(plan.balance)),
            metrics: Arc::default(),
            addresses: plan.urls.iter().enumerate().map(address).collect(),
            plan,
        }
    }

    /// A pool of instances of `revision`, bounded as the plan says.
    pub(super) fn pool(&self, runtime: &Arc<Runtime>, revision: &Arc<Revision>) -> InstancePool {
        InstancePool::new(Arc::clone(runtime), Arc::clone(revision), self.plan.limits.clone(), &self.plan.isolation)
    }

    /// The entry for the discovery table: fresh endpoints for the stable revision, with closed circuits; the addresses as they were.
    pub(super) fn service(&self, runtime: &Arc<Runtime>, line: &Line) -> Service {
        let replica = |revision: &Arc<Revision>, index: usize| {
            let place = Place::Instances(self.pool(runtime, revision));
            Arc::new(Endpoint::new(format!("{}-{index}", self.plan.name), place, self.plan.breaker))
        };
        let replicas =
            line.stable.iter().flat_map(|revision| (0..self.plan.replicas).map(|index| replica(revision, index)));
        Service {
            name: self.plan.name.clone(),
            endpoints: replicas.chain(self.addresses.iter().cloned()).collect(),
            balancer: Arc::clone(&self.balancer),
            timeout: self.plan.limits.timeout,
            revision: line.stable.as_ref().map(|revision| RevisionInfo {
                digest: revision.digest(),
                since: SystemTime::now(),
                differs_from_manifest: line.manifest != Some(revision.digest()),
                previous: line.previous.as_ref().map(|revision| revision.digest()),
            }),
            idempotent: self.idempotent.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}
