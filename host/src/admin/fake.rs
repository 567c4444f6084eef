//! A host without services, for the tests of this room and of the CLI.

use super::{
    AdoptedView, ApplyOrder, ApplyView, BegunView, BreakerAction, BreakerView, CacheView, CauseView, EndpointView,
    FaultOrder, FaultView, GrantView, GuardOperations, HistoryView, HostReadiness, HostWhyView, KeyOrder, KeyView,
    LastErrorView, LimitView, MaintenanceOrder, MaintenanceView, NewKeyView, OperationError, OperationErrorKind,
    Operations, OriginView, OutsideView, OverviewView, PurgedView, RecordingView, RolloutEnd, RolloutView, RolloutWish,
    RouteView, SagaAnswer, SagaCommand, ServiceView, SwapView, TopicAnswer, TopicOrder, TraceSummaryView, TraceView,
    TrialView, UseView, WhyView,
};
use crate::cache::Purge;
use crate::telemetry::TraceQuery;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// A host with a service `users`, which has a component, and a service `legacy`, which has an address. It records the
/// components and the orders that it gets.
pub(crate) struct Fake {
    /// Its readiness.
    pub(crate) readiness: Mutex<HostReadiness>,
    /// What does not work though it serves.
    pub(crate) troubles: Mutex<Vec<(&'static str, String)>>,
    /// The components that came in through swaps.
    pub(crate) swapped: Mutex<Vec<Bytes>>,
    /// The last action on the circuit of each endpoint.
    pub(crate) circuits: Mutex<BTreeMap<String, BreakerAction>>,
    /// The active faults, at most [`FAULTS`].
    pub(crate) faults: Mutex<Vec<FaultView>>,
    /// The outside hosts that were called.
    pub(crate) outside: Mutex<Vec<OutsideView>>,
    /// The kept traces; `None`: requests are not traced.
    pub(crate) traces: Mutex<Option<Vec<TraceView>>>,
    /// The API keys.
    pub(crate) keys: Mutex<Vec<KeyView>>,
    /// The purges of the cache.
    pub(crate) purges: Mutex<Vec<Purge>>,
    /// The orders about maintenance.
    pub(crate) maintenance: Mutex<Vec<MaintenanceOrder>>,
    /// The imports of data: what came, and whether it replaces.
    pub(crate) imports: Mutex<Vec<(String, bool)>>,
    /// The orders about nodes.
    pub(crate) node_orders: Mutex<Vec<String>>,
    /// One permit for each swap that may end. A test that holds swaps back takes the permits away.
    pub(crate) gate: Semaphore,
    /// Gets a permit for each swap that begins.
    pub(crate) begun: Semaphore,
}

/// The largest number of active faults.
pub(crate) const FAULTS: usize = 3;

impl Default for Fake {
    fn default() -> Self {
        Self {
            readiness: Mutex::new(HostReadiness::Ready),
            troubles: Mutex::default(),
            swapped: Mutex::default(),
            circuits: Mutex::default(),
            faults: Mutex::default(),
            outside: Mutex::default(),
            traces: Mutex::default(),
            keys: Mutex::default(),
            purges: Mutex::default(),
            maintenance: Mutex::default(),
            imports: Mutex::default(),
            node_orders: Mutex::default(),
            gate: Semaphore::new(1000),
            begun: Semaphore::new(0),
        }
    }
}

impl Operations for Fake {
    fn ready(&self) -> HostReadiness {
        *self.readiness.lock().expect("no test panics with it")
    }

    fn left_out(&self) -> Vec<String> {
        if self.ready() == HostReadiness::Incomplete { vec!["service users".into()] } else { Vec::new() }
    }

    fn starting(&self) -> Vec<String> {
        if self.ready() == HostReadiness::Starting { vec!["legacy".into(), "users".into()] } else { Vec::new() }
    }

    fn troubles(&self) -> Vec<(&'static str, String)> {
        self.troubles.lock().expect("no test panics with it").clone()
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn traces(&self, query: &TraceQuery) -> Option<Vec<TraceSummaryView>> {
        let traces = self.traces.lock().expect("no test panics with it");
        let fits = |trace: &&TraceView| query.error.is_none_or(|error| error == trace.summary.error.is_some());
        Some(traces.as_ref()?.iter().filter(fits).map(|trace| trace.summary.clone()).collect())
    }

    fn trace(&self, id: &str) -> Option<Option<TraceView>> {
        let traces = self.traces.lock().expect("no test panics with it");
        Some(traces.as_ref()?.iter().find(|trace| trace.summary.id == id).cloned())
    }

    fn services(&self) -> Vec<ServiceView> {
        let users = ServiceView {
            name: "users".into(),
            revision: Some("aaaaaaaaaaaa".into()),
            digest: Some("a".repeat(64)),
            age_seconds: Some(7260),
            differs_from_manifest: true,
            previous: Some("bbbbbbbbbbbb".into()),
            endpoints: vec![
                EndpointView::example("users-0", "instance", BreakerView::Closed, 1200, 0),
                EndpointView::example("users-1", "instance", BreakerView::HalfOpen, 9, 3),
            ],
            balance: "peak-ewma".into(),
            waiting: 0,
            pool: None,
            faults: self.faults_of("users"),
            left_out: None,
            canary: None,
            lasts: false,
            of_cluster: false,
            sources: Vec::new(),
        };
        let legacy = ServiceView {
            name: "legacy".into(),
            revision: None,
            digest: None,
            age_seconds: None,
            differs_from_manifest: false,
            previous: None,
            endpoints: vec![EndpointView::example("legacy-0", "http://127.0.0.1:5001", BreakerView::Open, 3, 3)],
            balance: "random".into(),
            waiting: 0,
            pool: None,
            faults: self.faults_of("legacy"),
            left_out: None,
            canary: None,
            lasts: false,
            of_cluster: false,
            sources: Vec::new(),
        };
        let mut services = vec![legacy, users];
        let circuits = self.circuits.lock().expect("no test panics with it");
        for endpoint in services.iter_mut().flat_map(|service| &mut service.endpoints) {
            match circuits.get(&endpoint.id) {
                Some(BreakerAction::Open) => (endpoint.breaker, endpoint.forced) = (BreakerView::Open, true),
                Some(BreakerAction::Close) => (endpoint.breaker, endpoint.forced) = (BreakerView::Closed, true),
                Some(BreakerAction::Reset) => (endpoint.breaker, endpoint.forced) = (BreakerView::Closed, false),
                None => {}
            }
        }
        services
    }

    fn service(&self, name: &str) -> Option<ServiceView> {
        self.services().into_iter().find(|service| service.name == name)
    }

    fn routes(&self) -> Vec<RouteView> {
        let route = |matches: &str, service: &str, rewrite: Option<&str>| RouteView {
            matches: matches.into(),
            service: Some(service.into()),
            answer: None,
            call: None,
            rewrite: rewrite.map(Into::into),
            auth: None,
            scopes: Vec::new(),
            claims: Vec::new(),
            left_out: None,
        };
        vec![route("/legacy/{id}", "legacy", Some("/users/{id}")), route("/api/users/*", "users", None)]
    }

    fn overview(&self) -> Vec<OverviewView> {
        let overview = |service: ServiceView| OverviewView {
            requests_per_second: 12.25,
            failed_percent: 2.5,
            p99_ms: Some(41.4),
            in_flight: UseView { used: 3, limit: 64 },
            last_error: Some(LastErrorView { seconds_ago: 4, kind: "trap".into(), detail: "unreachable".into() }),
            service: service.name,
            ..OverviewView::default()
        };
        self.services().into_iter().map(overview).collect()
    }

    async fn locate_traps(&self) {}

    fn why(&self, name: &str) -> Option<WhyView> {
        let service = self.service(name)?;
        let cause = CauseView {
            cause: "connect".into(),
            path: vec!["users".into(), "legacy".into()],
            revision: None,
            detail: "3 of 3 tries of `legacy` in the last minute failed by connect".into(),
            next: "atoll logs legacy --level warn".into(),
            needs: None,
        };
        Some(WhyView { service: service.name, well: false, causes: vec![cause] })
    }

    fn why_all(&self) -> HostWhyView {
        HostWhyView { of_services: 2, services: vec![], troubles: vec![], changes: vec![] }
    }

    /// Accepts bytes that begin as a component does.
    async fn swap(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        self.begun.add_permits(1);
        self.gate.acquire().await.expect("never closed").forget();
        if component.starts_with(b"panic") {
            panic!("as the test asked");
        }
        if !component.starts_with(b"\0asm") {
            return Err(OperationError::new(
                OperationErrorKind::Refused,
                "not a component: the magic number is missing",
            ));
        }
        self.swapped.lock().expect("no test panics with it").push(component);
        Ok(SwapView {
            service: name.into(),
            revision: "cccccccccccc".into(),
            previous: Some("aaaaaaaaaaaa".into()),
            elsewhere: false,
            late: Vec::new(),
        })
    }

    /// Finds that bytes that begin as a component does fit, and no others.
    async fn trial(&self, name: &str, component: Bytes) -> Result<TrialView, OperationError> {
        let fits = component.starts_with(b"\0asm");
        let breaks = if fits { Vec::new() } else { vec!["it has no `get`; route /a depends on it".to_owned()] };
        let (service, revision) = (name.to_owned(), "aaaaaaaaaaaa".to_owned());
        let grants = vec![GrantView { what: "env".into(), lines: vec!["LOG".into()] }];
        Ok(TrialView { service, revision, fits, refused: Vec::new(), breaks, grants })
    }

    async fn rollback(&self, name: &str) -> Result<SwapView, OperationError> {
        match name {
            "users" => Ok(SwapView {
                service: name.into(),
                revision: "bbbbbbbbbbbb".into(),
                previous: None,
                elsewhere: false,
                late: Vec::new(),
            }),
            "legacy" => {
                Err(OperationError::new(OperationErrorKind::Conflict, "`legacy` has no component to roll back"))
            }
            _ => Err(unknown(name)),
        }
    }

    async fn begin_rollout(
        &self,
        name: &str,
        component: Bytes,
        wish: RolloutWish,
    ) -> Result<BegunView, OperationError> {
        let SwapView { service, revision, previous, elsewhere, late } = self.swap(name, component).await?;
        let rollout = wish.canary.map(|_| rollout(&service));
        Ok(BegunView { service, revision, previous, rollout, elsewhere, late })
    }

    fn history(&self, name: &str) -> Result<HistoryView, OperationError> {
        self.service(name).ok_or_else(|| unknown(name))?;
        let (serving, manifest) = (Some("a".repeat(64)), Some("b".repeat(64)));
        Ok(HistoryView { service: name.into(), serving, manifest, rollouts: vec![rollout(name)] })
    }

    async fn end_rollout(&self, name: &str, id: Option<u64>, _: RolloutEnd) -> Result<SwapView, OperationError> {
        if id.is_some_and(|id| id != 7) {
            return Err(OperationError::new(OperationErrorKind::NoRollout, "no such rollout"));
        }
        self.rollback(name).await
    }

    async fn rollback_to(&self, name: &str, _: &str) -> Result<SwapView, OperationError> {
        self.rollback(name).await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<ApplyView, OperationError> {
        let (base, before) = ("b".repeat(12), "a".repeat(64));
        Ok(ApplyView { base, before, changes: Vec::new(), applied: !order.dry_run, file_differs: false })
    }

    async fn adopt(&self, name: &str) -> Result<AdoptedView, OperationError> {
        let (service, revision, path) = (name.into(), "aaaaaaaaaaaa".into(), "users.wasm".into());
        Ok(AdoptedView { service, revision, path })
    }

    fn breakers(
        &self,
        service: &str,
        endpoint: Option<&str>,
        action: BreakerAction,
    ) -> Result<ServiceView, OperationError> {
        let all = self.service(service).ok_or_else(|| unknown(service))?.endpoints;
        let meant = all.into_iter().map(|own| own.id).filter(|own| endpoint.is_none_or(|endpoint| endpoint == own));
        let meant: Vec<_> = meant.collect();
        if meant.is_empty() {
            let message = format!("`{service}` has no such endpoint");
            return Err(OperationError::new(OperationErrorKind::NoEndpoint, message));
        }
        self.circuits.lock().expect("no test panics with it").extend(meant.into_iter().map(|own| (own, action)));
        Ok(self.service(service).expect("it was there"))
    }

    fn faults(&self) -> Vec<FaultView> {
        self.faults.lock().expect("no test panics with it").clone()
    }

    fn add_fault(&self, service: &str, order: FaultOrder) -> Result<FaultView, OperationError> {
        self.service(service).ok_or_else(|| unknown(service))?;
        let mut faults = self.faults.lock().expect("no test panics with it");
        if faults.len() == FAULTS {
            let message = "too many faults are active: clear some of them";
            return Err(OperationError::new(OperationErrorKind::Conflict, message));
        }
        let view = FaultView {
            latency_share: order.fault.latency_share.to_string(),
            id: faults.last().map_or(1, |last| last.id + 1),
            service: service.into(),
            latency_ms: order.fault.latency.as_millis().try_into().expect("a few hours"),
            error: order.fault.error.to_string(),
            trap: order.fault.trap.to_string(),
            seconds_left: order.lasts.map(|lasts| lasts.as_secs()),
            origin: OriginView::Operator,
        };
        faults.push(view.clone());
        Ok(view)
    }

    fn clear_faults(&self, service: Option<&str>, id: Option<u64>) -> Result<usize, OperationError> {
        if let Some(name) = service.filter(|name| self.service(name).is_none()) {
            return Err(unknown(name));
        }
        let mut faults = self.faults.lock().expect("no test panics with it");
        let before = faults.len();
        let meant =
            |fault: &FaultView| service.is_none_or(|s| s == fault.service) && id.is_none_or(|id| id == fault.id);
        faults.retain(|fault| !meant(fault));
        Ok(before - faults.len())
    }

    fn outside(&self) -> Vec<OutsideView> {
        self.outside.lock().expect("no test panics with it").clone()
    }

    fn recordings(&self) -> Vec<RecordingView> {
        Vec::new()
    }

    fn recording(&self, id: &str, _: Option<&str>, _: bool) -> Option<Vec<u8>> {
        (id == "1").then(|| b"{}".to_vec())
    }

    fn keys(&self) -> Vec<KeyView> {
        self.keys.lock().expect("no test panics with it").clone()
    }

    async fn create_key(&self, order: KeyOrder) -> Result<NewKeyView, OperationError> {
        let KeyOrder { name, policy, scopes, lasts } = order;
        let mut keys = self.keys.lock().expect("no test panics with it");
        let about = KeyView {
            id: format!("k{}", keys.len()),
            name,
            policy: policy.unwrap_or_else(|| "partner".into()),
            scopes: scopes.into_iter().collect(),
            created: 1000,
            expires: lasts.map(|lasts| 1000 + lasts.as_secs()),
            expired: false,
        };
        keys.push(about.clone());
        Ok(NewKeyView { key: "atoll_secret".into(), about })
    }

    async fn revoke_key(&self, id: &str) -> Result<KeyView, OperationError> {
        let mut keys = self.keys.lock().expect("no test panics with it");
        let at = keys.iter().position(|key| key.id == id);
        let unknown = || OperationError::new(OperationErrorKind::NoKey, format!("there is no key `{id}`"));
        at.map(|at| keys.remove(at)).ok_or_else(unknown)
    }

    fn cache(&self) -> Result<CacheView, OperationError> {
        Ok(CacheView { answers: 2, bytes: 2048, max_bytes: 64 << 20, disk: None, evicted: 7 })
    }

    fn purge(&self, purge: &Purge) -> Result<PurgedView, OperationError> {
        self.purges.lock().expect("no test panics with it").push(purge.clone());
        Ok(PurgedView { purged: 1 })
    }

    fn schedules(&self) -> Vec<super::schedule_view::ScheduleView> {
        Vec::new()
    }

    async fn topics(&self, order: TopicOrder) -> Result<TopicAnswer, OperationError> {
        match order {
            TopicOrder::List => Ok(TopicAnswer::Topics(Vec::new())),
            TopicOrder::Publish { topic, event } if topic == "orders" => {
                Ok(TopicAnswer::Published { number: event.payload.get().len() as u64 })
            }
            other => Err(OperationError::new(OperationErrorKind::NoTopic, format!("{other:?}"))),
        }
    }

    async fn sagas(&self, command: SagaCommand) -> Result<SagaAnswer, OperationError> {
        match command {
            SagaCommand::List { parked: false, .. } => Ok(SagaAnswer::Sagas(Vec::new())),
            other => Err(OperationError::new(OperationErrorKind::NoSaga, format!("{other:?}"))),
        }
    }
}

impl GuardOperations for Fake {
    fn limits(&self) -> Vec<LimitView> {
        vec![LimitView {
            name: "default".into(),
            by: "client".into(),
            rate: Some("100/10s".into()),
            burst: Some(20),
            cpu: None,
            memory: None,
            quota: None,
            admitted: 1200,
            refused: 7,
            keys: 3,
            shared: 0,
        }]
    }

    fn maintenance(&self) -> MaintenanceView {
        let orders = self.maintenance.lock().expect("no test panics with it");
        let on = orders.last().filter(|order| order.on);
        let retry_after_seconds = on.map(|order| order.retry_after.map_or(60, |wait| wait.as_secs()));
        MaintenanceView { on: on.is_some(), retry_after_seconds }
    }

    fn switch_maintenance(&self, order: MaintenanceOrder) -> MaintenanceView {
        self.maintenance.lock().expect("no test panics with it").push(order);
        GuardOperations::maintenance(self)
    }

    async fn erase(&self, service: &str) -> Result<bool, OperationError> {
        self.service(service).map(|_| true).ok_or_else(|| unknown(service))
    }

    async fn replace_state_key(&self) -> Result<bool, OperationError> {
        Ok(true)
    }
}

impl Fake {
    fn faults_of(&self, service: &str) -> Vec<FaultView> {
        self.faults().into_iter().filter(|fault| fault.service == service).collect()
    }
}

/// A rollout that was taken back.
pub(crate) fn rollout(service: &str) -> RolloutView {
    RolloutView {
        service: service.into(),
        id: 7,
        revision: "cccccccccccc".into(),
        digest: "c".repeat(64),
        phase: "rolled-back".into(),
        who: "loopback".into(),
        why: Some("faster".into()),
        began: 1000,
        ended: Some(1060),
        sentence: "failed calls: 3 of 40 against 0 of 760 of the stable revision; evidence 312 of 100".into(),
        canary: None,
        shadow: None,
    }
}

fn unknown(name: &str) -> OperationError {
    OperationError::new(OperationErrorKind::NotFound, format!("there is no service `{name}`"))
}
