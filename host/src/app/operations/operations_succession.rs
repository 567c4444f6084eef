//! How the operations follow what serves: after a swap, and where another manifest takes the place of one.

use super::HostOperations;
use super::rollout_views::swap_view;
use super::saga_operations::SagaSamples;
use super::schedule_operations::ScheduleSamples;
use super::swap_refusal::refusal;
use super::topic_operations::DeliverySamples;
use crate::admin::{OperationError, SwapView};
use crate::rollout::{SwapError, Swapped};
use crate::telemetry::guest_metrics;
use std::sync::Arc;

impl HostOperations {
    /// Takes the place of `before`, which served another manifest: what was counted and ordered goes on.
    pub(in crate::app) fn go_on(&mut self, before: &Self) {
        let table = self.registry.snapshot();
        guest_metrics().keep(|service| table.get(service).is_some());
        self.recent = Arc::clone(&before.recent);
        self.next_fault = Arc::clone(&before.next_fault);
        self.fault_added = Arc::clone(&before.fault_added);
        if let Some(deliveries) = before.deliveries.get() {
            self.metrics.add_deliveries(Arc::new(DeliverySamples(Arc::clone(deliveries))));
            // It is empty.
            let _ = self.deliveries.set(Arc::clone(deliveries));
        }
        if let Some(schedules) = before.schedules.get() {
            self.metrics.add_schedules(Arc::new(ScheduleSamples(Arc::clone(schedules))));
            let _ = self.schedules.set(Arc::clone(schedules));
        }
        if let Some(sagas) = self.sagas.get() {
            self.metrics.add_sagas(Arc::new(SagaSamples(Arc::clone(sagas))));
        }
    }

    /// The answer to a swap or a rollback. After a success the OpenAPI document is made anew, here and not later, so
    /// that whoever swapped finds it.
    pub(super) fn swapped(&self, name: &str, outcome: Result<Swapped, SwapError>) -> Result<SwapView, OperationError> {
        let swapped = outcome.map_err(refusal)?;
        self.left_out_services().retain(|service, _| service.as_str() != name);
        self.renew_description();
        Ok(swap_view(name, &swapped))
    }

    /// Makes the OpenAPI document anew.
    pub(in crate::app) fn renew_description(&self) {
        if let Some(description) = &self.description {
            tokio::task::block_in_place(|| description.renew(&self.rollout, &self.registry));
        }
    }
}
