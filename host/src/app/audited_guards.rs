//! The operations on limits, maintenance and data, with a line in the audit file for each change.

use super::audited_operations::AuditedOperations;
use crate::admin::{GuardOperations, LimitView, MaintenanceOrder, MaintenanceView, OperationError, Operations};
use crate::audit::AuditRecord;

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
        let _ = self.record(AuditRecord::new(self.who, what), None, Ok(()));
        view
    }

    async fn erase(&self, service: &str) -> Result<bool, OperationError> {
        let outcome = self.inner.erase(service).await;
        let order = matches!(outcome, Ok(false)).then(|| "there was nothing".to_owned());
        self.record(AuditRecord::new(self.who, "data-erased").on(service), order, outcome)
    }

    async fn replace_state_key(&self) -> Result<bool, OperationError> {
        let outcome = self.inner.replace_state_key().await;
        let order = matches!(outcome, Ok(false)).then(|| "it is the key in use".to_owned());
        self.record(AuditRecord::new(self.who, "state-key-replaced"), order, outcome)
    }
}
