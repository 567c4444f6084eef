//! One entry of the discovery table.

use super::canary_watch::CanaryWatch;
use super::endpoint::Endpoint;
use super::endpoint_group::EndpointGroup;
use super::outside::OutsideHosts;
use super::target::EndpointTarget;
use crate::base::{Digest, Identity};
use crate::contract::{BoundFunction, FunctionName};
use crate::runtime::InstancePool;
use std::sync::Arc;
use std::time::SystemTime;

/// The revision that a service's instances run.
#[derive(Debug, Clone)]
pub struct RevisionInfo {
    /// The digest of its component.
    pub digest: Digest,
    /// When it began to serve.
    pub since: SystemTime,
    /// Whether it is another component than the manifest's.
    pub differs_from_manifest: bool,
    /// The revision before it, to which a rollback returns.
    pub previous: Option<Digest>,
}

/// What the discovery table holds for one name. A change replaces the service; it never changes in place.
pub struct Service<P = EndpointTarget> {
    /// Its endpoints, and the policy of its calls.
    pub group: Arc<EndpointGroup<P>>,
    /// The outside hosts that it calls; they live through swaps.
    pub outside: Arc<OutsideHosts>,
    /// The revision that its instances run; `None` for a service of plain HTTP addresses alone.
    pub revision: Option<RevisionInfo>,
    /// The functions that may be called twice, since a second call does no more than the first.
    pub idempotent: Vec<FunctionName>,
    /// The functions that its typed routes call, in the order of the routes. Revisions that have the same functions
    /// share this list.
    pub routed: Arc<[BoundFunction]>,
    /// The scopes that each of its callers must have.
    pub requires: Arc<[Arc<str>]>,
    /// The revision that gets a share of the calls while a rollout judges it; `None`: there is none.
    pub canary: Option<Canary<P>>,
    /// The service as the manifest before had it, while requests that began under that manifest may still call it in a
    /// way that only this one knows: by HTTP a service that has only functions now, or a function that is gone.
    pub before: Option<Arc<Service<P>>>,
}

/// A revision beside the stable one. It is a whole service, with endpoints and functions of its own; bulkhead, retries
/// and limits are those of the stable one.
pub struct Canary<P = EndpointTarget> {
    /// The service as calls that go to the canary see it.
    pub service: Arc<Service<P>>,
    /// Which calls these are, and how they end.
    pub watch: Arc<CanaryWatch>,
}

impl Service {
    /// The instances of one of its replicas; `None` for a service of plain HTTP addresses alone. All of its replicas
    /// share one account of the engine's pool.
    pub fn pool(&self) -> Option<&InstancePool> {
        self.group.endpoints.iter().find_map(|endpoint| match &endpoint.target {
            EndpointTarget::Instances(pool) => Some(pool),
            EndpointTarget::Url { .. } | EndpointTarget::Peer(_) => None,
        })
    }
}

impl<P> Service<P> {
    /// Its endpoints, and after them those of its canary.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint<P>>> {
        let of_canary = self.canary.iter().flat_map(|canary| &canary.service.group.endpoints);
        self.group.endpoints.iter().chain(of_canary)
    }

    /// The first of the required scopes that a caller with this identity lacks.
    pub(crate) fn lacking(&self, identity: Option<&Identity>) -> Option<&Arc<str>> {
        let has = |scope: &str| identity.is_some_and(|identity| identity.scopes.contains(scope));
        self.requires.iter().find(|scope| !has(scope))
    }

    /// Whether a call of `function` may be made twice.
    pub(crate) fn is_idempotent(&self, function: &FunctionName) -> bool {
        let same =
            |own: &FunctionName| own.function == function.function && function.interface.compatible(&own.interface);
        self.idempotent.iter().any(same)
    }
}
