//! What the admin asks of the host about limits, maintenance and the data of services.

use super::limit_view::{LimitView, MaintenanceView};
use super::operation_error::OperationError;
use std::time::Duration;

/// The part of [`Operations`](super::Operations) that keeps clients within bounds, and data from eyes.
pub trait GuardOperations: Send + Sync + 'static {
    /// Every limit, by name.
    fn limits(&self) -> Vec<LimitView>;

    /// Whether there is maintenance.
    fn maintenance(&self) -> MaintenanceView;

    /// Begins or ends maintenance. It lasts until the other order, or until the host restarts.
    fn switch_maintenance(&self, order: MaintenanceOrder) -> MaintenanceView;

    /// Deletes all data of a service, also of one that the manifest does not have any more, and the key that they are
    /// encrypted with. Returns whether there was anything.
    ///
    /// # Errors
    /// [`OperationErrorKind::NotFound`](super::OperationErrorKind::NotFound) for what is no name of a service,
    /// [`OperationErrorKind::Conflict`](super::OperationErrorKind::Conflict) if the host has no database.
    fn erase(&self, service: &str) -> impl Future<Output = Result<bool, OperationError>> + Send;

    /// Reads the manifest's key of the database again, and encrypts the services' keys with it. Returns false if it is
    /// the key in use.
    ///
    /// # Errors
    /// [`OperationErrorKind::Conflict`](super::OperationErrorKind::Conflict) if the host has no database with a key, or
    /// if the manifest has errors.
    fn replace_state_key(&self) -> impl Future<Output = Result<bool, OperationError>> + Send;
}

/// An order about maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceOrder {
    /// Whether there shall be maintenance.
    pub on: bool,
    /// After how long clients are told to come back: 1 s to 7 days; `None`: as the manifest says.
    pub retry_after: Option<Duration>,
}
