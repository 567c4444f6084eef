//! The tasks that check the health of services, one for each service with a health check.

use crate::base::ServiceName;
use crate::health;
use crate::mesh::Service;
use crate::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};

/// The checks of one manifest. When it is dropped, they end.
#[derive(Default)]
pub(super) struct HealthWatches {
    tasks: JoinSet<()>,
    watches: BTreeMap<ServiceName, AbortHandle>,
}

impl HealthWatches {
    /// Checks these services from now on, and no others. The check of a service goes on where it is `same`.
    pub(super) fn watch(
        &mut self,
        registry: &Arc<Registry<Service>>,
        wanted: Vec<(ServiceName, Option<health::Settings>)>,
        same: impl Fn(&ServiceName) -> bool,
    ) {
        let mut before = std::mem::take(&mut self.watches);
        for (name, settings) in wanted {
            let Some(settings) = settings else { continue };
            let watch = match before.remove(&name) {
                Some(watch) if same(&name) => watch,
                other => {
                    other.inspect(AbortHandle::abort);
                    self.tasks.spawn(health::watch(Arc::clone(registry), name.clone(), settings))
                }
            };
            self.watches.insert(name, watch);
        }
        before.into_values().for_each(|watch| watch.abort());
        // Those that have ended leave nothing behind.
        while self.tasks.try_join_next().is_some() {}
    }
}
