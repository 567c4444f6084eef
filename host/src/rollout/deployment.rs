//! One service as it is deployed, with its history of revisions and its entry of the discovery table.

use super::addresses::AddressEndpoints;
use super::canary_run::CanaryRun;
use super::error::SwapError;
use super::peers::PeerEndpoints;
use super::revision_history::RevisionHistory;
use super::spec::ServiceSpec;
use super::unfinished_calls::DueSweep;
use crate::archive::HistoryEntry;
use crate::base::Digest;
use crate::contract::{BoundFunction, FunctionName};
use crate::discovery::WatchedSource;
use crate::mesh::{
    Canary, CanaryWatch, Endpoint, EndpointGroup, EndpointStats, EndpointTarget, OutsideHosts, OutsideSettings,
    RevisionInfo, Service, Traffic,
};
use crate::registry::Registry;
use crate::runtime::{
    Grants, InstancePool, Isolation, Limits, PublishGrant, Recorder, RecordingPlace, Revision, Runtime,
};
use crate::state::Store;
use futures_util::future::join_all;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::{Mutex, MutexGuard as TurnGuard};

/// What lives as long as the service, through all of its revisions.
pub(super) struct Deployment {
    pub(super) spec: ServiceSpec,
    pub(super) grants: Arc<Grants>,
    /// A swap or a rollback holds this lock from its first check to the publication. Otherwise two swaps of the service
    /// could both read the old history, and the second publication would lose the revision of the first.
    pub(super) history: Mutex<RevisionHistory>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) outside: Arc<OutsideHosts>,
    /// The lock is held until the change is published. Otherwise a swap and a resolved name that change the endpoints
    /// at the same time could publish in the wrong order, and the table would lose one of the changes.
    pub(super) published: SyncMutex<PublishedEndpoints>,
    /// The digest of the manifest's component.
    pub(super) manifest: SyncMutex<Option<Digest>>,
    /// The canary under way.
    canary: SyncMutex<Option<Arc<CanaryRun>>>,
    /// The rollouts that have ended since the host started, the last one at the end; for a host without history.
    pub(super) ended: SyncMutex<Vec<HistoryEntry>>,
    /// The counters of the canaries' endpoints, which go on from one canary to the next.
    pub(super) canary_stats: SyncMutex<Vec<Arc<EndpointStats>>>,
    /// What records its calls, through all of its revisions.
    pub(super) recorder: Arc<Recorder>,
    /// The sweep that waits for calls of the revision before.
    pub(super) due_sweep: SyncMutex<Option<DueSweep>>,
    /// Its data have a number of a format at the start, so a revision has to read that before it serves.
    is_numbered: AtomicBool,
    /// Its component could not serve at the end of the start. Its routes are bound, so another one may.
    left_out: AtomicBool,
    /// Whether it has instances here, if it may. Before the cluster is known it has: one too many does no harm.
    hosted: AtomicBool,
}

/// How many rollouts that have ended a host without history remembers of each service.
const ENDED: usize = 10;

/// The endpoints of a service in the discovery table.
#[derive(Clone, Default)]
pub(super) struct PublishedEndpoints {
    pub(super) replicas: Vec<Arc<Endpoint>>,
    pub(super) addresses: Vec<AddressEndpoints>,
    /// Those on other nodes.
    pub(super) peers: PeerEndpoints,
    /// The revision that serves.
    pub(super) stable: Option<Arc<Revision>>,
    /// What is told of it.
    pub(super) revision: Option<RevisionInfo>,
    /// The functions of the revision that the manifest calls idempotent.
    pub(super) idempotent: Vec<FunctionName>,
    /// The functions that routes call, as the revision has them.
    pub(super) routed: Arc<[BoundFunction]>,
    canary: Option<PublishedCanary>,
    /// What the table had for the service before another manifest was applied, for requests that began before that.
    before: Option<Arc<Service>>,
    /// Another deployment of the service has taken its place: nothing of this one is published any more.
    pub(super) retired: bool,
}

/// The endpoints of a canary in the discovery table.
#[derive(Clone)]
struct PublishedCanary {
    replicas: Vec<Arc<Endpoint>>,
    revision: RevisionInfo,
    idempotent: Vec<FunctionName>,
    routed: Arc<[BoundFunction]>,
    watch: Arc<CanaryWatch>,
}

impl Deployment {
    /// `recordings`: where its recordings go.
    pub(super) fn new(spec: ServiceSpec, store: Option<&Store>, recordings: &Arc<RecordingPlace>) -> Self {
        let (name, grants) = (&spec.name, &spec.grants);
        let bucket =
            store.filter(|_| grants.state).map(|store| store.bucket(name).also_named(grants.bucket.as_deref()));
        let outside =
            OutsideSettings { dial: grants.dial.clone(), traffic: spec.traffic.clone(), breaker: spec.breaker };
        let addresses = AddressEndpoints::all(&spec);
        let (calls, egress) = (grants.calls.clone(), grants.egress.clone());
        let publish = store.filter(|_| !grants.topics.is_empty()).map(|store| {
            let bucket = bucket.clone().unwrap_or_else(|| store.bucket(name));
            PublishGrant { topics: grants.topics.clone(), bucket }
        });
        Self {
            grants: Arc::new(
                Grants::new(name.clone(), bucket, calls, egress, &grants.config)
                    .with_secrets(&grants.secrets)
                    .with_env(grants.env.clone())
                    .with_publish(publish),
            ),
            history: Mutex::default(),
            traffic: Arc::new(Traffic::new(spec.traffic.clone())),
            outside: Arc::new(OutsideHosts::new(name.clone(), outside)),
            published: SyncMutex::new(PublishedEndpoints {
                addresses,
                routed: Arc::clone(&spec.routed),
                ..PublishedEndpoints::default()
            }),
            manifest: SyncMutex::default(),
            canary: SyncMutex::default(),
            ended: SyncMutex::default(),
            canary_stats: SyncMutex::default(),
            recorder: Arc::new(Recorder::new(spec.record, Arc::clone(recordings))),
            due_sweep: SyncMutex::default(),
            is_numbered: AtomicBool::new(false),
            left_out: AtomicBool::new(false),
            hosted: AtomicBool::new(true),
            spec,
        }
    }

    /// Whether its component could not serve at the end of the start, and none has taken its place.
    pub(super) fn is_left_out(&self) -> bool {
        self.left_out.load(Relaxed)
    }

    /// Whether its component has instances on this node.
    pub(super) fn stands_here(&self) -> bool {
        self.replica_count() > 0
    }

    /// How many replicas it has on this node.
    pub(super) fn replica_count(&self) -> usize {
        if self.hosted.load(Relaxed) { self.spec.replicas.count } else { 0 }
    }

    /// Notes whether it has instances on this node, if it may.
    pub(super) fn note_hosted(&self, hosted: bool) {
        self.hosted.store(hosted, Relaxed);
    }

    /// Whether the data had a number of a format at the start.
    pub(super) fn is_numbered(&self) -> bool {
        self.is_numbered.load(Relaxed)
    }

    pub(super) fn note_numbered(&self) {
        self.is_numbered.store(true, Relaxed);
    }

    pub(super) fn note_left_out(&self, left_out: bool) {
        self.left_out.store(left_out, Relaxed);
    }

    /// Notes the digest of the manifest's component.
    pub(super) fn note_manifest(&self, manifest: Option<Digest>) {
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner) = manifest;
    }

    /// The manifest's component is `digest` now, which serves.
    pub(super) fn adopt(&self, registry: &Registry<Service>, digest: Digest) {
        self.note_manifest(Some(digest));
        self.change(registry, |published| {
            if let Some(revision) = &mut published.revision {
                revision.differs_from_manifest = revision.digest != digest;
            }
        });
    }

    /// The digest of the manifest's component.
    pub(super) fn manifest(&self) -> Option<Digest> {
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pool of instances of `revision`, with the limits of the service.
    pub(super) fn pool(&self, runtime: &Arc<Runtime>, revision: &Arc<Revision>) -> InstancePool {
        let replicas = &self.spec.replicas;
        InstancePool::new(Arc::clone(runtime), Arc::clone(revision), replicas.limits.clone(), &replicas.isolation)
            .recorded_by(Arc::clone(&self.recorder))
    }

    /// A pool in which `revision` replays calls: a few at a time, each in an instance of its own.
    pub(super) fn replay_pool(&self, runtime: &Arc<Runtime>, revision: &Arc<Revision>) -> InstancePool {
        let limits = Limits { concurrency: 4, ..self.spec.replicas.limits.clone() };
        InstancePool::new(Arc::clone(runtime), Arc::clone(revision), limits, &Isolation::Request)
    }

    /// The canary `run` is under way, and gets no calls yet.
    pub(super) fn begin_shadow(&self, run: Arc<CanaryRun>) {
        *self.canary_slot() = Some(run);
    }

    /// Puts `history` into the discovery table: new endpoints for the stable revision, whose functions for the routes
    /// are `routed`; the addresses as they were. The circuits of the new endpoints are closed, but an operator's forced
    /// state and the counters carry over.
    pub(super) fn publish(
        &self,
        runtime: &Arc<Runtime>,
        registry: &Registry<Service>,
        history: &RevisionHistory,
        routed: Arc<[BoundFunction]>,
    ) {
        self.change(registry, |published| {
            self.replace_replicas(runtime, history, published);
            published.routed = routed;
            published.canary = None;
        });
    }

    /// Puts a canary into the discovery table, beside the stable revision, which stays as it is.
    pub(super) fn publish_canary(
        &self,
        runtime: &Arc<Runtime>,
        registry: &Registry<Service>,
        run: Arc<CanaryRun>,
        routed: Arc<[BoundFunction]>,
    ) {
        let (revision, spec) = (&run.revision, &self.spec);
        let mut stats = self.canary_stats.lock().unwrap_or_else(PoisonError::into_inner);
        let replica = |index: usize| {
            let target = EndpointTarget::Instances(self.pool(runtime, revision));
            let (id, weight) = (format!("{}-canary-{index}", spec.name), spec.replicas.weight);
            let before = stats.get(index).map(|before| &**before);
            Arc::new(Endpoint::after(before, id, target, spec.breaker, weight, Instant::now(), rand::random()))
        };
        let replicas: Vec<_> = (0..self.replica_count()).map(replica).collect();
        *stats = replicas.iter().map(|replica| Arc::clone(&replica.stats)).collect();
        drop(stats);
        let canary = PublishedCanary {
            replicas,
            revision: RevisionInfo {
                digest: revision.digest(),
                since: SystemTime::now(),
                differs_from_manifest: true,
                previous: None,
            },
            idempotent: self.idempotent(revision),
            routed,
            watch: Arc::clone(&run.watch),
        };
        self.change(registry, |published| published.canary = Some(canary));
        *self.canary_slot() = Some(run);
    }

    /// Takes the canary `run` out of the discovery table. False if it is not under way any more: of two that end it,
    /// one gets true.
    pub(super) fn end_canary(&self, registry: &Registry<Service>, run: &Arc<CanaryRun>) -> bool {
        run.watch.end();
        let mut slot = self.canary_slot();
        if !slot.as_ref().is_some_and(|own| Arc::ptr_eq(own, run)) {
            return false;
        }
        *slot = None;
        drop(slot);
        self.change(registry, |published| published.canary = None);
        true
    }

    /// The canary under way.
    pub(super) fn canary(&self) -> Option<Arc<CanaryRun>> {
        self.canary_slot().clone()
    }

    /// Whether health checks find no endpoint of the canary ready, and one of the stable revision: what both suffer
    /// from is no fault of the canary.
    pub(super) fn canary_fails_checks(&self) -> bool {
        let published = self.published();
        let Some(canary) = &published.canary else { return false };
        let is_ready = |endpoint: &Arc<Endpoint>| endpoint.stats.readiness.is_ready();
        published.replicas.iter().any(is_ready) && !canary.replicas.iter().any(is_ready)
    }

    fn canary_slot(&self) -> MutexGuard<'_, Option<Arc<CanaryRun>>> {
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a rollout that has ended.
    pub(super) fn remember(&self, entry: HistoryEntry) {
        let mut ended = self.ended();
        if ended.len() == ENDED {
            ended.remove(0);
        }
        ended.push(entry);
    }

    /// The rollouts that have ended since the host started.
    pub(super) fn ended(&self) -> MutexGuard<'_, Vec<HistoryEntry>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The functions of the revision that the manifest calls idempotent.
    pub(super) fn idempotent(&self, revision: &Revision) -> Vec<FunctionName> {
        let named = |text: &String| revision.contract().lookup(text).ok().map(|(name, _)| name);
        self.spec.idempotent.iter().filter_map(named).collect()
    }

    /// Lets no call to the replicas before [`Deployment::started`]. It concerns no replica of a later revision.
    pub(super) fn hold(&self) {
        self.published().replicas.iter().for_each(|replica| replica.stats.readiness.hold());
    }

    /// Lets calls to the replicas.
    pub(super) fn started(&self) {
        self.published().replicas.iter().for_each(|replica| replica.stats.readiness.started());
    }

    /// Takes the replicas out of the discovery table; the addresses stay.
    pub(super) fn withdraw(&self, registry: &Registry<Service>) {
        self.change(registry, |published| {
            published.replicas.clear();
            published.revision = None;
        });
    }

    /// The functions that routes call, as the revision that serves has them.
    pub(super) fn routed(&self) -> Arc<[BoundFunction]> {
        Arc::clone(&self.published().routed)
    }

    /// Like [`Deployment::publish`], but leaves the discovery table as it is.
    pub(super) fn prepare(&self, runtime: &Arc<Runtime>, history: &RevisionHistory) {
        self.replace_replicas(runtime, history, &mut self.published());
    }

    pub(super) fn replace_replicas(
        &self,
        runtime: &Arc<Runtime>,
        history: &RevisionHistory,
        published: &mut PublishedEndpoints,
    ) {
        let spec = &self.spec;
        let replica = |revision: &Arc<Revision>, index: usize| {
            let before = published.replicas.get(index).map(|before| &*before.stats);
            let target = EndpointTarget::Instances(self.pool(runtime, revision));
            let (id, weight) = (format!("{}-{index}", spec.name), spec.replicas.weight);
            Arc::new(Endpoint::after(before, id, target, spec.breaker, weight, Instant::now(), rand::random()))
        };
        let indices = 0..self.replica_count();
        let replicas: Vec<_> = match &history.stable {
            Some(revision) => indices.map(|index| replica(revision, index)).collect(),
            None => Vec::new(),
        };
        published.replicas = replicas;
        published.idempotent = history.stable.as_ref().map_or_else(Vec::new, |revision| self.idempotent(revision));
        published.revision = history.told(SystemTime::now());
        published.stable.clone_from(&history.stable);
        self.stay_placed(published);
    }

    /// What names endpoints of the service, which may change.
    pub(super) fn sources(&self) -> Vec<Arc<WatchedSource>> {
        self.published().addresses.iter().filter_map(AddressEndpoints::source).cloned().collect()
    }

    /// Asks each source that has not been asked. Without `registry` the discovery table stays as it is.
    pub(super) async fn ask_sources(&self, registry: Option<&Registry<Service>>) {
        self.renew_addresses(registry);
        let each = self.sources().into_iter().map(async |source| {
            source.first().await;
            self.renew_addresses(registry);
        });
        join_all(each).await;
    }

    /// Follows each source, and publishes what it names. It ends when it is dropped.
    pub(super) async fn follow_sources(&self, registry: &Registry<Service>) {
        let each = self.sources().into_iter().map(async |source| {
            loop {
                self.renew_addresses(Some(registry));
                source.next().await;
            }
        });
        join_all(each).await;
    }

    /// Gives each address the endpoints that its source names now.
    fn renew_addresses(&self, registry: Option<&Registry<Service>>) {
        let mut published = self.published();
        let mut changed = false;
        for own in &mut published.addresses {
            if let Some(renewed) = own.renewed(&self.spec) {
                (*own, changed) = (renewed, true);
            }
        }
        if let Some(registry) = registry.filter(|_| changed && !published.retired) {
            registry.publish(&self.spec.name, self.service(&published));
        }
    }

    /// Notes what the table has for the service now, before this deployment takes its place.
    pub(super) fn note_before(&self, registry: &Registry<Service>) {
        self.published().before = registry.snapshot().get(self.spec.name.as_str()).cloned();
    }

    /// Forgets the service of the manifest before, which no request calls any more.
    pub(super) fn forget_before(&self, registry: &Registry<Service>) {
        if self.published().before.is_some() {
            self.change(registry, |published| published.before = None);
        }
    }

    pub(super) fn change(&self, registry: &Registry<Service>, change: impl FnOnce(&mut PublishedEndpoints)) {
        let mut published = self.published();
        change(&mut published);
        if !published.retired {
            registry.publish(&self.spec.name, self.service(&published));
        }
    }

    /// The lock of the history, for a change of the revision.
    ///
    /// # Errors
    /// Meanwhile a manifest was applied that changes the service.
    pub(super) async fn turn(&self) -> Result<TurnGuard<'_, RevisionHistory>, SwapError> {
        let history = self.history.lock().await;
        if self.published().retired {
            return Err(SwapError::Replaced(self.spec.name.clone()));
        }
        Ok(history)
    }

    /// The service's entry for the discovery table.
    pub(super) fn entry(&self) -> Service {
        self.service(&self.published())
    }

    pub(super) fn service(&self, published: &PublishedEndpoints) -> Service {
        let addresses = published.addresses.iter().flat_map(AddressEndpoints::endpoints);
        let own = published.replicas.iter().chain(addresses);
        let endpoints: Vec<_> = own.chain(published.peers.endpoints()).cloned().collect();
        let of_canary = published.canary.as_ref().map_or(0, |canary| canary.replicas.len());
        self.traffic.bulkhead.resize(endpoints.len() + of_canary);
        let group = EndpointGroup::new(self.spec.name.clone(), endpoints, Arc::clone(&self.traffic));
        Service {
            group: Arc::new(group),
            outside: Arc::clone(&self.outside),
            revision: published.revision.clone(),
            idempotent: published.idempotent.clone(),
            routed: Arc::clone(&published.routed),
            requires: Arc::clone(&self.spec.requires),
            canary: published.canary.as_ref().map(|canary| self.canary_entry(canary)),
            before: published.before.clone(),
        }
    }

    fn canary_entry(&self, canary: &PublishedCanary) -> Canary {
        let PublishedCanary { replicas, revision, idempotent, routed, watch } = canary.clone();
        let group = EndpointGroup::new(self.spec.name.clone(), replicas, Arc::clone(&self.traffic));
        let service = Service {
            group: Arc::new(group),
            outside: Arc::clone(&self.outside),
            revision: Some(revision),
            idempotent,
            routed,
            requires: Arc::clone(&self.spec.requires),
            canary: None,
            before: None,
        };
        Canary { service: Arc::new(service), watch }
    }

    pub(super) fn published(&self) -> MutexGuard<'_, PublishedEndpoints> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
