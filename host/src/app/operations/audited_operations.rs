//! What the admin asks of the host, with a line in the audit file for each change.

use crate::admin::{
    AdoptedView, ApplyOrder, ApplyView, BegunView, BreakerAction, CacheView, FaultOrder, FaultView, HistoryView,
    HostReadiness, HostWhyView, KeyOrder, KeyView, NewKeyView, OperationError, Operations, OutsideView, OverviewView,
    PurgedView, RecordingView, RolloutEnd, RolloutWish, RouteView, ServiceView, SwapView, TraceSummaryView, TraceView,
    TrialView, WhyView,
};
use crate::admin::{OperationErrorKind, SagaAnswer, SagaCommand, ScheduleView, TopicAnswer, TopicOrder};
use crate::audit::{AuditLine, AuditQuery, AuditRecord, AuditTrail};
use crate::base::counted;
use crate::cache::Purge;
use crate::telemetry::{TraceQuery, operator};
use bytes::Bytes;
use std::sync::Arc;
use tokio::task::{block_in_place, spawn_blocking};

/// Operations whose changes are recorded, those that were refused too, before the operator gets the answer.
pub(in crate::app) struct AuditedOperations<O> {
    pub(super) inner: Arc<O>,
    trail: AuditTrail,
}

/// The operator who has sent the request.
pub(super) fn who() -> Arc<str> {
    operator().unwrap_or_else(|| "host".into())
}

impl<O: Operations> AuditedOperations<O> {
    pub(in crate::app) fn new(inner: Arc<O>, trail: AuditTrail) -> Self {
        Self { inner, trail }
    }

    /// The digest of the component that serves.
    fn digest(&self, service: &str) -> Option<String> {
        self.inner.service(service)?.digest
    }

    /// Records how an order ended, and hands the outcome on.
    pub(super) fn record<T>(
        &self,
        event: AuditRecord,
        order: Option<String>,
        outcome: Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        let words = match (&outcome, order) {
            (Ok(_), order) => order,
            (Err(error), None) => Some(ended(error.kind)),
            (Err(error), Some(order)) => Some(format!("{order}; {}", ended(error.kind))),
        };
        let event = match words {
            Some(words) => event.outcome(&words),
            None => event,
        };
        // It waits for the disk, and the other work of this thread must not.
        block_in_place(|| self.trail.record(event));
        outcome
    }

    fn changed(
        &self,
        what: &'static str,
        service: &str,
        before: Option<String>,
        outcome: Result<SwapView, OperationError>,
    ) -> Result<SwapView, OperationError> {
        let after = self.digest(service);
        let event = AuditRecord::new(&who(), what).on(service).changed(before.as_deref(), after.as_deref());
        self.record(event, None, outcome)
    }
}

impl<O: Operations> Operations for AuditedOperations<O> {
    fn ready(&self) -> HostReadiness {
        self.inner.ready()
    }

    fn left_out(&self) -> Vec<String> {
        self.inner.left_out()
    }

    fn troubles(&self) -> Vec<(&'static str, String)> {
        self.inner.troubles()
    }

    fn starting(&self) -> Vec<String> {
        self.inner.starting()
    }

    fn metrics(&self) -> String {
        self.inner.metrics()
    }

    fn services(&self) -> Vec<ServiceView> {
        self.inner.services()
    }

    fn service(&self, name: &str) -> Option<ServiceView> {
        self.inner.service(name)
    }

    fn routes(&self) -> Vec<RouteView> {
        self.inner.routes()
    }

    fn overview(&self) -> Vec<OverviewView> {
        self.inner.overview()
    }

    async fn locate_traps(&self) {
        self.inner.locate_traps().await;
    }

    fn why(&self, name: &str) -> Option<WhyView> {
        self.inner.why(name)
    }

    fn why_all(&self) -> HostWhyView {
        self.inner.why_all()
    }

    async fn swap(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        let before = self.digest(name);
        let outcome = self.inner.swap(name, component).await;
        self.changed("swap", name, before, outcome)
    }

    async fn trial(&self, name: &str, component: Bytes) -> Result<TrialView, OperationError> {
        self.inner.trial(name, component).await
    }

    async fn rollback(&self, name: &str) -> Result<SwapView, OperationError> {
        let before = self.digest(name);
        let outcome = self.inner.rollback(name).await;
        self.changed("rollback", name, before, outcome)
    }

    async fn begin_rollout(
        &self,
        name: &str,
        component: Bytes,
        wish: RolloutWish,
    ) -> Result<BegunView, OperationError> {
        let (before, why) = (self.digest(name), wish.why.clone());
        let outcome = self.inner.begin_rollout(name, component, wish).await;
        let canary = outcome.as_ref().ok().and_then(|begun| begun.rollout.as_ref());
        let (what, after) = match canary {
            Some(canary) => ("canary", Some(canary.digest.clone())),
            None => ("swap", self.digest(name)),
        };
        let event = AuditRecord::new(&who(), what).on(name).changed(before.as_deref(), after.as_deref());
        self.record(event.why(why.as_deref()), None, outcome)
    }

    fn history(&self, name: &str) -> Result<HistoryView, OperationError> {
        self.inner.history(name)
    }

    async fn end_rollout(&self, name: &str, id: Option<u64>, end: RolloutEnd) -> Result<SwapView, OperationError> {
        let before = self.digest(name);
        let outcome = self.inner.end_rollout(name, id, end).await;
        let what = match end {
            RolloutEnd::Promote { .. } => "canary-promoted",
            RolloutEnd::RollBack => "canary-rolled-back",
            RolloutEnd::Abort => "canary-aborted",
        };
        self.changed(what, name, before, outcome)
    }

    async fn rollback_to(&self, name: &str, revision: &str) -> Result<SwapView, OperationError> {
        let before = self.digest(name);
        let outcome = self.inner.rollback_to(name, revision).await;
        self.changed("rollback", name, before, outcome)
    }

    async fn adopt(&self, name: &str) -> Result<AdoptedView, OperationError> {
        let outcome = self.inner.adopt(name).await;
        let digest = self.digest(name);
        let event = AuditRecord::new(&who(), "adopt").on(name).changed(None, digest.as_deref());
        let path = outcome.as_ref().ok().map(|adopted| adopted.path.clone());
        self.record(event, path, outcome)
    }

    async fn apply(&self, order: ApplyOrder) -> Result<ApplyView, OperationError> {
        if order.dry_run {
            return self.inner.apply(order).await;
        }
        let digest = crate::base::Digest::of(order.text.as_bytes()).to_string();
        let outcome = self.inner.apply(order).await;
        let before = outcome.as_ref().ok().map(|view| view.before.clone());
        let words = outcome.as_ref().ok().map(|view| counted(view.changes.len(), "change", "changes"));
        let event = AuditRecord::new(&who(), "apply").on("manifest").changed(before.as_deref(), Some(&digest));
        self.record(event, words, outcome)
    }

    fn breakers(
        &self,
        service: &str,
        endpoint: Option<&str>,
        action: BreakerAction,
    ) -> Result<ServiceView, OperationError> {
        let outcome = self.inner.breakers(service, endpoint, action);
        let event = AuditRecord::new(&who(), "breaker").on(endpoint.unwrap_or(service));
        self.record(event, Some(format!("{action:?}").to_lowercase()), outcome)
    }

    fn faults(&self) -> Vec<FaultView> {
        self.inner.faults()
    }

    fn add_fault(&self, service: &str, order: FaultOrder) -> Result<FaultView, OperationError> {
        let outcome = self.inner.add_fault(service, order);
        let lasts = order.lasts.map_or_else(String::new, |lasts| format!(" for {} s", lasts.as_secs()));
        let event = AuditRecord::new(&who(), "fault-added").on(service);
        self.record(event, Some(format!("{}{lasts}", order.fault)), outcome)
    }

    fn clear_faults(&self, service: Option<&str>, id: Option<u64>) -> Result<usize, OperationError> {
        let outcome = self.inner.clear_faults(service, id);
        let which = id.map_or_else(|| "all".to_owned(), |id| format!("fault {id}"));
        let event = AuditRecord::new(&who(), "faults-cleared").on(service.unwrap_or("all services"));
        self.record(event, Some(which), outcome)
    }

    fn outside(&self) -> Vec<OutsideView> {
        self.inner.outside()
    }

    fn traces(&self, query: &TraceQuery) -> Option<Vec<TraceSummaryView>> {
        self.inner.traces(query)
    }

    fn trace(&self, id: &str) -> Option<Option<TraceView>> {
        self.inner.trace(id)
    }

    fn recordings(&self) -> Vec<RecordingView> {
        self.inner.recordings()
    }

    fn recording(&self, id: &str, service: Option<&str>, random: bool) -> Option<Vec<u8>> {
        self.inner.recording(id, service, random)
    }

    fn keys(&self) -> Vec<KeyView> {
        self.inner.keys()
    }

    async fn create_key(&self, order: KeyOrder) -> Result<NewKeyView, OperationError> {
        let event = AuditRecord::new(&who(), "key-created").on(&order.name);
        let outcome = self.inner.create_key(order).await;
        let made = outcome.as_ref().ok().map(|made| format!("{} with scopes {:?}", made.about.id, made.about.scopes));
        self.record(event, made, outcome)
    }

    async fn revoke_key(&self, id: &str) -> Result<KeyView, OperationError> {
        let outcome = self.inner.revoke_key(id).await;
        let event = AuditRecord::new(&who(), "key-revoked").on(id);
        let whose = outcome.as_ref().ok().map(|revoked| revoked.name.clone());
        self.record(event, whose, outcome)
    }

    fn cache(&self) -> Result<CacheView, OperationError> {
        self.inner.cache()
    }

    fn purge(&self, purge: &Purge) -> Result<PurgedView, OperationError> {
        let outcome = self.inner.purge(purge);
        let event = AuditRecord::new(&who(), "cache-purged").on("cache");
        let count = outcome.as_ref().map_or(0, |purged| purged.purged);
        self.record(event, Some(format!("{purge:?}: {count}")), outcome)
    }

    async fn audit(&self, query: AuditQuery) -> Result<Option<Vec<AuditLine>>, OperationError> {
        let trail = self.trail.clone();
        let read = spawn_blocking(move || trail.newest(&query)).await.unwrap_or_else(|error| Err(error.into()));
        let unreadable = |error| {
            OperationError::new(OperationErrorKind::Internal, format!("the audit file cannot be read: {error}"))
        };
        read.map(Some).map_err(unreadable)
    }

    fn schedules(&self) -> Vec<ScheduleView> {
        self.inner.schedules()
    }

    async fn topics(&self, order: TopicOrder) -> Result<TopicAnswer, OperationError> {
        let (what, topic, words) = match &order {
            TopicOrder::Publish { topic, .. } => ("event-published", topic.clone(), None),
            TopicOrder::Rebuild { service, order } => {
                let topic = order.topic.as_deref().unwrap_or("all topics");
                let kept = if order.keep_data { "kept" } else { "erased" };
                ("data-rebuilt", service.clone(), Some(format!("events of {topic} again, data {kept}")))
            }
            TopicOrder::Retry { topic, service, number } => {
                let which = number.map_or_else(|| "all".to_owned(), |number| number.to_string());
                ("dead-letters-sent", topic.clone(), Some(format!("{which} of {service}")))
            }
            TopicOrder::List | TopicOrder::Events { .. } | TopicOrder::Dead { .. } => {
                return self.inner.topics(order).await;
            }
        };
        let outcome = self.inner.topics(order).await;
        let number = outcome.as_ref().ok().and_then(|answer| match answer {
            TopicAnswer::Published { number } => Some(number.to_string()),
            _ => None,
        });
        self.record(AuditRecord::new(&who(), what).on(&topic), words.or(number), outcome)
    }

    async fn sagas(&self, command: SagaCommand) -> Result<SagaAnswer, OperationError> {
        let (what, on) = match &command {
            SagaCommand::List { .. } | SagaCommand::Ended { .. } | SagaCommand::Show(_) => {
                return self.inner.sagas(command).await;
            }
            SagaCommand::Start(start) => ("saga-started", start.saga.clone()),
            SagaCommand::Retry(id) => ("saga-retried", id.clone()),
            SagaCommand::Skip(id) => ("saga-skipped", id.clone()),
            SagaCommand::Compensate(id) => ("saga-compensated", id.clone()),
        };
        let outcome = self.inner.sagas(command).await;
        let words = outcome.as_ref().ok().and_then(|answer| match answer {
            SagaAnswer::Started(started) => Some(started.id.clone()),
            SagaAnswer::Saga(_) | SagaAnswer::Sagas(_) => None,
        });
        self.record(AuditRecord::new(&who(), what).on(&on), words, outcome)
    }
}

/// How an order ended that has failed: an error of the host itself is no refusal, and may have changed something.
fn ended(kind: OperationErrorKind) -> String {
    let how = if kind == OperationErrorKind::Internal { "failed" } else { "refused" };
    format!("{how}: {kind:?}")
}
