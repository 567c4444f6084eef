//! Implements what the admin asks of the host, with the rooms below.
//! Always: each change has a line in the audit file; what follows a swap follows an apply too.
//! Never: it holds policy, or knows the admin's wire.
//! From the top: `audited_operations` (with `audited_guards`, `audited_nodes`) → `HostOperations` and its parts by what
//! they are about: rollouts (`rollout_operations`, `cluster_swap`), topics, schedules, sagas, data, guards, nodes →
//! the views. `operations_succession` says how they follow what serves.

pub(super) mod apply_manifest;
mod audited_guards;
mod audited_nodes;
pub(super) mod audited_operations;
mod cache_order;
mod cluster_swap;
mod data_operations;
mod fault_views;
pub(super) mod grant_views;
mod guard_operations;
pub(super) mod guards;
mod key_operations;
pub(super) mod node_operations;
pub(super) mod observations;
mod operations_succession;
mod readiness;
mod recent_traffic;
mod recording_views;
mod rollout_operations;
mod rollout_views;
pub(super) mod saga_operations;
pub(super) mod schedule_operations;
mod service_view;
pub(super) mod snapshot_folder;
mod spooled_data;
mod swap_refusal;
pub(super) mod topic_operations;
mod trace_views;
mod trap_lines;
mod troubles;

use crate::admin::{
    AdoptedView, ApplyOrder, ApplyView, BegunView, BreakerAction, CacheView, FaultOrder, FaultView, HistoryView,
    HostReadiness, HostWhyView, KeyOrder, KeyView, NewKeyView, OperationError, OperationErrorKind, Operations,
    OutsideView, OverviewView, PurgedView, RecordingView, RolloutEnd, RolloutWish, RouteView, SagaAnswer, SagaCommand,
    ScheduleView, ServiceView, SwapView, TopicAnswer, TopicOrder, TraceSummaryView, TraceView, TrialView, WhyView,
};
use crate::app::assembly::api_description::LiveDescription;
use crate::app::edge::auth_policies::claim_names;
use crate::app::edge::edge_tls::EdgeTls;
use crate::app::edge::key_file::KeyFile;
use crate::app::operations::apply_manifest::ApplyManifest;
use crate::base::ServiceName;
use crate::cache::Purge;
use crate::cluster::Cluster;
use crate::contract::{BoundFunction, Names};
use crate::delivery::{Deliveries, Schedules};
use crate::fault::{ActiveFault, FaultOrigin};
use crate::gateway::{Answerer, Gateway, SharedCache, Target};
use crate::listen::Drain;
use crate::mesh::{self, Endpoint, Mesh, Service};
use crate::node::NodeDuties;
use crate::registry::Registry;
use crate::rollout::{GrantSettings, Rollout, Trial};
use crate::route::{Rewrite, RoutingTable};
use crate::runtime::Runtime;
use crate::state::Store;
use crate::telemetry::{ChangeKind, EdgeMetrics, Metrics, TraceQuery, Tracer, note_change};
use bytes::Bytes;
use fault_views::{fault_view, faults};
use grant_views::grant_views;
use guards::Guards;
use recent_traffic::RecentTraffic;
use rollout_views::open_view;
use saga_operations::HostSagas;
use service_view::{breaker_view, source_view, view};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;
use swap_refusal::refusal;
use tokio::sync::Notify;
use troubles::troubles;

/// The host, for the admin.
pub(super) struct HostOperations {
    pub(super) rollout: Arc<Rollout>,
    pub(super) registry: Arc<Registry<Service>>,
    pub(super) routes: Arc<RoutingTable<Target>>,
    pub(super) metrics: Metrics,
    /// The gateway's drain.
    pub(super) drain: Drain,
    /// This host as a node, if the manifest has a cluster.
    pub(super) cluster: Option<Arc<Cluster>>,
    /// What it does as a node.
    pub(super) duties: Arc<NodeDuties>,
    /// The services that are not served, each with the reason. Those whose components cannot be compiled come later.
    pub(super) left_out: Mutex<BTreeMap<ServiceName, String>>,
    /// Whether the host was told to serve what can be served.
    pub(super) partial: bool,
    /// `None` if the manifest wants no OpenAPI document.
    pub(super) description: Option<LiveDescription>,
    /// The store, if a service has state.
    pub(super) store: Option<Store>,
    /// The TLS of the edges.
    pub(super) tls: Option<EdgeTls>,
    /// The topics and subscriptions, once they deliver.
    pub(super) deliveries: OnceLock<Arc<Deliveries>>,
    /// Empty if the manifest has no sagas.
    pub(super) sagas: Arc<OnceLock<HostSagas>>,
    /// How names are written in the JSON of callers.
    pub(super) names: Names,
    /// The schedules, once their times are kept.
    pub(super) schedules: OnceLock<Arc<Schedules>>,
    /// The limits, the gateway's gate and the manifest.
    pub(super) guards: Option<Guards>,
    /// The API keys, if a policy needs them.
    pub(super) keys: Option<Arc<KeyFile>>,
    /// The gateway's cache, if a route has one.
    pub(super) cache: Option<Arc<SharedCache>>,
    /// The gateway, for what it counts and holds.
    pub(super) gateway: Option<Arc<Gateway<Mesh>>>,
    /// What each service may use.
    pub(super) grants: BTreeMap<String, GrantSettings>,
    /// What runs the components, if it is known.
    pub(super) runtime: Option<Arc<Runtime>>,
    /// The traffic of the last minute.
    pub(super) recent: Arc<RecentTraffic>,
    /// The files of the manifest's components.
    pub(super) components: BTreeMap<ServiceName, PathBuf>,
    /// What the edges count beside requests.
    pub(super) edges: Option<EdgeMetrics>,
    /// The traces of requests, if the manifest wants them.
    pub(super) tracer: Option<Arc<Tracer>>,
    pub(super) next_fault: Arc<AtomicU64>,
    /// Wakes [`HostOperations::watch_faults`].
    pub(super) fault_added: Arc<Notify>,
    /// What changes the manifest that is served.
    pub(super) applier: Arc<OnceLock<Weak<dyn ApplyManifest>>>,
    /// Where snapshots of data are.
    pub(super) snapshots: PathBuf,
}

impl HostOperations {
    pub(super) fn new(
        rollout: Arc<Rollout>,
        registry: Arc<Registry<Service>>,
        routes: Arc<RoutingTable<Target>>,
        metrics: Metrics,
        drain: Drain,
    ) -> Self {
        let (next_fault, fault_added) = (Arc::new(AtomicU64::new(1)), Arc::default());
        let (left_out, partial, description, store) = (Mutex::default(), false, None, None);
        let (tls, deliveries, guards, keys, cache) = (None, OnceLock::new(), None, None, None);
        let (edges, tracer, gateway, grants) = (None, None, None, BTreeMap::new());
        let (runtime, components) = (None, BTreeMap::new());
        Self {
            rollout,
            registry,
            routes,
            metrics,
            drain,
            cluster: None,
            duties: Arc::default(),
            left_out,
            partial,
            description,
            store,
            tls,
            deliveries,
            sagas: Arc::default(),
            names: Names::default(),
            schedules: OnceLock::new(),
            guards,
            keys,
            cache,
            gateway,
            grants,
            runtime,
            recent: Arc::default(),
            components,
            edges,
            tracer,
            next_fault,
            fault_added,
            applier: Arc::default(),
            snapshots: PathBuf::new(),
        }
    }
}

impl Operations for HostOperations {
    fn ready(&self) -> HostReadiness {
        self.readiness()
    }

    fn left_out(&self) -> Vec<String> {
        let routes = self.routes.routes().iter();
        let routes = routes.filter(|(_, target)| target.left_out.is_some());
        let services = self.left_out_services();
        let routes =
            routes.filter(|(_, target)| !target.service().is_some_and(|service| services.contains_key(service)));
        let routes = routes.map(|(rule, _)| format!("route {}", rule.description()));
        services.keys().map(|name| format!("service {name}")).chain(routes).collect()
    }

    fn starting(&self) -> Vec<String> {
        self.rollout.starting().iter().map(ToString::to_string).collect()
    }

    fn troubles(&self) -> Vec<(&'static str, String)> {
        troubles(self.tls.as_ref(), self.edges.as_ref(), (self.cluster.as_deref(), &self.duties))
    }

    fn metrics(&self) -> String {
        self.metrics.encode()
    }

    fn services(&self) -> Vec<ServiceView> {
        self.registry.snapshot().iter().map(|(_, service)| self.view(service)).collect()
    }

    fn service(&self, name: &str) -> Option<ServiceView> {
        self.registry.snapshot().get(name).map(|service| self.view(service))
    }

    fn routes(&self) -> Vec<RouteView> {
        let (table, left_out) = (self.registry.snapshot(), self.left_out_services());
        let call = |target: &Target| {
            let routed = &table.get(target.service()?.as_str())?.routed;
            let name = &routed.get(BoundFunction::position(routed, target.typed?)?)?.name;
            Some(format!("{}#{}", name.interface.short(), name.function))
        };
        let verbs = |rule: &crate::route::Rule, target: &Target| match &target.answerer {
            Answerer::Saga(saga) => Some(saga.verbs(rule.methods()).into()),
            _ => None,
        };
        let route = |(rule, target): &(crate::route::Rule, Target)| RouteView {
            matches: rule.description(),
            service: target.service().map(ToString::to_string),
            answer: target.answerer.own_answer(),
            call: call(target).or_else(|| verbs(rule, target)),
            rewrite: match rule.rewrite() {
                Rewrite::None => None,
                rewrite => Some(rewrite.to_string()),
            },
            auth: target.access.as_ref().map(|access| access.policies().map(str::to_owned).collect()),
            scopes: target.access.as_ref().map(|access| access.demand().scopes.clone()).unwrap_or_default(),
            claims: target.access.as_ref().map(|access| claim_names(access.demand())).unwrap_or_default(),
            left_out: match &target.left_out {
                Some(reason) => Some(reason.to_string()),
                None => target.service().and_then(|service| left_out.get(service).cloned()),
            },
        };
        self.routes.routes().iter().map(route).collect()
    }

    fn overview(&self) -> Vec<OverviewView> {
        self.overview_views()
    }

    async fn locate_traps(&self) {
        self.find_source_lines().await;
    }

    fn why(&self, name: &str) -> Option<WhyView> {
        self.why_view(name)
    }

    fn why_all(&self) -> HostWhyView {
        self.host_why_view()
    }

    async fn swap(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        self.refuse_left_out(name)?;
        self.swap_at_once(name, component).await
    }

    async fn trial(&self, name: &str, component: Bytes) -> Result<TrialView, OperationError> {
        self.refuse_left_out(name)?;
        let (trial, revision, spec) = self.rollout.trial(name, component).await.map_err(refusal)?;
        let (fits, grants) = (trial.fits(), grant_views(&spec, &trial.links));
        let Trial { refusals: refused, breaks, .. } = trial;
        Ok(TrialView { service: name.to_owned(), revision: revision.short(), fits, refused, breaks, grants })
    }

    async fn rollback(&self, name: &str) -> Result<SwapView, OperationError> {
        self.refuse_left_out(name)?;
        self.return_to_before(name).await
    }

    async fn begin_rollout(
        &self,
        name: &str,
        component: Bytes,
        wish: RolloutWish,
    ) -> Result<BegunView, OperationError> {
        self.refuse_left_out(name)?;
        self.begin(name, component, wish).await
    }

    fn history(&self, name: &str) -> Result<HistoryView, OperationError> {
        self.history_of(name)
    }

    async fn end_rollout(&self, name: &str, id: Option<u64>, end: RolloutEnd) -> Result<SwapView, OperationError> {
        self.end(name, id, end).await
    }

    async fn rollback_to(&self, name: &str, revision: &str) -> Result<SwapView, OperationError> {
        self.refuse_left_out(name)?;
        self.return_to(name, revision).await
    }

    async fn adopt(&self, name: &str) -> Result<AdoptedView, OperationError> {
        self.adopt_into_manifest(name).await
    }

    fn breakers(
        &self,
        service: &str,
        endpoint: Option<&str>,
        action: BreakerAction,
    ) -> Result<ServiceView, OperationError> {
        let entry = self.entry(service)?;
        let meant = |own: &&Arc<Endpoint>| endpoint.is_none_or(|endpoint| *own.stats.id == *endpoint);
        let meant: Vec<_> = entry.endpoints().filter(meant).collect();
        if let (Some(endpoint), true) = (endpoint, meant.is_empty()) {
            let message = format!("service `{service}` has no endpoint `{endpoint}`");
            return Err(OperationError::new(OperationErrorKind::NoEndpoint, message));
        }
        let order = match action {
            BreakerAction::Open => mesh::BreakerOrder::Open,
            BreakerAction::Close => mesh::BreakerOrder::Close,
            BreakerAction::Reset => mesh::BreakerOrder::Reset,
        };
        for endpoint in meant {
            tracing::warn!(service, endpoint = &*endpoint.stats.id, ?order, "an operator changes a circuit");
            endpoint.stats.order(order);
            let (id, reason) = (Some(&*endpoint.stats.id), format!("{order:?}").to_lowercase());
            note_change(ChangeKind::CircuitOrdered, service, id, &reason);
        }
        Ok(self.view(&entry))
    }

    fn faults(&self) -> Vec<FaultView> {
        self.registry.snapshot().iter().flat_map(|(_, service)| faults(service, Instant::now())).collect()
    }

    fn add_fault(&self, service: &str, order: FaultOrder) -> Result<FaultView, OperationError> {
        let entry = self.entry(service)?;
        let now = Instant::now();
        let FaultOrder { fault, lasts } = order;
        let id = self.next_fault.fetch_add(1, Relaxed);
        let added = ActiveFault { id, fault, until: lasts.map(|lasts| now + lasts), origin: FaultOrigin::Operator };
        // `add` removes those that are over without a word.
        self.end_faults(now);
        let outcome = entry.group.traffic.faults.add(id, fault, added.until, added.origin, now);
        outcome.map_err(|full| OperationError::caused_by(OperationErrorKind::Conflict, full))?;
        self.fault_added.notify_one();
        tracing::warn!(service, id, %fault, ?lasts, "a fault on purpose, from an operator");
        let lasts = lasts.map_or_else(|| "until it is cleared".into(), |lasts| format!("for {} s", lasts.as_secs()));
        note_change(ChangeKind::FaultBegun, service, None, &format!("{fault} {lasts}"));
        Ok(fault_view(service, &added, now))
    }

    fn clear_faults(&self, service: Option<&str>, id: Option<u64>) -> Result<usize, OperationError> {
        let table = self.registry.snapshot();
        let entries: Vec<_> = match service {
            Some(name) => vec![self.entry(name)?],
            None => table.iter().map(|(_, service)| Arc::clone(service)).collect(),
        };
        let now = Instant::now();
        let clear = |entry: &Arc<Service>| {
            let faults = &entry.group.traffic.faults;
            let meant = faults.active(now).into_iter().filter(|one| id.is_none_or(|id| one.id == id));
            // A fault that another operator clears at the same time is counted by only one of the two: by the one whose
            // `remove` finds it.
            let removed = meant.filter(|one| faults.remove(one.id));
            let log = |one: &ActiveFault| {
                let ActiveFault { id, fault, .. } = one;
                let name = &entry.group.name;
                tracing::info!(service = %name, id, %fault, "a fault on purpose has ended: it was cleared");
                note_change(ChangeKind::FaultEnded, name.as_str(), None, &format!("{fault}: it was cleared"));
            };
            removed.inspect(log).count()
        };
        Ok(entries.iter().map(clear).sum())
    }

    fn outside(&self) -> Vec<OutsideView> {
        let now = Instant::now();
        let hosts = |service: &Service| {
            let hosts = service.outside.all().into_iter();
            let view = |mesh::OutsideHost { name: host, stats }| {
                let state = stats.state(now);
                OutsideView {
                    service: service.group.name.to_string(),
                    host,
                    breaker: breaker_view(state.breaker.state),
                    requests: state.requests,
                    failures: state.failures,
                    in_flight: state.in_flight as u64,
                }
            };
            hosts.map(view).collect::<Vec<_>>()
        };
        self.registry.snapshot().iter().flat_map(|(_, service)| hosts(service)).collect()
    }

    fn traces(&self, query: &TraceQuery) -> Option<Vec<TraceSummaryView>> {
        Some(self.tracer.as_ref()?.find(query).iter().map(|trace| trace_views::summary(trace)).collect())
    }

    fn trace(&self, id: &str) -> Option<Option<TraceView>> {
        Some(self.tracer.as_ref()?.get(id).map(|trace| trace_views::view(&trace)))
    }

    fn recordings(&self) -> Vec<RecordingView> {
        recording_views::recordings(self.rollout.recordings())
    }

    fn recording(&self, id: &str, service: Option<&str>, random: bool) -> Option<Vec<u8>> {
        recording_views::file(self.rollout.recordings(), id, service, random)
    }

    fn keys(&self) -> Vec<KeyView> {
        self.key_views()
    }

    async fn create_key(&self, order: KeyOrder) -> Result<NewKeyView, OperationError> {
        self.make_key(order).await
    }

    async fn revoke_key(&self, id: &str) -> Result<KeyView, OperationError> {
        self.end_key(id).await
    }

    fn schedules(&self) -> Vec<ScheduleView> {
        self.schedules.get().map(|schedules| schedule_operations::views(schedules)).unwrap_or_default()
    }

    async fn topics(&self, order: TopicOrder) -> Result<TopicAnswer, OperationError> {
        topic_operations::carry_out(self.deliveries.get(), order).await
    }

    async fn sagas(&self, command: SagaCommand) -> Result<SagaAnswer, OperationError> {
        saga_operations::carry_out(self.sagas.get(), self.names, command).await
    }

    fn cache(&self) -> Result<CacheView, OperationError> {
        cache_order::view(self.cache.as_deref())
    }

    fn purge(&self, purge: &Purge) -> Result<PurgedView, OperationError> {
        cache_order::purge(self.cache.as_deref(), purge)
    }

    async fn apply(&self, order: ApplyOrder) -> Result<ApplyView, OperationError> {
        let applier = self.applier.get().and_then(Weak::upgrade);
        let gone = || OperationError::new(OperationErrorKind::Conflict, "the host does not serve yet: try again");
        applier.ok_or_else(gone)?.apply(order).await
    }
}

impl HostOperations {
    /// Refuses to swap a service that is left out from the beginning of the start. Its routes were not bound to its
    /// functions, so it has to be there at a start.
    fn refuse_left_out(&self, name: &str) -> Result<(), OperationError> {
        if self.rollout.can_return(name) {
            return Ok(());
        }
        let left_out = self.left_out_services();
        let Some((_, reason)) = left_out.iter().find(|(own, _)| own.as_str() == name) else { return Ok(()) };
        let message = format!("service `{name}` is left out ({reason}): correct that, and start the host again");
        Err(OperationError::new(OperationErrorKind::Conflict, message))
    }

    fn view(&self, service: &Service) -> ServiceView {
        let name = &service.group.name;
        let left_out = self.left_out_services().get(name).cloned();
        let history = self.rollout.rollouts(name.as_str()).ok();
        let canary = history.and_then(|history| history.open).map(|state| open_view(name.as_str(), &state));
        let sources = self.rollout.sources(name.as_str()).into_iter().map(source_view).collect();
        let view = view(service);
        let of_cluster = self.is_of_cluster(name, view.digest.as_deref());
        ServiceView { left_out, canary, lasts: self.rollout.has_history() || of_cluster, of_cluster, sources, ..view }
    }

    /// The services that are not served, each with the reason.
    pub(super) fn left_out_services(&self) -> MutexGuard<'_, BTreeMap<ServiceName, String>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, name: &str) -> Result<Arc<Service>, OperationError> {
        let entry = self.registry.snapshot().get(name).cloned();
        entry.ok_or_else(|| OperationError::new(OperationErrorKind::NotFound, format!("there is no service `{name}`")))
    }
}
