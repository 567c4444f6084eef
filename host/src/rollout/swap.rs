//! Launching a service, replacing its revision, and returning to the revision before.

use super::deployment::{Deployment, RevisionHistory};
use super::error::SwapError;
use super::spec::ServiceSpec;
use super::start_ledger::StartLedger;
use super::trial::{Trial, TrialGround};
use super::wiring::{Clients, Importer, Need, needs_of, wire};
use crate::base::{Blame, CallContext, Digest, RequestId, ServiceName};
use crate::contract::{BoundFunction, Contract};
use crate::mesh::Service;
use crate::registry::Registry;
use crate::runtime::{Component, InvokeError, Link, LoadError, Revision, Runtime};
use crate::state::Store;
use crate::telemetry::{ChangeKind, note_change};
use bytes::Bytes;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::path::Path;
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

/// How a component fits the revisions that serve.
struct Fit {
    /// The links of its imports.
    links: Vec<Link>,
    /// The functions that routes call, as the component has them.
    routed: Arc<[BoundFunction]>,
}

/// The services of this host and their revisions.
pub struct Rollout {
    pub(super) runtime: Arc<Runtime>,
    pub(super) registry: Arc<Registry<Service>>,
    pub(super) deployments: BTreeMap<ServiceName, Deployment>,
    /// What the routes by HTTP and the health checks need of the services.
    routes: Vec<Need>,
    /// The revisions that serve. A swap holds this lock from its last check against the other services to the
    /// publication. Otherwise two services that use each other could be swapped at the same time, each checked against
    /// the old revision of the other, and the new revisions would not fit together.
    serving: Mutex<BTreeMap<ServiceName, Arc<Revision>>>,
    /// The services that do not serve yet.
    pub(super) ledger: Mutex<StartLedger>,
}

impl Rollout {
    /// A host without services, for [`Rollout::launch`]. `routes` is what the routes by HTTP and the health checks need
    /// of the services.
    pub fn new(runtime: Arc<Runtime>, registry: Arc<Registry<Service>>, routes: Vec<Need>) -> Self {
        let (deployments, serving, ledger) = (BTreeMap::new(), Mutex::default(), Mutex::default());
        Self { runtime, registry, deployments, routes, serving, ledger }
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

    /// Like [`Rollout::launch`] for many services, which are published together. Services that need a component which
    /// is not compiled get no calls before [`Rollout::finish_start`] has compiled it.
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
        self.begin_start();
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
            let limits = &deployment.spec.replicas.limits;
            component.revision(&self.runtime, Arc::clone(&deployment.grants), limits, links).map(Arc::new)
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
        let deployment = self.find(name).inspect_err(|error| report_refusal("swap", name, error))?;
        let swapped = self.replace(deployment, bytes).await;
        swapped.inspect_err(|error| deployment.refused("swap", error))
    }

    async fn replace(&self, deployment: &Deployment, bytes: Bytes) -> Result<Swapped, SwapError> {
        let mut history = deployment.history.lock().await;
        let stable = history.stable.clone().ok_or_else(|| SwapError::NoComponent(deployment.spec.name.clone()))?;
        let runtime = Arc::clone(&self.runtime);
        let wit = deployment.spec.wit.clone();
        let work = move || {
            let component = runtime.compile(&bytes)?;
            Ok::<_, SwapError>((described(component.contract(), wit.as_deref()), component))
        };
        let (described, component) = spawn_blocking(work).await.map_err(SwapError::Host)??;
        let contract = component.contract();
        let Fit { links, .. } = self.fit(deployment, contract, &self.serving(), Clients::MustNotNotice)?;
        let (grants, limits) = (Arc::clone(&deployment.grants), &deployment.spec.replicas.limits);
        let revision = Arc::new(component.revision(&self.runtime, grants, limits, &links)?);
        // Last: what a component breaks says more.
        described.map_err(SwapError::Undescribed)?;
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
            let swapped = self.publish(deployment, &mut history, next, Clients::MustNotNotice)?;
            // If it was starting, it serves now, and so may the services that waited for its component.
            self.compiled(&deployment.spec.name);
            deployment.traffic.metrics.swapped();
            swapped.log(deployment, "swapped");
        }
        Ok(report(&history))
    }

    /// Returns `name` to the revision before. The next rollback returns to the revision that serves now.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then.
    pub async fn rollback(&self, name: &str) -> Result<Swapped, SwapError> {
        let deployment = self.find(name).inspect_err(|error| report_refusal("rollback", name, error))?;
        let swapped = self.restore(deployment).await;
        swapped.inspect_err(|error| deployment.refused("rollback", error))
    }

    async fn restore(&self, deployment: &Deployment) -> Result<Swapped, SwapError> {
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
        let swapped = self.publish(deployment, &mut history, next, Clients::MayNotice)?;
        deployment.traffic.metrics.rolled_back();
        swapped.log(deployment, "rolled back");
        Ok(swapped)
    }

    /// Tries the component in `bytes` as the component of `name`, as [`Rollout::swap`] does before it changes anything.
    /// Returns what was found, and the revision that it was compared with. It starts no instance.
    ///
    /// # Errors
    /// The file is no component, there is no such service, or the service has no component.
    pub async fn trial(&self, name: &str, bytes: Bytes) -> Result<(Trial, Digest), SwapError> {
        let deployment = self.find(name)?;
        let spec = &deployment.spec;
        let no_component = || SwapError::NoComponent(spec.name.clone());
        let runtime = Arc::clone(&self.runtime);
        let wit = spec.wit.clone();
        let work = move || {
            let contract = Contract::decode(&bytes).map_err(|error| LoadError::Invalid(error.to_string()))?;
            Ok::<_, SwapError>((described(&contract, wit.as_deref()), contract, runtime.compile(&bytes)))
        };
        let (described, contract, component) = spawn_blocking(work).await.map_err(SwapError::Host)??;
        // All that serves is read under one lock, so that no swap of another service comes between.
        let serving = self.serving();
        let revision = serving.get(name).map(|revision| revision.digest()).ok_or_else(no_component)?;
        let ground = self.ground(deployment, &serving);
        drop(serving);
        let mut trial = Trial::run(&contract, &component, ground);
        trial.refusals.extend(described.err());
        Ok((trial, revision))
    }

    /// The contract of the revision that serves.
    pub fn contract(&self, name: &str) -> Option<Arc<Contract>> {
        self.serving().get(name).map(|revision| Arc::clone(revision.contract()))
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
    /// exports what they and the routes use.
    fn fit(
        &self,
        deployment: &Deployment,
        contract: &Arc<Contract>,
        serving: &BTreeMap<ServiceName, Arc<Revision>>,
        clients: Clients,
    ) -> Result<Fit, SwapError> {
        let (name, calls) = (&deployment.spec.name, &deployment.spec.grants.calls);
        let mut ground = self.ground(deployment, serving);
        ground.offer(contract);
        let links = wire(name, contract, calls, &ground.offers).map_err(|error| ground.explain(error))?;
        ground.misses(contract, clients).map(|routed| Fit { links, routed }).map_err(SwapError::Breaks)
    }

    /// What a component of this service must fit: the services that serve, and what uses this one.
    fn ground<'a>(
        &self,
        deployment: &'a Deployment,
        serving: &BTreeMap<ServiceName, Arc<Revision>>,
    ) -> TrialGround<'a> {
        let contract =
            |(name, revision): (&ServiceName, &Arc<Revision>)| (name.clone(), Arc::clone(revision.contract()));
        let others = || serving.iter().filter(|(other, _)| **other != deployment.spec.name);
        let needs = others().flat_map(|(other, revision)| needs_of(other, revision.contract(), revision.links()));
        let importers = others().filter_map(|(name, revision)| {
            let calls = self.deployments.get(name)?.spec.grants.calls.clone();
            Some(Importer { name: name.clone(), contract: Arc::clone(revision.contract()), calls })
        });
        TrialGround::new(
            &deployment.spec,
            serving.iter().map(contract).collect(),
            needs.chain(self.routes.iter().cloned()).collect(),
            importers.collect(),
            deployment.routed(),
        )
    }

    /// Publishes `next` as the service's history, if it still fits the other services: one of them may have been
    /// swapped since the first check.
    fn publish(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        next: RevisionHistory,
        clients: Clients,
    ) -> Result<Swapped, SwapError> {
        let revision = next.stable.as_ref().expect("a revision that is published has a component");
        let mut serving = self.serving();
        let Fit { links, routed } = self.fit(deployment, revision.contract(), &serving, clients)?;
        if links != revision.links() {
            return Err(SwapError::Rewired);
        }
        serving.insert(deployment.spec.name.clone(), Arc::clone(revision));
        *history = next;
        deployment.publish(&self.runtime, &self.registry, history, routed);
        Ok(report(history))
    }

    pub(super) fn serving(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Arc<Revision>>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Swapped {
    /// Writes the line of a swap or a rollback. Both revisions are short, as in metrics and in `atoll ps`.
    fn log(&self, deployment: &Deployment, what: &str) {
        let (revision, previous) = (self.revision.short(), self.previous.map(|previous| previous.short()));
        tracing::info!(service = %deployment.spec.name, revision, previous, "{what}");
        let reason = match previous {
            Some(previous) => format!("{revision} serves in place of {previous}"),
            None => format!("{revision} serves"),
        };
        let kind = if what.contains("roll") { ChangeKind::RolledBack } else { ChangeKind::Swapped };
        note_change(kind, deployment.spec.name.as_str(), None, &reason);
    }
}

impl Deployment {
    /// Counts and logs a swap or a rollback that was refused.
    fn refused(&self, what: &str, error: &SwapError) {
        self.traffic.metrics.swap_refused(error.kind());
        report_refusal(what, self.spec.name.as_str(), error);
    }
}

/// Compares a component with the WIT files of its service, if the manifest names their folder. The error continues the
/// sentence "the component …".
fn described(contract: &Contract, folder: Option<&Path>) -> Result<(), String> {
    let Some(folder) = folder else { return Ok(()) };
    Contract::clone(contract).with_docs(folder).map_err(|error| {
        format!(
            "does not fit {}, the `wit` of its service: {error}. Put the WIT files that it was built from there first",
            folder.display()
        )
    })
}

/// Writes the line of a swap or a rollback that was refused.
fn report_refusal(what: &str, service: &str, error: &SwapError) {
    tracing::warn!(service, kind = error.kind(), %error, "a {what} was refused");
    let refused = if what == "swap" { ChangeKind::SwapRefused } else { ChangeKind::RollbackRefused };
    note_change(refused, service, None, &format!("{}: {error}", error.kind()));
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
