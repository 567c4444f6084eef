//! Launching a service, replacing its revision, and returning to the revision before.

use super::deployment::{Deployment, RevisionHistory};
use super::error::SwapError;
use super::spec::ServiceSpec;
use super::wiring::{Need, Offers, ambiguous, breaks, needs_of, wire};
use crate::base::{Blame, CallContext, Digest, RequestId, ServiceName};
use crate::contract::Contract;
use crate::mesh::Service;
use crate::registry::Registry;
use crate::runtime::{Component, InvokeError, Link, LoadError, Revision, Runtime};
use crate::state::Store;
use bytes::Bytes;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The result of a swap or a rollback.
#[derive(Debug, Clone)]
pub struct Swapped {
    /// The revision that serves now.
    pub revision: Digest,
    /// The revision to which a rollback returns.
    pub previous: Option<Digest>,
}

/// The services of this host and their revisions.
pub struct Rollout {
    runtime: Arc<Runtime>,
    registry: Arc<Registry<Service>>,
    deployments: BTreeMap<ServiceName, Deployment>,
    /// What the routes need of the services.
    routes: Vec<Need>,
    /// The revisions that serve. A swap holds this lock from its last check against the other services to the
    /// publication. Otherwise two services that use each other could be swapped at the same time, each checked against
    /// the old revision of the other, and the new revisions would not fit together.
    serving: Mutex<BTreeMap<ServiceName, Arc<Revision>>>,
}

impl Rollout {
    /// A host without services, for [`Rollout::launch`]. `routes` is what the routes need of the services.
    pub fn new(runtime: Arc<Runtime>, registry: Arc<Registry<Service>>, routes: Vec<Need>) -> Self {
        Self { runtime, registry, deployments: BTreeMap::new(), routes, serving: Mutex::default() }
    }

    /// Deploys a service with the component of its manifest, if it has one, and publishes it in the discovery table.
    /// The component comes with the links of its imports (see [`wire`]).
    ///
    /// # Errors
    /// The component may not run as that service. Then the service is not published.
    pub fn launch(
        &mut self,
        spec: ServiceSpec,
        component: Option<(&Component, &[Link])>,
        store: Option<&Store>,
    ) -> Result<(), LoadError> {
        self.launch_all(std::iter::once((spec, component)), store).map_err(|(_, error)| error)
    }

    /// Like [`Rollout::launch`] for many services, which are published together.
    ///
    /// # Errors
    /// The first component that may not run as its service. Then no service is published.
    pub fn launch_all<'a>(
        &mut self,
        launches: impl Iterator<Item = (ServiceSpec, Option<(&'a Component, &'a [Link])>)>,
        store: Option<&Store>,
    ) -> Result<(), (ServiceName, LoadError)> {
        let (mut launched, mut table) = (Vec::new(), Vec::new());
        for (spec, component) in launches {
            let name = spec.name.clone();
            let deployment = self.deploy(spec, component, store).map_err(|error| (name.clone(), error))?;
            table.push((name, deployment.entry()));
            launched.push(deployment);
        }
        for mut deployment in launched {
            let name = deployment.spec.name.clone();
            if let Some(revision) = &deployment.history.get_mut().stable {
                self.serving().insert(name.clone(), Arc::clone(revision));
            }
            self.deployments.insert(name, deployment);
        }
        self.registry.publish_all(table);
        Ok(())
    }

    /// A service that is not published yet.
    fn deploy(
        &self,
        spec: ServiceSpec,
        component: Option<(&Component, &[Link])>,
        store: Option<&Store>,
    ) -> Result<Deployment, LoadError> {
        let mut deployment = Deployment::new(spec, store);
        let load = |(component, links): (&Component, &[Link])| {
            component.revision(&self.runtime, Arc::clone(&deployment.grants), links).map(Arc::new)
        };
        let revision = component.map(load).transpose()?;
        let manifest = revision.as_ref().map(|revision| revision.digest());
        let history = RevisionHistory { stable: revision, previous: None, manifest };
        deployment.prepare(&self.runtime, &history);
        deployment.history = history.into();
        Ok(deployment)
    }

    /// Replaces the revision of `name` by the component in `bytes`, and returns when the new revision serves. Requests
    /// in flight finish on the old one. If the component is the one that serves already, nothing changes.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then.
    pub async fn swap(&self, name: &str, bytes: Bytes) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut history = deployment.history.lock().await;
        let stable = history.stable.clone().ok_or_else(|| SwapError::NoComponent(deployment.spec.name.clone()))?;
        let runtime = Arc::clone(&self.runtime);
        let component = spawn_blocking(move || runtime.compile(&bytes)).await.map_err(SwapError::Host)??;
        let links = self.fit(deployment, component.contract(), &self.serving())?;
        let revision = Arc::new(component.revision(&self.runtime, Arc::clone(&deployment.grants), &links)?);
        if revision.digest() != stable.digest() {
            self.rehearse(deployment, &revision).await?;
            // The old component's file may be overwritten from now on, so its code is loaded for a rollback. If it
            // cannot be loaded, the swap goes on: that is no reason to keep the old revision.
            let deadline = Instant::now() + deployment.spec.replicas.limits.timeout;
            if let Err(error) = stable.ready(&self.runtime, deadline).await {
                tracing::warn!(service = %deployment.spec.name, %error, "a rollback may fail");
            }
            let manifest = history.manifest;
            let next = RevisionHistory { stable: Some(revision), previous: Some(stable), manifest };
            self.publish(deployment, &mut history, next)?;
        }
        Ok(report(&history))
    }

    /// Returns `name` to the revision before. The next rollback returns to the revision that serves now.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then.
    pub async fn rollback(&self, name: &str) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut history = deployment.history.lock().await;
        if history.stable.is_none() {
            return Err(SwapError::NoComponent(deployment.spec.name.clone()));
        }
        let RevisionHistory { stable, previous, manifest } = &*history;
        let previous = previous.clone().ok_or_else(|| SwapError::NoPrevious(deployment.spec.name.clone()))?;
        // The code is loaded before the publication. After it, a call would be the first to find that the code cannot
        // be loaded.
        let deadline = Instant::now() + deployment.spec.replicas.limits.timeout;
        previous.ready(&self.runtime, deadline).await.map_err(does_not_start)?;
        let next = RevisionHistory { stable: Some(previous), previous: stable.clone(), manifest: *manifest };
        self.publish(deployment, &mut history, next)?;
        Ok(report(&history))
    }

    /// Resolves the host names of all services once.
    pub async fn resolve(&self) {
        join_all(self.with_names().map(|deployment| deployment.resolve(&self.registry))).await;
    }

    /// Resolves the host names of each service again and again, in the interval of its settings. It ends when it is
    /// dropped.
    pub async fn keep_resolved(&self) {
        let each = self.with_names().map(async |deployment| {
            loop {
                sleep(deployment.spec.addresses.dns).await;
                deployment.resolve(&self.registry).await;
            }
        });
        join_all(each).await;
    }

    fn with_names(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values().filter(|deployment| deployment.has_names())
    }

    fn find(&self, name: &str) -> Result<&Deployment, SwapError> {
        self.deployments.get(name).ok_or_else(|| SwapError::Unknown(name.to_owned()))
    }

    /// Starts one instance of `revision` before any call can depend on it.
    async fn rehearse(&self, deployment: &Deployment, revision: &Arc<Revision>) -> Result<(), SwapError> {
        let timeout = deployment.spec.replicas.limits.timeout;
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), timeout);
        let pool = deployment.pool(&self.runtime, revision);
        pool.rehearse(&context).await.map_err(does_not_start)
    }

    /// Checks that a component with this contract fits the revisions that serve: they export what it imports, and it
    /// exports what they and the routes use. Returns the links of its imports.
    fn fit(
        &self,
        deployment: &Deployment,
        contract: &Arc<Contract>,
        serving: &BTreeMap<ServiceName, Arc<Revision>>,
    ) -> Result<Vec<Link>, SwapError> {
        let (name, calls) = (&deployment.spec.name, &deployment.spec.grants.calls);
        let mut offers: Offers =
            serving.iter().map(|(name, revision)| (name.clone(), Arc::clone(revision.contract()))).collect();
        // A service that calls itself will call the new component.
        offers.insert(name.clone(), Arc::clone(contract));
        let links = wire(name, contract, calls, &offers).map_err(|error| match serving.get(name) {
            Some(before) => error.replacing(name, before.contract()),
            None => error,
        })?;
        let others = serving.iter().filter(|(other, _)| *other != name);
        let needs: Vec<Need> =
            others.flat_map(|(other, revision)| needs_of(other, revision.contract(), revision.links())).collect();
        let mut broken = breaks(name, contract, needs.iter().chain(&self.routes));
        if broken.is_empty() {
            let callers = serving.iter().filter(|(other, _)| *other != name);
            let callers = callers.filter_map(|(other, revision)| {
                let deployment = self.deployments.get(other)?;
                Some((other, &**revision.contract(), deployment.spec.grants.calls.as_slice()))
            });
            broken = ambiguous(callers, &offers);
        }
        if broken.is_empty() { Ok(links) } else { Err(SwapError::Breaks(broken)) }
    }

    /// Publishes `next` as the service's history, if it still fits the other services: one of them may have been
    /// swapped since the first check.
    fn publish(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        next: RevisionHistory,
    ) -> Result<(), SwapError> {
        let revision = next.stable.as_ref().expect("a revision that is published has a component");
        let mut serving = self.serving();
        if self.fit(deployment, revision.contract(), &serving)? != revision.links() {
            return Err(SwapError::Rewired);
        }
        serving.insert(deployment.spec.name.clone(), Arc::clone(revision));
        *history = next;
        deployment.publish(&self.runtime, &self.registry, history);
        drop(serving);
        deployment.traffic.metrics.swapped();
        let Swapped { revision, previous } = report(history);
        tracing::info!(service = %deployment.spec.name, %revision, ?previous, "swapped");
        Ok(())
    }

    fn serving(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Arc<Revision>>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn does_not_start(error: InvokeError) -> SwapError {
    match error.kind.blame() {
        Blame::Refusal => SwapError::Busy(error),
        _ => SwapError::DoesNotStart(error),
    }
}

fn report(history: &RevisionHistory) -> Swapped {
    let stable = history.stable.as_ref().expect("a service without a component is never swapped");
    Swapped { revision: stable.digest(), previous: history.previous.as_ref().map(|revision| revision.digest()) }
}
