//! What the admin asks of the host. `app` implements it with the rooms that the admin must not know.

use super::topic_view::{TopicAnswer, TopicOrder};
use super::view::{
    BreakerAction, FaultView, KeyView, NewKeyView, OutsideView, RouteView, ServiceView, SwapView, TrialView,
};
use crate::fault::Fault;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

/// What an operator can see and change.
///
/// Swap and rollback are called in a task of their own, which is never dropped half way. The implementation makes sure
/// that changes of one service happen one after the other. The other changes do not wait for anything.
pub trait Operations: Send + Sync + 'static {
    /// Whether the host takes requests.
    fn ready(&self) -> HostReadiness;

    /// What the host serves without: services that could not be compiled; and, if it was started with `--partial`, what
    /// cannot be served. The names of services, and of routes whose service is served.
    fn left_out(&self) -> Vec<String>;

    /// The edges whose certificates' files have changed and cannot be used, so that the ones before serve on:
    /// `gateway`, `admin`.
    fn stale_certificates(&self) -> Vec<&'static str>;

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

/// Why a change failed. The message says what happened and what to do. It is for the operator, and holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OperationError {
    /// What kind of failure it is.
    pub kind: OperationErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OperationError {
    /// A failure of `kind`, which the operator reads as `message`.
    pub fn new(kind: OperationErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A failure of `kind` with the message of `source`.
    pub fn caused_by(kind: OperationErrorKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self { kind, message: source.to_string(), source: Some(Box::new(source)) }
    }
}

/// The kinds of failed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationErrorKind {
    /// There is no such service.
    NotFound,
    /// The service has no such endpoint.
    NoEndpoint,
    /// There is no such API key.
    NoKey,
    /// There is no such topic, or no such subscription to it.
    NoTopic,
    /// The event does not fit its topic. Nothing was published.
    BadEvent,
    /// The component is broken, or it cannot serve. Nothing has changed.
    Refused,
    /// The change is not possible now: another change is in progress, there is no revision to return to, the service
    /// has no component, or too many faults are active.
    Conflict,
    /// The host failed.
    Internal,
}
