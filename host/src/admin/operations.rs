//! What the admin asks of the host: the joint to the rooms that it must not know.

use super::view::{RouteView, ServiceView, SwapView};
use bytes::Bytes;

/// What an operator can see and do.
///
/// The two changes are called in a task of their own, which is never dropped half way. One change at a time for a service is the
/// implementation's matter.
pub trait Operations: Send + Sync + 'static {
    /// Whether the host takes requests.
    fn ready(&self) -> Readiness;

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
}

/// Whether the host takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
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
    /// The component is broken, or not one that can serve: nothing has changed.
    Refused,
    /// It cannot be done now: another change is under way, there is nothing to return to, or the service has no component.
    Conflict,
    /// A fault of the host.
    Internal,
}
