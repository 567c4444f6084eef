//! What the admin asks of the host: the joint to the rooms that it must not know.

use super::order::{BreakerAction, FaultOrder};
use super::view::{FaultView, OutsideView, RouteView, ServiceView, SwapView};
use bytes::Bytes;

/// What an operator can see and do.
///
/// Swap and rollback are called in a task of their own, which is never dropped half way. One change at a time for a service is the
/// implementation's matter. The other changes do not wait for anything.
pub trait Operations: Send + Sync + 'static {
    /// Whether the host takes requests.
    fn ready(&self) -> HostReadiness;

    /// All metrics, as OpenMetrics text.
    fn metrics(&self) -> String;

    /// Every service, by name.
    fn services(&self) -> Vec<ServiceView>;

    /// One service.
    fn service(&self, name: &str) -> Option<ServiceView>;

    /// Every route, in the order of the manifest.
    fn routes(&self) -> Vec<RouteView>;

    /// Lets `component` serve `name`; returns when it does. On an error nothing has changed.
    fn swap(&self, name: &str, component: Bytes) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Lets the revision before serve again; returns when it does. On an error nothing has changed.
    fn rollback(&self, name: &str) -> impl Future<Output = Result<SwapView, OperationError>> + Send;

    /// Does `order` with the circuit of one endpoint, or with all circuits of the service. Answers the service as it is then.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service, [`OperationErrorKind::NoEndpoint`] for an unknown endpoint.
    fn breakers(
        &self,
        service: &str,
        endpoint: Option<&str>,
        order: BreakerAction,
    ) -> Result<ServiceView, OperationError>;

    /// Every fault that stands, of every service.
    fn faults(&self) -> Vec<FaultView>;

    /// Lets a fault stand, under an id that no other fault of the host has or had.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service, [`OperationErrorKind::Conflict`] when too many stand.
    fn add_fault(&self, service: &str, order: FaultOrder) -> Result<FaultView, OperationError>;

    /// Removes the faults that stand: all, or only those of `service`, or only the one with this `id`; the manifest's too. Answers how
    /// many there were; none is no error.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`] for an unknown service.
    fn clear_faults(&self, service: Option<&str>, id: Option<u64>) -> Result<usize, OperationError>;

    /// Every outside host that services called, by service and host.
    fn outside(&self) -> Vec<OutsideView>;
}

/// Whether the host takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostReadiness {
    /// It does.
    Ready,
    /// No more: it was told to stop.
    Draining,
}

/// Why a change did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperationError {
    /// What kind of failure it is.
    pub kind: OperationErrorKind,
    /// What happened and what to do, for the operator: no secret.
    pub message: String,
}

impl OperationError {
    /// A failure of `kind`, told to the operator as `message`.
    pub fn new(kind: OperationErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The kinds of failed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationErrorKind {
    /// No such service.
    NotFound,
    /// The service is there, but has no such endpoint.
    NoEndpoint,
    /// The component is broken, or not one that can serve: nothing has changed.
    Refused,
    /// It cannot be done now: another change is under way, there is nothing to return to, the service has no component, or as
    /// many stand as may.
    Conflict,
    /// A fault of the host.
    Internal,
}
