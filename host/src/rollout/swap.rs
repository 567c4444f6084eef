//! Bringing a revision up, replacing it, and going back.

use super::deployment::{Deployment, RevisionHistory};
use super::error::SwapError;
use super::plan::Plan;
use super::wiring::{Need, Offers, breaks, needs_of, wire};
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

/// What a swap has done.
#[derive(Debug, Clone)]
pub struct Swapped {
    /// The revision that serves now.
    pub revision: Digest,
    /// The one to which a rollback returns.
    pub previous: Option<Digest>,
}

/// The services of this host and their revisions.
pub struct Rollout {
    runtime: Arc<Runtime>,
    registry: Arc<Registry<Service>>,
    deployments: BTreeMap<ServiceName, Deployment>,
    /// What routes use of services.
    routes: Vec<Need>,
    /// The revisions that serve. Whoever publishes one holds this from the last check against the others to the publication.
    standing: Mutex<BTreeMap<ServiceName, Arc<Revision>>>,
}

impl Rollout {
    /// A host without services, for [`Rollout::launch`]. `routes`: what is used of them from outside.
    pub fn new(runtime: Arc<Runtime>, registry: Arc<Registry<Service>>, routes: Vec<Need>) -> Self {
        Self { runtime, registry, deployments: BTreeMap::new(), routes, standing: Mutex::default() }
    }

    /// Brings a service up with the component of its manifest, if it has one, and puts it into the discovery table. The component comes
    /// with the links of its imports (see [`wire`]).
    ///
    /// # Errors
    /// When the component may not run as that service; then the service is not there.
    pub fn launch(
        &mut self,
        plan: Plan,
        component: Option<(&Component, &[Link])>,
        store: Option<&Store>,
    ) -> Result<(), LoadError> {
        self.launch_all(std::iter::once((plan, component)), store).map_err(|(_, error)| error)
    }

    /// The same for many services, which come into the table at once.
    ///
    /// # Errors
    /// The first component that may not run as its service; then none of them is there.
    pub fn launch_all<'a>(
        &mut self,
        launches: impl Iterator<Item = (Plan, Option<(&'a Component, &'a [Link])>)>,
        store: Option<&Store>,
    ) -> Result<(), (ServiceName, LoadError)> {
        let (mut launched, mut table) = (Vec::new(), Vec::new());
        for (plan, component) in launches {
            let name = plan.name.clone();
            let deployment = self.deploy(plan, component, store).map_err(|error| (name.clone(), error))?;
            table.push((name, deployment.entry()));
            launched.push(deployment);
        }
        for mut deployment in launched {
            let name = deployment.plan.name.clone();
            if let Some(revision) = &deployment.line.get_mut().stable {
                self.standing().insert(name.clone(), Arc::clone(revision));
            }
            self.deployments.insert(name, deployment);
        }
        self.registry.publish_all(table);
        Ok(())
    }

    /// A service that nobody can call yet.
    fn deploy(
        &self,
        plan: Plan,
        component: Option<(&Component, &[Link])>,
        store: Option<&Store>,
    ) -> Result<Deployment, LoadError> {
        let mut deployment = Deployment::new(plan, store);
        let load = |(component, links): (&Component, &[Link])| {
            component.revision(&self.runtime, Arc::clone(&deployment.grants), links).map(Arc::new)
        };
        let revision = component.map(load).transpose()?;
        let manifest = revision.as_ref().map(|revision| revision.digest());
        let line = RevisionHistory { stable: revision, previous: None, manifest };
        if let Some(revision) = &line.stable {
            let named = |text: &String| revision.contract().lookup(text).ok().map(|(name, _)| name);
            deployment.idempotent = deployment.plan.idempotent.iter().filter_map(named).collect();
        }
        deployment.replace(&self.runtime, &line);
        deployment.line = line.into();
        Ok(deployment)
    }

    /// Replaces the revision of `name` by the component in `bytes`. It returns when the new revision serves; requests in flight finish
    /// on the old one. The revision that serves already is left as it is.
    ///
    /// # Errors
    /// [`SwapError`]; nothing has changed then.
    pub async fn swap(&self, name: &str, bytes: Bytes) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut line = deployment.line.lock().await;
        let stable = line.stable.clone().ok_or_else(|| SwapError::NoComponent(deployment.plan.name.clone()))?;
        let runtime = Arc::clone(&self.runtime);
        let compiled = spawn_blocking(move || runtime.compile(&bytes)).await;
        let component = compiled.map_err(|error| SwapError::Host(error.to_string()))??;
        let links = self.fit(deployment, component.contract(), &self.standing())?;
        let revision = Arc::new(component.revision(&self.runtime, Arc::clone(&deployment.grants), &links)?);
        if revision.digest() != stable.digest() {
            self.rehearse(deployment, &revision).await?;
            // Its file may be overwritten from now on, so a rollback must not depend on it. That it cannot be loaded is no reason to keep it.
            let patience = Instant::now() + deployment.plan.limits.timeout;
            if let Err(error) = stable.ready(&self.runtime, patience).await {
                tracing::warn!(service = %deployment.plan.name, %error, "a rollback may fail");
            }
            let manifest = line.manifest;
            self.publish(
                deployment,
                &mut line,
                RevisionHistory { stable: Some(revision), previous: Some(stable), manifest },
            )?;
        }
        Ok(report(&line))
    }

    /// Returns `name` to the revision before; that one becomes the revision to which the next rollback returns.
    ///
    /// # Errors
    /// [`SwapError`]; nothing has changed then.
    pub async fn rollback(&self, name: &str) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut line = deployment.line.lock().await;
        if line.stable.is_none() {
            return Err(SwapError::NoComponent(deployment.plan.name.clone()));
        }
        let RevisionHistory { stable, previous, manifest } = &*line;
        let previous = previous.clone().ok_or_else(|| SwapError::NoPrevious(deployment.plan.name.clone()))?;
        // Before the switch: after it a call would find out.
        let patience = Instant::now() + deployment.plan.limits.timeout;
        previous.ready(&self.runtime, patience).await.map_err(does_not_start)?;
        let next = RevisionHistory { stable: Some(previous), previous: stable.clone(), manifest: *manifest };
        self.publish(deployment, &mut line, next)?;
        Ok(report(&line))
    }

    /// Resolves the host names of all services once.
    pub async fn resolve(&self) {
        join_all(self.named().map(|deployment| deployment.resolve(&self.registry))).await;
    }

    /// Resolves the host names of all services over and over, each as often as its plan says. It ends when it is dropped.
    pub async fn keep_resolved(&self) {
        let each = self.named().map(async |deployment| {
            loop {
                sleep(deployment.plan.dns).await;
                deployment.resolve(&self.registry).await;
            }
        });
        join_all(each).await;
    }

    fn named(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values().filter(|deployment| deployment.has_names())
    }

    fn find(&self, name: &str) -> Result<&Deployment, SwapError> {
        self.deployments.get(name).ok_or_else(|| SwapError::Unknown(name.to_owned()))
    }

    /// Starts one instance of `revision` before anybody depends on it.
    async fn rehearse(&self, deployment: &Deployment, revision: &Arc<Revision>) -> Result<(), SwapError> {
        let context =
            CallContext::new(RequestId::from_random(rand::random()), Instant::now(), deployment.plan.limits.timeout);
        let pool = deployment.pool(&self.runtime, revision);
        pool.rehearse(&context).await.map_err(does_not_start)
    }

    /// Whether a component with this contract fits those that serve: they have what it imports, and it has what they and the routes use.
    fn fit(
        &self,
        deployment: &Deployment,
        contract: &Arc<Contract>,
        standing: &BTreeMap<ServiceName, Arc<Revision>>,
    ) -> Result<Vec<Link>, SwapError> {
        let Plan { name, calls, .. } = &deployment.plan;
        let mut offers: Offers =
            standing.iter().map(|(name, revision)| (name.clone(), Arc::clone(revision.contract()))).collect();
        // A service that calls itself calls what it will be.
        offers.insert(name.clone(), Arc::clone(contract));
        let links = wire(name, contract, calls, &offers)?;
        let others = standing.iter().filter(|(other, _)| *other != name);
        let needs: Vec<Need> =
            others.flat_map(|(other, revision)| needs_of(other, revision.contract(), revision.links())).collect();
        let broken = breaks(name, contract, needs.iter().chain(&self.routes));
        if broken.is_empty() { Ok(links) } else { Err(SwapError::Breaks(broken)) }
    }

    /// Makes `next` the service's line, if it still fits the others: one of them may have been swapped since it was checked.
    fn publish(
        &self,
        deployment: &Deployment,
        line: &mut RevisionHistory,
        next: RevisionHistory,
    ) -> Result<(), SwapError> {
        let revision = next.stable.as_ref().expect("what is published has a component");
        let mut standing = self.standing();
        if self.fit(deployment, revision.contract(), &standing)? != revision.links() {
            return Err(SwapError::Rewired);
        }
        standing.insert(deployment.plan.name.clone(), Arc::clone(revision));
        *line = next;
        deployment.publish(&self.runtime, &self.registry, line);
        drop(standing);
        deployment.traffic.metrics.swapped();
        let Swapped { revision, previous } = report(line);
        tracing::info!(service = %deployment.plan.name, %revision, ?previous, "swapped");
        Ok(())
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Arc<Revision>>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn does_not_start(error: InvokeError) -> SwapError {
    match error.kind.blame() {
        Blame::Refusal => SwapError::Busy(error),
        _ => SwapError::DoesNotStart(error),
    }
}

fn report(line: &RevisionHistory) -> Swapped {
    let stable = line.stable.as_ref().expect("a line without a component is never swapped");
    Swapped { revision: stable.digest(), previous: line.previous.as_ref().map(|revision| revision.digest()) }
}
