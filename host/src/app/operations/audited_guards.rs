//! The operations on limits, maintenance and data, with a line in the audit file for each change.

use super::audited_operations::{AuditedOperations, who};
use crate::admin::{
    DataOperations, DataPieces, DataSource, GuardOperations, ImportedView, LimitView, MaintenanceOrder,
    MaintenanceView, OperationError, Operations, SnapshotView,
};
use crate::audit::AuditRecord;
use crate::base::counted;

impl<O: Operations> GuardOperations for AuditedOperations<O> {
    fn limits(&self) -> Vec<LimitView> {
        self.inner.limits()
    }

    fn maintenance(&self) -> MaintenanceView {
        self.inner.maintenance()
    }

    fn switch_maintenance(&self, order: MaintenanceOrder) -> MaintenanceView {
        let view = self.inner.switch_maintenance(order);
        let what = if order.on { "maintenance-on" } else { "maintenance-off" };
        let _ = self.record(AuditRecord::new(&who(), what), None, Ok(()));
        view
    }

    async fn erase(&self, service: &str) -> Result<bool, OperationError> {
        let outcome = self.inner.erase(service).await;
        let order = matches!(outcome, Ok(false)).then(|| "there was nothing".to_owned());
        self.record(AuditRecord::new(&who(), "data-erased").on(service), order, outcome)
    }

    async fn replace_state_key(&self) -> Result<bool, OperationError> {
        let outcome = self.inner.replace_state_key().await;
        let order = matches!(outcome, Ok(false)).then(|| "it is the key in use".to_owned());
        self.record(AuditRecord::new(&who(), "state-key-replaced"), order, outcome)
    }
}

impl<O: Operations> DataOperations for AuditedOperations<O> {
    async fn export(&self, service: &str) -> Result<DataPieces, OperationError> {
        let outcome = self.inner.export(service).await;
        self.record(AuditRecord::new(&who(), "data-exported").on(service), None, outcome)
    }

    async fn import(&self, service: &str, source: DataSource, replaces: bool) -> Result<ImportedView, OperationError> {
        let from = match &source {
            DataSource::Upload(_) => "an upload".to_owned(),
            DataSource::Snapshot(name) => format!("snapshot {name}"),
        };
        let outcome = self.inner.import(service, source, replaces).await;
        let how = if replaces { ", replacing" } else { "" };
        let counts =
            outcome.as_ref().map(|ImportedView { written, .. }| format!(": {}", counted(*written, "entry", "entries")));
        let words = format!("{from}{how}{}", counts.unwrap_or_default());
        self.record(AuditRecord::new(&who(), "data-imported").on(service), Some(words), outcome)
    }

    async fn snapshot(&self, service: &str) -> Result<SnapshotView, OperationError> {
        let outcome = self.inner.snapshot(service).await;
        let path = outcome.as_ref().ok().map(|snapshot| snapshot.path.clone());
        self.record(AuditRecord::new(&who(), "data-snapshot").on(service), path, outcome)
    }

    async fn snapshots(&self, service: &str) -> Result<Vec<SnapshotView>, OperationError> {
        self.inner.snapshots(service).await
    }
}
