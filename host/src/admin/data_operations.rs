//! What the admin asks of the host about the data of services.

use super::data_view::{ImportedView, SnapshotView};
use super::operation_error::OperationError;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;

/// Data piece by piece. After an error nothing follows.
pub type DataPieces = Pin<Box<dyn Stream<Item = Result<Bytes, OperationError>> + Send>>;

/// Where imported data come from.
pub enum DataSource {
    /// The operator sends them.
    Upload(DataPieces),
    /// A snapshot on the host, by its name.
    Snapshot(String),
}

/// The part of [`Operations`](super::Operations) that takes data out and in while services run. Each of them is of one
/// service, also of one that the manifest does not have any more, as long as it has data.
///
/// # Errors
/// [`OperationErrorKind::NotFound`](super::OperationErrorKind::NotFound) for a service that is neither in the manifest
/// nor has data, [`OperationErrorKind::NoSnapshot`](super::OperationErrorKind::NoSnapshot) if it has no such snapshot,
/// [`OperationErrorKind::Conflict`](super::OperationErrorKind::Conflict) if the host has no database, and
/// [`OperationErrorKind::Overloaded`](super::OperationErrorKind::Overloaded) if too much waits for the disk.
pub trait DataOperations: Send + Sync + 'static {
    /// All data of a service, as of one moment, as they are and not encrypted.
    fn export(&self, service: &str) -> impl Future<Output = Result<DataPieces, OperationError>> + Send;

    /// Puts data in. First all of them are looked at; nothing changes if they are wrong, or if a key is there with
    /// another value and `replaces` is not set.
    fn import(
        &self,
        service: &str,
        source: DataSource,
        replaces: bool,
    ) -> impl Future<Output = Result<ImportedView, OperationError>> + Send;

    /// Writes all data of a service, as of one moment, into a file of the host: encrypted as they are in the database.
    fn snapshot(&self, service: &str) -> impl Future<Output = Result<SnapshotView, OperationError>> + Send;

    /// The snapshots of a service, the oldest first.
    fn snapshots(&self, service: &str) -> impl Future<Output = Result<Vec<SnapshotView>, OperationError>> + Send;
}
