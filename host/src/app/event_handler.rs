//! Who handles the events of a subscription: a function of a service, or the start of a saga.

use crate::app::operations::saga_operations::HostSagas;
use crate::base::HandledEvent;
use crate::contract::Names;
use crate::coordinator::SagaError;
use crate::delivery::{Handle, MeshHandler, Subscription, TryEnd};
use crate::events::EventRecord;
use std::sync::{Arc, OnceLock};

/// Hands events to services, and starts sagas by them.
pub(in crate::app) struct EventHandler {
    pub(in crate::app) mesh: MeshHandler,
    /// They begin after the deliveries.
    pub(in crate::app) sagas: Arc<OnceLock<HostSagas>>,
    pub(in crate::app) names: Names,
}

impl Handle for EventHandler {
    async fn handle(&self, subscription: &Subscription, event: Arc<HandledEvent>, record: &EventRecord) -> TryEnd {
        let Some(saga) = subscription.saga() else { return self.mesh.handle(subscription, event, record).await };
        let Some(sagas) = self.sagas.get() else { return TryEnd::NotNow("sagas have not begun yet".to_owned()) };
        match sagas.begin_by_event(saga, &event, record, self.names).await {
            Ok(_) => TryEnd::Handled,
            // It will not fit later either.
            Err(error @ (SagaError::Input(_) | SagaError::OtherInput | SagaError::Unknown(_))) => {
                TryEnd::Failed(error.to_string())
            }
            Err(error) => TryEnd::NotNow(error.to_string()),
        }
    }
}
