//! What the host's operators and its metrics ask of the gateway, beside its requests.

use super::access_log::write_unparsed;
use super::caching::SharedCache;
use super::call::Call;
use super::count_scopes;
use super::openapi_document::OpenapiDocument;
use super::pipeline::Gateway;
use crate::listen::UnparsedRequest;
use crate::telemetry::GatewayMetrics;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

impl<C: Call> Gateway<C> {
    /// What the gateway counts: each request that has ended, once.
    pub fn metrics(&self) -> &Arc<GatewayMetrics> {
        &self.metrics
    }

    /// The kept answers, if a route has a cache.
    pub fn cache(&self) -> Option<&Arc<SharedCache>> {
        self.cache.as_ref()
    }

    /// The bytes of request bodies that are held now for a service with a route, and the most that may be.
    pub fn body_memory(&self, service: &str) -> Option<(usize, usize)> {
        let most = self.settings.body_memory;
        self.body_budgets.get(service).map(|budget| (most.saturating_sub(budget.free()), most))
    }

    /// When clients are told to come back, during maintenance; `None`: there is none.
    pub fn maintenance(&self) -> Option<Duration> {
        self.entry.maintenance()
    }

    /// Begins maintenance, in which clients are told to come back after so long, or after the time of the settings.
    pub fn begin_maintenance(&self, retry_after: Option<Duration>) {
        self.entry.begin_maintenance(retry_after);
    }

    /// Ends maintenance.
    pub fn end_maintenance(&self) {
        self.entry.end_maintenance();
    }

    /// Counts and logs what the listener refused since it could not be parsed as a request.
    pub fn unparsed(&self, request: &UnparsedRequest) {
        write_unparsed(&self.metrics, count_scopes::unparsed(&self.routes), request);
    }

    /// Replaces the text of the OpenAPI document, if there is one.
    pub fn describe(&self, text: Bytes) {
        if let Some(document) = &self.document {
            document.store(Arc::new(OpenapiDocument::new(text)));
        }
    }
}
