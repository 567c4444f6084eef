//! What the admin asks of the host. `app` implements it with the rooms that the admin must not know.

use super::apply_view::ApplyView;
use super::data_operations::DataOperations;
use super::guard_operations::GuardOperations;
use super::node_operations::NodeOperations;
use super::observed_view::{HostWhyView, OverviewView, WhyView};
use super::operation_error::OperationError;
#[cfg(doc)]
use super::operation_error::OperationErrorKind;
use super::recording_view::RecordingView;
use super::rollout_view::{AdoptedView, BegunView, HistoryView};
use super::saga_view::{SagaAnswer, SagaCommand};
use super::schedule_view::ScheduleView;
use super::topic_view::{TopicAnswer, TopicOrder};
use super::trace_view::{TraceSummaryView, TraceView};
use super::view::{
    BreakerAction, CacheView, FaultView, KeyView, NewKeyView, OutsideView, PurgedView, RouteView, ServiceView,
    SwapView, TrialView,
};
use crate::audit::{AuditLine, AuditQuery};
use crate::cache::Purge;
use crate::fault::Fault;
use crate::telemetry::TraceQuery;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// What an operator can see and change.
///
/// Swap and rollback are called in a task of their own, which is never dropped half way. The implementation makes sure
/// that changes of one service happen one after the other. The other changes do not wait for anything.
pub trait Operations: GuardOperations + DataOperations + NodeOperations {
    /// Whether the host takes requests.
    fn ready(&self) -> HostReadiness;

    /// What the host serves without: services that could not be compiled; and, if it was started with `--partial`, what
    /// cannot be served. The names of services, and of routes whose service is served.
    fn left_out(&self) -> Vec<String>;

    /// What does not work though the host serves: the part, and what it means, for `/readyz`. Each part stands once.
    /// Everybody may ask for it, so it tells no cause.
    fn troubles(&self) -> Vec<(&'static str, String)>;

    /// The names of the services that do not serve yet, since components are being compiled.
    fn starting(&self) -> Vec<String>;

    /// All metrics, as OpenMetrics text.
    fn metrics(&self) -> String;

    /// Every service, by name.
    fn services(&self) -> Vec<ServiceView>;

    /// One service.
    fn service(&self, name: &str) -> Option<ServiceView>;

    /// Every route, in the order of the manifest.
    fn routes(&self) -> Vec<RouteView>;

    /// How every service fares, by name: its traffic of the last minute, and its use beside its limits.
    fn overview(&self) -> Vec<OverviewView>;

    /// Looks up the lines of source of the trap reports that have none yet, where components have debug information.
    fn locate_traps(&self) -> impl Future<Output = ()> + Send;

    /// Why the service `name` does not fare well; `None` if there is no such service.
    fn why(&self, name: &str) -> Option<WhyView>;

    /// Which services do not fare well and why, and what else is wrong in the host.
    fn why_all(&self) -> HostWhyView;

    /// Replaces the component of `name`, and returns when the new one serves. After an error nothing has changed.
    fn swap(&self, name: &str, component: Bytes) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Tries a component as that of `name`, as a swap does before it changes anything. Nothing changes.
    ///
    /// # Errors
    /// [`OperationErrorKind::Refused`] for bytes that are no component, [`OperationErrorKind::Conflict`] for a service
    /// without one.
    fn trial(&self, name: &str, component: Bytes) -> impl Future<Output = Result<TrialView, OperationError>> + Send;

    /// Returns `name` to the revision before, and returns when that one serves. After an error nothing has changed.
    fn rollback(&self, name: &str) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Deploys a component as `wish` says, and returns when it has all calls, or its first ones as a canary. After an
    /// error nothing has changed.
    fn begin_rollout(
        &self,
        name: &str,
        component: Bytes,
        wish: RolloutWish,
    ) -> impl Future<Output = Result<BegunView, OperationError>> + Send;

    /// The rollouts of a service, the last one first.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service.
    fn history(&self, name: &str) -> Result<HistoryView, OperationError>;

    /// Ends the canary `id`; `None`: whichever is under way.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoRollout`] if there is none, and the reasons of a swap for a promotion.
    fn end_rollout(
        &self,
        name: &str,
        id: Option<u64>,
        end: RolloutEnd,
    ) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Returns `name` to a revision of its history: the first digits of its digest, at least 6.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoRollout`] if the history has no such revision, or several; and the reasons of a swap.
    fn rollback_to(&self, name: &str, revision: &str) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Writes the component that serves over the manifest's file.
    ///
    /// # Errors
    /// [`OperationErrorKind::Conflict`] for a service without a component, or a file that cannot be written.
    fn adopt(&self, name: &str) -> impl Future<Output = Result<AdoptedView, OperationError>> + Send;

    /// Applies `action` to the circuit of one endpoint, or to all circuits of the service. Returns the service as it is
    /// then.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service, [`OperationErrorKind::NoEndpoint`] for an unknown
    /// endpoint.
    fn breakers(
        &self,
        service: &str,
        endpoint: Option<&str>,
        action: BreakerAction,
    ) -> Result<ServiceView, OperationError>;

    /// Serves another manifest: all of it or nothing. Without a change, and in a dry run, nothing happens.
    ///
    /// # Errors
    /// [`OperationErrorKind::Refused`] for a manifest that cannot be served, with all that is wrong with it;
    /// [`OperationErrorKind::Conflict`] if it needs a restart, if what is served is not the order's `base` any more, or
    /// if something else that it would change is being changed.
    fn apply(&self, order: ApplyOrder) -> impl Future<Output = Result<ApplyView, OperationError>> + Send;

    /// Every active fault on purpose, of every service.
    fn faults(&self) -> Vec<FaultView>;

    /// Adds a fault on purpose, under an id that no other fault of the host has or had.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service, [`OperationErrorKind::Conflict`] if too many faults are
    /// active.
    fn add_fault(&self, service: &str, order: FaultOrder) -> Result<FaultView, OperationError>;

    /// Clears the active faults: all of them, or only those of `service`, or only the fault `id`; those of the manifest
    /// too. Returns how many there were; none is not an error.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service.
    fn clear_faults(&self, service: Option<&str>, id: Option<u64>) -> Result<usize, OperationError>;

    /// Every outside host that services called, by service and host.
    fn outside(&self) -> Vec<OutsideView>;

    /// The kept traces that fit the query, the newest first; `None` if requests are not traced.
    fn traces(&self, query: &TraceQuery) -> Option<Vec<TraceSummaryView>>;

    /// The kept trace with this id, or that of the request with this id: `Some(None)` if there is none, `None` if
    /// requests are not traced.
    fn trace(&self, id: &str) -> Option<Option<TraceView>>;

    /// The recorded calls, the last one first.
    fn recordings(&self) -> Vec<RecordingView>;

    /// The file of a recording, masked by rule: that of this number, or of the request with this id; with `service`
    /// only one of that service; with `random` it has the random bytes that the guest got. `None`: there is none.
    fn recording(&self, id: &str, service: Option<&str>, random: bool) -> Option<Vec<u8>>;

    /// Every API key, in the order in which they were created. Never the key itself.
    fn keys(&self) -> Vec<KeyView>;

    /// Creates an API key, which is shown this once. It counts from the next request on.
    ///
    /// # Errors
    /// [`OperationErrorKind::Conflict`] if no policy has keys, or if several have and the order names none.
    fn create_key(&self, order: KeyOrder) -> impl Future<Output = Result<NewKeyView, OperationError>> + Send;

    /// Revokes the API key `id`. It is refused from the next request on.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoKey`] if there is none.
    fn revoke_key(&self, id: &str) -> impl Future<Output = Result<KeyView, OperationError>> + Send;

    /// How full the gateway's cache is.
    ///
    /// # Errors
    /// [`OperationErrorKind::Conflict`] if no route has a cache.
    fn cache(&self) -> Result<CacheView, OperationError>;

    /// Takes answers out of the cache; none is not an error. What is fetched at that moment is not kept.
    ///
    /// # Errors
    /// As [`Operations::cache`].
    fn purge(&self, purge: &Purge) -> Result<PurgedView, OperationError>;

    /// Lines of the audit file, the newest first; `None` if the host keeps none, as here.
    ///
    /// # Errors
    /// [`OperationErrorKind::Internal`] if the file cannot be read.
    fn audit(&self, _query: AuditQuery) -> impl Future<Output = Result<Option<Vec<AuditLine>>, OperationError>> + Send {
        async { Ok(None) }
    }

    /// Every schedule, in the order of the manifest.
    fn schedules(&self) -> Vec<ScheduleView>;

    /// Carries out an order about topics. An answer to [`TopicOrder::Publish`] means that the event is on disk.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoTopic`] if the manifest has no such topic or subscription,
    /// [`OperationErrorKind::BadEvent`] for an event that does not fit.
    fn topics(&self, order: TopicOrder) -> impl Future<Output = Result<TopicAnswer, OperationError>> + Send;

    /// Carries out what an operator wants with sagas. What it changes is on disk when this returns.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoSaga`] if there is no such saga, [`OperationErrorKind::BadInput`] for an input that does
    /// not fit, [`OperationErrorKind::Conflict`] for what cannot be done with the saga now.
    fn sagas(&self, command: SagaCommand) -> impl Future<Output = Result<SagaAnswer, OperationError>> + Send;
}

/// A manifest that an operator wants to be served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplyOrder {
    /// Its text. Relative paths begin at the folder of the host's own manifest.
    pub text: String,
    /// Only tell what would change.
    pub dry_run: bool,
    /// What is served as the operator knows it: `base` of a dry run. `None`: whatever it is.
    pub base: Option<String>,
    /// How messages name it, as the operator knows it: the path of its file there. `None`: as the host's own manifest.
    pub name: Option<String>,
}

/// How an operator wants a component to be deployed. What is left out is as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RolloutWish {
    /// All calls at once, whatever the manifest says.
    pub now: bool,
    /// It stays at its first step until an operator ends it.
    pub hold: bool,
    /// The shares of its steps, in percent: 1 to 99, growing.
    pub canary: Option<Vec<u8>>,
    /// How long a step lasts at least.
    pub step: Option<Duration>,
    /// How many calls a step has at least.
    pub calls: Option<u64>,
    /// How long calls are compared in the shadow first.
    pub shadow: Option<Duration>,
    /// Whether a difference in the shadow takes it back.
    pub fail_on_diff: bool,
    /// Whether it may be promoted though the revision before cannot read what it has written.
    pub no_way_back: bool,
    /// Why.
    pub why: Option<String>,
}

/// How an operator ends a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutEnd {
    /// It gets all calls.
    Promote {
        /// Also if the revision before cannot read what it has written.
        no_way_back: bool,
    },
    /// It goes.
    RollBack,
    /// It goes, and nobody says that it is bad.
    Abort,
}

/// A new API key that an operator orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOrder {
    /// Whose key it is: 1 to 128 characters.
    pub name: String,
    /// The policy; `None`: the only one that has keys.
    pub policy: Option<String>,
    /// What it may do: at most 64 scopes.
    pub scopes: BTreeSet<String>,
    /// How long it is valid, at most 10 years; `None`: until it is revoked.
    pub lasts: Option<Duration>,
}

/// A fault on purpose that an operator adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultOrder {
    /// What it does; it does something.
    pub fault: Fault,
    /// How long it is active, at most 30 days; `None`: until it is cleared.
    pub lasts: Option<Duration>,
}

/// Whether the host takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostReadiness {
    /// It does.
    Ready,
    /// It does, but the store takes no writes.
    ReadOnly,
    /// It does, but the database server with the state is away.
    StoreAway,
    /// It does, but data on the database server with the state are damaged.
    StoreDamaged,
    /// It does, but some services do not serve yet.
    Starting,
    /// It does, but services are left out, and nobody has asked for that.
    Incomplete,
    /// It was told to stop, and takes no more.
    Draining,
    /// It does, but an operator has drained it as a node of its cluster.
    Drained,
}
