//! Limits, maintenance and the data of services, for the admin.

use super::HostOperations;
use super::guards::Guards;
use super::topic_operations;
use crate::admin::{GuardOperations, LimitView, MaintenanceOrder, MaintenanceView, OperationError, OperationErrorKind};
use crate::app::assembly::load;
use crate::base::ServiceName;
use crate::gateway::{LimitMeasures, RateLimit};
use crate::limit::WorkBudget;
use crate::state::{Encryption, StateError, Store};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

impl GuardOperations for HostOperations {
    fn limits(&self) -> Vec<LimitView> {
        self.guards.iter().flat_map(|guards| &guards.limits).map(|limit| view(limit)).collect()
    }

    fn maintenance(&self) -> MaintenanceView {
        let wait = self.guards.as_ref().and_then(|guards| guards.gateway.maintenance());
        MaintenanceView { on: wait.is_some(), retry_after_seconds: wait.map(|wait| wait.as_secs()) }
    }

    fn switch_maintenance(&self, MaintenanceOrder { on, retry_after }: MaintenanceOrder) -> MaintenanceView {
        if let Some(Guards { gateway, .. }) = &self.guards {
            if on {
                gateway.begin_maintenance(retry_after);
            } else {
                gateway.end_maintenance();
            }
            tracing::warn!(on, "an operator has switched maintenance");
        }
        self.maintenance()
    }

    async fn erase(&self, service: &str) -> Result<bool, OperationError> {
        let name = ServiceName::new(service)
            .map_err(|error| OperationError::caused_by(OperationErrorKind::NotFound, error))?;
        // Whoever erases for a person must not be told that there was nothing.
        self.must_have_data(service).await?;
        let erased = match self.deliveries.get() {
            // Its subscriptions keep copies of events.
            Some(deliveries) => deliveries.erase(&name).await.map_err(topic_operations::refusal)?,
            None => self.store()?.erase(&name).await.map_err(refusal)?,
        };
        tracing::warn!(service, erased, "an operator has erased the data of a service");
        Ok(erased)
    }

    async fn replace_state_key(&self) -> Result<bool, OperationError> {
        let store = self.store()?;
        let manifest = self.guards.as_ref().map(|guards| guards.manifest.clone()).unwrap_or_default();
        let read = spawn_blocking(move || state_encryption(manifest)).await;
        let next = read.map_err(|error| OperationError::caused_by(OperationErrorKind::Internal, error))??;
        let replaced = store.replace_key(next).await.map_err(refusal)?;
        if replaced {
            tracing::warn!("an operator has replaced the key of the database");
        }
        Ok(replaced)
    }
}

impl HostOperations {
    pub(super) fn store(&self) -> Result<&Store, OperationError> {
        let none = || OperationError::new(OperationErrorKind::Conflict, "this host has no database");
        self.store.as_ref().ok_or_else(none)
    }
}

/// The keys that the manifest names now.
fn state_encryption(manifest: PathBuf) -> Result<Encryption, OperationError> {
    let conflict = |message: String| OperationError::new(OperationErrorKind::Conflict, message);
    let draft = load::manifest(&manifest).map_err(|error| conflict(format!("the manifest cannot be read: {error}")))?;
    if let Some(finding) = draft.findings().first() {
        return Err(conflict(format!("the manifest is wrong, so its key is not taken: {finding}")));
    }
    let none = || conflict("the manifest names no key in `encryption` of [state]".into());
    draft.manifest.state.encryption.ok_or_else(none)
}

fn refusal(error: StateError) -> OperationError {
    let kind = match &error {
        StateError::NotEncrypted { .. } | StateError::NotPrevious { .. } | StateError::Closed => {
            OperationErrorKind::Conflict
        }
        _ => OperationErrorKind::Internal,
    };
    OperationError::caused_by(kind, error)
}

fn view(limit: &RateLimit) -> LimitView {
    let LimitMeasures { rate, cpu, memory, quota } = limit.measures();
    let counts = limit.counts(Instant::now());
    let per = |amount: String, period: Duration| format!("{amount}/{period:?}");
    let cpu = cpu.as_ref().map(|cpu| cpu.budget());
    let memory = memory.as_ref().map(|memory| memory.budget());
    // What may be held all the time, in KiB.
    let held = |budget: &WorkBudget| u128::from(budget.amount()) / budget.period().as_micros().max(1);
    LimitView {
        name: limit.name().to_owned(),
        by: limit.by().to_string(),
        rate: rate.as_ref().map(|limiter| per(limiter.rate().count().to_string(), limiter.rate().period())),
        burst: rate.as_ref().map(|limiter| limiter.rate().burst()),
        cpu: cpu.map(|budget| per(format!("{:?}", Duration::from_nanos(budget.amount())), budget.period())),
        memory: memory.map(|budget| per(format!("{}KiB", held(budget)), budget.period())),
        quota: quota.as_ref().map(|table| per(table.quota().most().to_string(), table.quota().window())),
        admitted: counts.admitted,
        refused: counts.refused,
        keys: counts.keys as u64,
        shared: counts.shared,
    }
}
