//! What serves now. It is replaced as a whole, and never changes in place.

use super::host_parts::ServingHost;
use super::operations::HostOperations;
use crate::admin::Admin;
use crate::gateway::Gateway;
use crate::mesh::Mesh;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The edges that take requests now.
pub(super) struct RunningHost {
    gateway: ArcSwap<GatewayInUse>,
    admin: ArcSwap<Admin>,
    host: ArcSwap<HostOperations>,
}

/// A gateway with the requests that have begun with it: each holds it until the head of its answer is there.
pub(super) struct GatewayInUse(pub(super) Arc<Gateway<Mesh>>);

/// How often one looks whether requests still use a gateway that was replaced.
const LOOK: Duration = Duration::from_millis(5);

impl RunningHost {
    pub(super) fn new(serving: &ServingHost) -> Self {
        let gateway = GatewayInUse(Arc::clone(&serving.gateway));
        Self {
            gateway: ArcSwap::from_pointee(gateway),
            admin: ArcSwap::new(Arc::clone(&serving.admin)),
            host: ArcSwap::new(Arc::clone(&serving.host)),
        }
    }

    /// The gateway for one request.
    pub(super) fn gateway(&self) -> Arc<GatewayInUse> {
        self.gateway.load_full()
    }

    /// The admin for one request.
    pub(super) fn admin(&self) -> Arc<Admin> {
        self.admin.load_full()
    }

    /// What answers the admin.
    pub(super) fn host(&self) -> Arc<HostOperations> {
        self.host.load_full()
    }

    /// Lets `serving` take all requests that come later. Returns the gateway that took those before.
    pub(super) fn replace(&self, serving: &ServingHost) -> Arc<GatewayInUse> {
        let before = self.gateway.swap(Arc::new(GatewayInUse(Arc::clone(&serving.gateway))));
        self.admin.store(Arc::clone(&serving.admin));
        self.host.store(Arc::clone(&serving.host));
        before
    }
}

impl GatewayInUse {
    /// Waits until no request uses the gateway, at most `within`. It was replaced, so none comes.
    pub(super) async fn drained(self: Arc<Self>, within: Duration) {
        let deadline = Instant::now() + within;
        while Arc::strong_count(&self) > 1 && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }
}
