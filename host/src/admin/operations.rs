//! What the admin asks of the host. `app` implements it with the rooms that the admin must not know.

use super::guard_operations::GuardOperations;
use super::operation_error::OperationError;
#[cfg(doc)]
use super::operation_error::OperationErrorKind;
use super::topic_view::{TopicAnswer, TopicOrder};
use super::trace_view::{TraceSummaryView, TraceView};
use super::view::{
    BreakerAction, FaultView, KeyView, NewKeyView, OutsideView, RouteView, ServiceView, SwapView, TrialView,
};
use crate::fault::Fault;
use crate::telemetry::TraceQuery;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// What an operator can see and change.
///
/// Swap and rollback are called in a task of their own, which is never dropped half way. The implementation makes sure
/// that changes of one service happen one after the other. The other changes do not wait for anything.
pub trait Operations: GuardOperations {
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

    /// Carries out an order about topics. An answer to [`TopicOrder::Publish`] means that the event is on disk.
    ///
    /// # Errors
    /// [`OperationErrorKind::NoTopic`] if the manifest has no such topic or subscription,
    /// [`OperationErrorKind::BadEvent`] for an event that does not fit.
    fn topics(&self, order: TopicOrder) -> impl Future<Output = Result<TopicAnswer, OperationError>> + Send;
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
    /// It does, but some services do not serve yet.
    Starting,
    /// It does, but services are left out, and nobody has asked for that.
    Incomplete,
    /// It was told to stop, and takes no more.
    Draining,
}
