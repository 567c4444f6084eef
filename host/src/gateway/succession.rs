//! A gateway that takes the place of another one, since another manifest was applied.
//!
//! A gateway never changes. A request is answered by the one that began with it, to its end; the next one takes the
//! requests that come later. What both have is shared: counters, kept answers, buckets, permits.

use super::caching::SharedCache;
use super::call::Call;
use super::count_scopes;
use super::pipeline::Gateway;
use super::settings::{Settings, Target};
use crate::route::RoutingTable;
use crate::telemetry::CacheMetrics;
use std::sync::Arc;

impl<C: Call> Gateway<C> {
    /// The gateway with these settings and routes in place of this one. `kept` has for each route the position that it
    /// has here, if both manifests say the same of it and of all that it depends on: its cache goes on.
    #[must_use]
    pub fn succeeded(&self, settings: Settings, routes: Arc<RoutingTable<Target>>, kept: &[Option<usize>]) -> Self {
        let (bounds, disk, body_memory) = (settings.cache, settings.cache_disk.clone(), settings.body_memory);
        let mut next = Self::new(settings, routes, Arc::clone(&self.mesh));
        next.hasher = self.hasher.clone();
        next.numbers = self.numbers.succeeded(kept);
        next.metrics = Arc::new(self.metrics.succeeded(count_scopes::scopes(&next.routes)));
        let cached = count_scopes::cached(&next.routes, &next.numbers, &next.metrics);
        next.cache = match &self.cache {
            _ if cached.is_empty() => None,
            Some(cache) if cache.bounds() == bounds => {
                cache.metrics().serve(cached);
                Some(Arc::clone(cache))
            }
            _ => {
                let mesh = Arc::clone(&self.mesh);
                let metrics = Arc::new(CacheMetrics::new(cached));
                Some(Arc::new(SharedCache::new(bounds, disk, metrics, move || mesh.table_number())))
            }
        };
        if body_memory == self.settings.body_memory {
            for (service, budget) in &mut next.body_budgets {
                if let Some(before) = self.body_budgets.get(service).and_then(|before| before.shared_with(budget)) {
                    *budget = before;
                }
            }
        }
        // Nobody else has the new one yet.
        if let (Some(own), Some(before)) = (next.traces.as_mut().and_then(Arc::get_mut), &self.traces) {
            own.go_on(before, kept);
        }
        next.socket_permits.keep(&self.socket_permits, kept);
        next.entry.go_on(&self.entry);
        next
    }

    /// The routes.
    pub fn routes(&self) -> &Arc<RoutingTable<Target>> {
        &self.routes
    }
}
