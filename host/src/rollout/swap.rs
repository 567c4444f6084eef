//! Launching a service, replacing its revision, and returning to the revision before.

use super::deployment::Deployment;
use super::error::SwapError;
use super::peers::PeerPlaces;
use super::revision_history::RevisionHistory;
use super::spec::ServiceSpec;
use super::start_ledger::StartLedger;
use super::trial::{Trial, TrialGround, described};
use super::wiring::{Clients, Importer, Need, needs_of, wire};
use crate::archive::Archive;
use crate::base::{Blame, CallContext, Digest, RequestId, ServiceName};
use crate::contract::{BoundFunction, Contract, HeldTo};
use crate::discovery::SourceReport;
use crate::mesh::Service;
use crate::registry::Registry;
use crate::runtime::{Component, InvokeError, Link, LoadError, RecordingPlace, Revision, Runtime};
use crate::state::Store;
use crate::telemetry::{ChangeKind, note_change};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Mutex as TurnMutex, Notify};
use tokio::task::spawn_blocking;

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
    /// Replaced as a whole when a manifest is applied.
    deployments: ArcSwap<Deployments>,
    /// What the routes by HTTP and the health checks need of the services.
    pub(super) routes: Mutex<Vec<Need>>,
    /// The revisions that serve. A swap holds this lock from its last check against the other services to the
    /// publication. Otherwise two services that use each other could be swapped at the same time, each checked against
    /// the old revision of the other, and the new revisions would not fit together.
    serving: Mutex<BTreeMap<ServiceName, Arc<Revision>>>,
    /// Held from the check that a revision fits, over the commit of its migration, to its publication. Meanwhile no
    /// service changes which it has to fit.
    pub(super) wiring: TurnMutex<()>,
    /// The services that do not serve yet.
    pub(super) ledger: Mutex<StartLedger>,
    /// Where the history is; `None`: what is swapped lasts until the host restarts.
    pub(super) archive: Option<Arc<Archive>>,
    /// Where recordings of calls are kept.
    pub(super) recordings: Arc<RecordingPlace>,
    /// Wakes [`Rollout::attend`]: a canary has begun, or has to go.
    pub(super) wake: Arc<Notify>,
    /// Wakes [`Rollout::follow_sources`]: there are other services.
    pub(super) replaced: Notify,
    /// Where the services stand, beside this node.
    pub(super) places: Mutex<PeerPlaces>,
}

/// The services by their names.
pub(super) type Deployments = BTreeMap<ServiceName, Arc<Deployment>>;

impl Rollout {
    /// A host without services, for [`Rollout::launch`]. `routes` is what the routes by HTTP and the health checks need
    /// of the services.
    pub fn new(runtime: Arc<Runtime>, registry: Arc<Registry<Service>>, routes: Vec<Need>) -> Self {
        let (deployments, serving, ledger) = (ArcSwap::default(), Mutex::default(), Mutex::default());
        let (routes, wake, replaced) = (Mutex::new(routes), Arc::default(), Notify::new());
        let (archive, recordings, wiring) = (None, Arc::default(), TurnMutex::default());
        let places = Mutex::default();
        Self {
            runtime,
            registry,
            deployments,
            routes,
            serving,
            wiring,
            ledger,
            archive,
            recordings,
            wake,
            replaced,
            places,
        }
    }

    /// The same host with a history on the disk.
    #[must_use]
    pub fn with_archive(self, archive: Option<Arc<Archive>>) -> Self {
        Self { archive, ..self }
    }

    /// The same host, which keeps its recordings there.
    #[must_use]
    pub fn with_recordings(self, recordings: Arc<RecordingPlace>) -> Self {
        Self { recordings, ..self }
    }

    /// Where recordings of calls are kept.
    pub fn recordings(&self) -> &RecordingPlace {
        &self.recordings
    }

    /// Deploys a service with the component of its manifest, if it has one, and publishes it in the discovery table.
    /// The component comes with the links of its imports (see [`wire`]).
    ///
    /// # Errors
    /// The component may not run as that service. Then the service is not published.
    pub fn launch(
        &self,
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
        &self,
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
        let mut deployments = Deployments::clone(&self.deployments());
        for mut deployment in launched {
            let name = deployment.spec.name.clone();
            if let Some(revision) = &deployment.history.get_mut().stable {
                self.serving().insert(name.clone(), Arc::clone(revision));
            }
            deployments.insert(name, Arc::new(deployment));
        }
        self.deployments.store(Arc::new(deployments));
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
        let mut deployment = Deployment::new(spec, store, &self.recordings);
        let load = |(component, links): (&Component, &[Link])| {
            let limits = &deployment.spec.replicas.limits;
            component.revision(&self.runtime, Arc::clone(&deployment.grants), limits, links).map(Arc::new)
        };
        let revision = component.map(load).transpose()?;
        let manifest = deployment.spec.manifest.or_else(|| revision.as_ref().map(|revision| revision.digest()));
        deployment.note_manifest(manifest);
        let history = RevisionHistory { stable: revision, previous: None, manifest };
        deployment.prepare(&self.runtime, &history);
        deployment.history = history.into();
        Ok(deployment)
    }

    /// Compiles and checks the component in `bytes`, and starts one instance of it. Nothing has changed then.
    pub(super) async fn prepare(
        &self,
        deployment: &Deployment,
        bytes: Bytes,
        clients: Clients,
    ) -> Result<Arc<Revision>, SwapError> {
        self.prepare_held(deployment, bytes, (clients, clients.into())).await
    }

    /// The same. `held`: how far the component is held to the WIT files of its service.
    pub(super) async fn prepare_held(
        &self,
        deployment: &Deployment,
        bytes: Bytes,
        (clients, held): (Clients, HeldTo),
    ) -> Result<Arc<Revision>, SwapError> {
        let runtime = Arc::clone(&self.runtime);
        let (name, wit) = (deployment.spec.name.clone(), deployment.spec.wit.clone());
        let work = move || {
            let component = runtime.compile(&bytes)?;
            Ok::<_, SwapError>((described(&name, component.contract(), wit.as_deref(), held), component))
        };
        let (described, component) = spawn_blocking(work).await.map_err(SwapError::Host)??;
        let contract = component.contract();
        let Fit { links, .. } = self.fit(deployment, contract, &self.serving(), clients)?;
        let (grants, limits) = (Arc::clone(&deployment.grants), &deployment.spec.replicas.limits);
        let revision = Arc::new(component.revision(&self.runtime, grants, limits, &links)?);
        // Last: what a component breaks says more.
        described.map_err(SwapError::Undescribed)?;
        let serves = self.serving().get(&deployment.spec.name).map(|stable| stable.digest());
        if serves != Some(revision.digest()) && deployment.stands_here() {
            self.rehearse(deployment, &revision).await?;
        }
        Ok(revision)
    }

    /// The functions that routes call, as a component with this contract has them beside the revisions that serve.
    pub(super) fn routed(
        &self,
        deployment: &Deployment,
        contract: &Arc<Contract>,
    ) -> Result<Arc<[BoundFunction]>, SwapError> {
        self.fit(deployment, contract, &self.serving(), Clients::MustNotNotice).map(|fit| fit.routed)
    }

    /// Tries the component in `bytes` as the component of `name`, as [`Rollout::swap`] does before it changes anything.
    /// Returns what was found, the revision that it was compared with, and what the
    /// service is granted. It starts no instance.
    ///
    /// # Errors
    /// The file is no component, there is no such service, or the service has no component.
    pub async fn trial(&self, name: &str, bytes: Bytes) -> Result<(Trial, Digest, ServiceSpec), SwapError> {
        let deployment = &*self.find(name)?;
        let spec = &deployment.spec;
        let no_component = || SwapError::NoComponent(spec.name.clone());
        let runtime = Arc::clone(&self.runtime);
        let (service, wit) = (spec.name.clone(), spec.wit.clone());
        let work = move || {
            let contract = Contract::decode(&bytes).map_err(|error| LoadError::Invalid(error.to_string()))?;
            let described = described(&service, &contract, wit.as_deref(), HeldTo::Files);
            Ok::<_, SwapError>((described, contract, runtime.compile(&bytes)))
        };
        let (described, contract, component) = spawn_blocking(work).await.map_err(SwapError::Host)??;
        // All that serves is read under one lock, so that no swap of another service comes between.
        let serving = self.serving();
        let revision = serving.get(name).map(|revision| revision.digest()).ok_or_else(no_component)?;
        let ground = self.ground(deployment, &serving);
        drop(serving);
        let mut trial = Trial::run(&contract, &component, ground);
        trial.refusals.extend(described.err());
        Ok((trial, revision, spec.clone()))
    }

    /// Whether what serves as `name` has all that the WIT files of the service describe, as a new component must. The
    /// error continues the sentence "the component …".
    ///
    /// # Errors
    /// It lacks something of them.
    pub async fn serves_as_described(&self, name: &str) -> Result<(), String> {
        let (Ok(deployment), Some(contract)) = (self.find(name), self.contract(name)) else { return Ok(()) };
        let (service, wit) = (deployment.spec.name.clone(), deployment.spec.wit.clone());
        let compare = move || described(&service, &contract, wit.as_deref(), HeldTo::Files);
        spawn_blocking(compare).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The contract of the revision that serves.
    pub fn contract(&self, name: &str) -> Option<Arc<Contract>> {
        self.serving().get(name).map(|revision| Arc::clone(revision.contract()))
    }

    /// Asks each source of endpoints once.
    pub async fn ask_sources(&self) {
        let deployments = self.deployments();
        join_all(deployments.values().map(|deployment| deployment.ask_sources(Some(&self.registry)))).await;
    }

    /// How the sources of endpoints of a service fare.
    pub fn sources(&self, name: &str) -> Vec<SourceReport> {
        let sources = self.find(name).map(|deployment| deployment.sources()).unwrap_or_default();
        sources.iter().map(|source| source.report()).collect()
    }

    /// The sources of endpoints of all services, each with its service.
    pub fn all_sources(&self) -> Vec<(ServiceName, SourceReport)> {
        let deployments = self.deployments();
        let of = |(name, deployment): (&ServiceName, &Arc<Deployment>)| {
            let sources = deployment.sources();
            sources.iter().map(|source| (name.clone(), source.report())).collect::<Vec<_>>()
        };
        deployments.iter().flat_map(of).collect()
    }

    /// Follows the sources of endpoints of all services. It ends when it is dropped.
    pub async fn follow_sources(&self) {
        loop {
            let deployments = self.deployments();
            let each = deployments.values().map(|deployment| deployment.follow_sources(&self.registry));
            let all = async {
                join_all(each).await;
                // There are no sources.
                pending::<()>().await;
            };
            tokio::select! {
                () = all => {}
                () = self.replaced.notified() => {}
            }
        }
    }

    /// The services as they are now.
    pub(super) fn deployments(&self) -> Arc<Deployments> {
        self.deployments.load_full()
    }

    /// Makes these the services.
    pub(super) fn replace_deployments(&self, deployments: Deployments) {
        self.deployments.store(Arc::new(deployments));
        self.replaced.notify_one();
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Deployment>, SwapError> {
        self.deployments.load().get(name).cloned().ok_or_else(|| SwapError::Unknown(name.to_owned()))
    }

    /// Starts one instance of `revision` before any call can depend on it.
    pub(super) async fn rehearse(&self, deployment: &Deployment, revision: &Arc<Revision>) -> Result<(), SwapError> {
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
        let deployments = self.deployments();
        let importers = others().filter_map(|(name, revision)| {
            let calls = deployments.get(name)?.spec.grants.calls.clone();
            Some(Importer { name: name.clone(), contract: Arc::clone(revision.contract()), calls })
        });
        TrialGround::new(
            &deployment.spec,
            serving.iter().map(contract).collect(),
            needs.chain(self.routes().iter().cloned()).collect(),
            importers.collect(),
            deployment.routed(),
        )
    }

    /// Publishes `next` as the service's history, if it still fits the other services: one of them may have been
    /// swapped since the first check.
    pub(super) fn publish(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        next: RevisionHistory,
        clients: Clients,
    ) -> Result<Swapped, SwapError> {
        let revision = next.stable.as_ref().expect("a revision that is published has a component");
        let mut serving = self.serving();
        let routed = self.fits_now(deployment, revision, &serving, clients)?;
        serving.insert(deployment.spec.name.clone(), Arc::clone(revision));
        *history = next;
        deployment.publish(&self.runtime, &self.registry, history, routed);
        Ok(report(history))
    }

    /// Whether a revision fits the others as they are now.
    pub(super) fn still_fits(
        &self,
        deployment: &Deployment,
        revision: &Revision,
        clients: Clients,
    ) -> Result<(), SwapError> {
        self.fits_now(deployment, revision, &self.serving(), clients).map(drop)
    }

    /// The functions of `revision` that routes call, if it fits the services in `serving`.
    fn fits_now(
        &self,
        deployment: &Deployment,
        revision: &Revision,
        serving: &BTreeMap<ServiceName, Arc<Revision>>,
        clients: Clients,
    ) -> Result<Arc<[BoundFunction]>, SwapError> {
        let Fit { links, routed } = self.fit(deployment, revision.contract(), serving, clients)?;
        if links == revision.links() { Ok(routed) } else { Err(SwapError::Rewired) }
    }

    /// What the routes by HTTP and the health checks need of the services.
    pub(super) fn routes(&self) -> MutexGuard<'_, Vec<Need>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serving(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Arc<Revision>>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Swapped {
    /// Writes the line of a swap or a rollback. Both revisions are short, as in metrics and in `atoll ps`.
    pub(super) fn log(&self, deployment: &Deployment, what: &str) {
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
    pub(super) fn refused(&self, what: &str, error: &SwapError) {
        // What was ordered serves: the log and the changes say that already.
        if matches!(error, SwapError::Unrecorded(..)) {
            return;
        }
        self.traffic.metrics.swap_refused(error.kind());
        report_refusal(what, self.spec.name.as_str(), error);
    }
}

/// Writes the line of a swap or a rollback that was refused.
pub(super) fn report_refusal(what: &str, service: &str, error: &SwapError) {
    tracing::warn!(service, kind = error.kind(), %error, "a {what} was refused");
    let refused = if what == "swap" { ChangeKind::SwapRefused } else { ChangeKind::RollbackRefused };
    note_change(refused, service, None, &format!("{}: {error}", error.kind()));
}

pub(super) fn does_not_start(error: InvokeError) -> SwapError {
    match error.kind.blame() {
        Blame::Refusal => SwapError::Busy(error),
        _ => SwapError::DoesNotStart(error),
    }
}

pub(super) fn report(history: &RevisionHistory) -> Swapped {
    let stable = history.stable.as_ref().expect("a service without a component is never swapped");
    Swapped { revision: stable.digest(), previous: history.previous.as_ref().map(|revision| revision.digest()) }
}
