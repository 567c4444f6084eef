//! The services of another manifest take the place of those that serve, in one publication. What the other manifest
//! leaves as it is keeps its endpoints, with their circuits, connections and instances.

use super::data_migration::OtherWriters;
use super::deployment::Deployment;
use super::error::SwapError;
use super::revision_history::RevisionHistory;
use super::spec::ServiceSpec;
use super::swap::{Deployments, Rollout, does_not_start};
use super::wiring::Need;
use crate::base::{CallContext, Digest, RequestId, ServiceName};
use crate::contract::BoundFunction;
use crate::runtime::{Component, Link, LoadError, Revision};
use crate::state::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard as TurnGuard;
use tokio::time::timeout;

/// How long a source of endpoints may take before the service is published without them.
const ASKING: Duration = Duration::from_secs(2);

/// A service as the other manifest wants it.
pub struct WantedService<'a> {
    /// What is deployed.
    pub spec: ServiceSpec,
    /// Its component, compiled, with the links of its imports.
    pub component: Option<(&'a Component, &'a [Link])>,
    /// Whether the manifest has the same settings for it as before.
    pub same: bool,
}

/// Everything that an exchange needs, prepared and checked. Nothing has changed yet; dropped, nothing changes.
pub struct PreparedExchange {
    services: BTreeMap<ServiceName, NextService>,
    needs: Vec<Need>,
    /// The revisions that served when it was prepared.
    seen: BTreeMap<ServiceName, Digest>,
}

/// What becomes of one service of the other manifest.
enum NextService {
    /// It goes on; its routes may be others.
    Kept(Arc<Deployment>, Arc<[BoundFunction]>),
    /// Another deployment begins.
    New(NewDeployment),
}

/// A deployment that takes the place of the one before.
struct NewDeployment {
    deployment: Arc<Deployment>,
    revision: Option<Arc<Revision>>,
    /// What it was made of, which must not change until it serves.
    before: SeenRevisions,
    /// The revision to which a rollback would have returned, and why none does.
    lost: Option<(Digest, LoadError)>,
}

/// The revisions of a service when an exchange was prepared. A revision is one as long as it serves or can be returned
/// to: the same component, swapped in a second time, is another.
#[derive(Clone, Default)]
struct SeenRevisions {
    stable: Option<Arc<Revision>>,
    previous: Option<Arc<Revision>>,
}

impl SeenRevisions {
    fn of(history: &RevisionHistory) -> Self {
        Self { stable: history.stable.clone(), previous: history.previous.clone() }
    }

    fn are_those_of(&self, history: &RevisionHistory) -> bool {
        let address = |one: &Option<Arc<Revision>>| one.as_ref().map(Arc::as_ptr);
        address(&self.stable) == address(&history.stable) && address(&self.previous) == address(&history.previous)
    }
}

impl PreparedExchange {
    /// The services that get another deployment.
    pub fn changed(&self) -> impl Iterator<Item = &ServiceName> {
        let new = self.services.iter().filter(|(_, next)| matches!(next, NextService::New(..)));
        new.map(|(name, _)| name)
    }
}

impl Rollout {
    /// The digest of the component that serves as `name`.
    pub fn digest(&self, name: &str) -> Option<Digest> {
        self.serving().get(name).map(|revision| revision.digest())
    }

    /// The component that serves as `name`, as it is.
    pub fn served_component(&self, name: &str) -> Option<Component> {
        self.serving().get(name).map(|revision| Component::serving(revision))
    }

    /// The digest of the manifest's component of `name`, when the manifest was read.
    pub fn manifest_digest(&self, name: &str) -> Option<Digest> {
        self.find(name).ok()?.manifest()
    }

    /// Prepares the exchange of all services for `wanted`, whose components fit one another: new revisions are made,
    /// and each has started once. `needs` is what the routes by HTTP and the health checks need of the services.
    ///
    /// # Errors
    /// A component may not run as its service, or does not start; a service that changes has a swap or a canary under
    /// way.
    pub async fn prepare_exchange(
        &self,
        wanted: Vec<WantedService<'_>>,
        needs: Vec<Need>,
        store: Option<&Store>,
    ) -> Result<PreparedExchange, (ServiceName, SwapError)> {
        let seen = self.serving().iter().map(|(name, revision)| (name.clone(), revision.digest())).collect();
        let mut services = BTreeMap::new();
        for one in wanted {
            let name = one.spec.name.clone();
            let next = self.prepare_service(one, store).await.map_err(|error| (name.clone(), error))?;
            services.insert(name, next);
        }
        Ok(PreparedExchange { services, needs, seen })
    }

    async fn prepare_service(
        &self,
        wanted: WantedService<'_>,
        store: Option<&Store>,
    ) -> Result<NextService, SwapError> {
        let WantedService { spec, component, same } = wanted;
        let before = self.find(spec.name.as_str()).ok();
        let stable = self.serving().get(&spec.name).map(Arc::clone);
        let digest = component.map(|(component, _)| component.digest());
        let links = component.map_or(&[][..], |(_, links)| links);
        let same_code = digest == stable.as_ref().map(|stable| stable.digest())
            && stable.as_ref().is_none_or(|stable| stable.links() == links);
        let manifest = spec.manifest.or(digest);
        if let Some(before) = before.as_ref().filter(|one| same && same_code && one.manifest() == manifest) {
            return Ok(NextService::Kept(Arc::clone(before), spec.routed));
        }
        // Now, since what cannot be exchanged need not be made.
        let seen = match &before {
            Some(before) => SeenRevisions::of(&*turn_now(before).map_err(|(_, error)| error)?),
            None => SeenRevisions::default(),
        };
        let mut next = match &before {
            Some(before) => before.succeeded(spec, store, &self.recordings),
            None => Deployment::new(spec, store, &self.recordings),
        };
        next.note_manifest(manifest);
        let goes_on = before
            .as_ref()
            .zip(stable.clone())
            .filter(|(before, stable)| same_code && before.shares_revisions(&next, (stable.links(), links)));
        let revision = match (component, &goes_on) {
            (Some(_), Some((_, stable))) => Some(Arc::clone(stable)),
            (Some((component, links)), None) => Some(self.first_started(&next, component, links).await?),
            (None, _) => None,
        };
        let (previous, lost) = match before.as_ref().map(|before| self.previous_after((before, &seen), &next, digest)) {
            Some(Ok(previous)) => (previous, None),
            Some(Err(lost)) => (None, Some(lost)),
            None => (None, None),
        };
        if let Some(previous) = &previous {
            self.keep_way_back(&next, previous).await;
        }
        let history = RevisionHistory { stable: revision.clone(), previous, manifest };
        match goes_on {
            Some((before, _)) if before.shares_replicas(&next) => next.keep_replicas(&before.published(), &history),
            _ => next.replace_replicas(&self.runtime, &history, &mut next.published()),
        }
        next.place_unpublished(&self.places());
        next.history = history.into();
        if timeout(ASKING, next.ask_sources(None)).await.is_err() {
            tracing::warn!(service = %next.spec.name, "its sources of endpoints are still being asked");
        }
        Ok(NextService::New(NewDeployment { deployment: Arc::new(next), revision, before: seen, lost }))
    }

    /// The revision that a rollback returns to once `next` serves the component `digest` in place of what `before`
    /// serves: the one that served last, or the one before it if the component stays. It has the grants and the limits
    /// of `next`.
    ///
    /// # Errors
    /// `next` does not allow that revision.
    fn previous_after(
        &self,
        (before, seen): (&Deployment, &SeenRevisions),
        next: &Deployment,
        digest: Option<Digest>,
    ) -> Result<Option<Arc<Revision>>, (Digest, LoadError)> {
        let stays = digest == seen.stable.as_ref().map(|stable| stable.digest());
        let previous = if stays { &seen.previous } else { &seen.stable };
        let Some(previous) = previous.as_ref().filter(|_| digest.is_some()) else { return Ok(None) };
        let links = previous.links();
        if before.shares_revisions(next, (links, links)) {
            return Ok(Some(Arc::clone(previous)));
        }
        let limits = &next.spec.replicas.limits;
        let revision = Component::serving(previous).revision(&self.runtime, Arc::clone(&next.grants), limits, links);
        revision.map(|revision| Some(Arc::new(revision))).map_err(|error| (previous.digest(), error))
    }

    /// A revision that has started once.
    async fn first_started(
        &self,
        deployment: &Deployment,
        component: &Component,
        links: &[Link],
    ) -> Result<Arc<Revision>, SwapError> {
        let limits = &deployment.spec.replicas.limits;
        let revision: Result<_, LoadError> =
            component.revision(&self.runtime, Arc::clone(&deployment.grants), limits, links);
        let revision = Arc::new(revision?);
        if !deployment.stands_here() {
            return Ok(revision);
        }
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), limits.timeout);
        deployment.pool(&self.runtime, &revision).rehearse(&context).await.map_err(does_not_start)?;
        let ready = self.run_migration(deployment, &revision).await?;
        if ready.is_some_and(|ready| ready.overlay.is_some()) {
            return Err(SwapError::Migrates(deployment.spec.name.clone()));
        }
        Ok(revision)
    }

    /// Makes the exchange, in one publication. The services that the other manifest does not have stay in the discovery
    /// table, for requests that were routed before: they are returned, for [`Rollout::withdraw`].
    ///
    /// # Errors
    /// A service that changes has a swap or a canary under way, or another revision serves than when the exchange was
    /// prepared. Nothing has changed then.
    pub fn exchange(&self, exchange: PreparedExchange) -> Result<Vec<ServiceName>, (ServiceName, SwapError)> {
        let PreparedExchange { services, needs, seen } = exchange;
        let before = self.deployments();
        // From here on no swap of any service is published.
        let mut serving = self.serving();
        let moved = |name: &ServiceName| (name.clone(), SwapError::Moved(name.clone()));
        let now: BTreeMap<_, _> = serving.iter().map(|(name, revision)| (name.clone(), revision.digest())).collect();
        if let Some((name, _)) = now.iter().chain(&seen).find(|(name, _)| now.get(*name) != seen.get(*name)) {
            return Err(moved(name));
        }
        let goes = |name: &&ServiceName| !matches!(services.get(*name), Some(NextService::Kept(..)));
        let leaving: Vec<_> = before.iter().filter(|(name, _)| goes(name)).map(|(_, one)| Arc::clone(one)).collect();
        // From here to the end no migration is committed.
        let Ok(_alone) = self.wiring.try_lock() else {
            let changing = before.iter().find(|(_, one)| one.history.try_lock().is_err());
            let name = changing.or_else(|| before.iter().next()).map(|(name, _)| name.clone());
            let name = name.expect("whoever holds the lock has a service");
            return Err((name.clone(), SwapError::UnderWay(name)));
        };
        let turns = leaving.iter().map(|one| turn_now(one).map(|turn| (&one.spec.name, turn)));
        let turns = turns.collect::<Result<BTreeMap<_, _>, _>>()?;
        for (name, next) in &services {
            match next {
                NextService::Kept(deployment, routed)
                    if deployment.canary().is_some() && !same_places(&deployment.routed(), routed) =>
                {
                    return Err((name.clone(), SwapError::UnderWay(name.clone())));
                }
                NextService::New(new) if turns.get(name).is_some_and(|turn| !new.before.are_those_of(turn)) => {
                    return Err(moved(name));
                }
                _ => {}
            }
        }
        // From here on nothing fails. A deployment that was retired publishes nothing any more.
        leaving.iter().for_each(|one| one.published().retired = true);
        let (mut deployments, mut running) = (Deployments::new(), BTreeMap::new());
        for (name, next) in services {
            match next {
                NextService::Kept(deployment, routed) => {
                    running.extend(serving.get(&name).map(|revision| (name.clone(), Arc::clone(revision))));
                    deployment.published().routed = routed;
                    deployments.insert(name, deployment);
                }
                NextService::New(NewDeployment { deployment, revision, lost, .. }) => {
                    deployment.note_before(&self.registry);
                    if let Some(before) = before.get(&name) {
                        deployment.ended().clone_from(&before.ended());
                    }
                    if let Some((digest, error)) = lost {
                        note_lost(&name, digest, &error);
                    }
                    running.extend(revision.map(|revision| (name.clone(), revision)));
                    deployments.insert(name, deployment);
                }
            }
        }
        *serving = running;
        *self.routes() = needs;
        let gone = before.keys().filter(|name| !deployments.contains_key(*name)).cloned().collect();
        self.publish_all(&deployments);
        self.replace_deployments(deployments);
        drop(serving);
        // Meanwhile the services may have moved.
        self.place_again();
        Ok(gone)
    }

    /// Puts all deployments into the discovery table, in one step. Meanwhile none of them changes: otherwise a name
    /// that is resolved at that moment could be lost.
    fn publish_all(&self, deployments: &Deployments) {
        let guards: Vec<(&ServiceName, &Arc<Deployment>, MutexGuard<'_, _>)> =
            deployments.iter().map(|(name, one)| (name, one, one.published())).collect();
        let entries = guards.iter().map(|(name, one, published)| ((*name).clone(), one.service(published)));
        self.registry.publish_all(entries.collect());
    }

    /// Notes the formats of the data of services whose component was exchanged, as soon as nobody calls those before.
    /// There were no data before the exchange: those that are there now may have been written by either. A failure is
    /// logged: it is made good at the next start or swap.
    pub async fn note_formats(&self, changed: &[ServiceName]) {
        for name in changed {
            let Ok(deployment) = self.find(name.as_str()) else { continue };
            let Ok(history) = deployment.turn().await else { continue };
            let Some(revision) = &history.stable else { continue };
            if let Err(error) = self.migrate(&deployment, revision, OtherWriters::None).await {
                tracing::error!(service = %name, %error, "the format of the data is not noted");
            }
        }
    }

    /// Takes out of the discovery table what [`Rollout::exchange`] has left there for requests that began before it:
    /// the services `gone`, and what those that were exchanged could do before.
    pub fn withdraw(&self, gone: &[ServiceName]) {
        let now = self.deployments();
        let gone: Vec<_> = gone.iter().filter(|name| !now.contains_key(*name)).cloned().collect();
        self.registry.withdraw_all(&gone);
        now.values().for_each(|deployment| deployment.forget_before(&self.registry));
    }
}

/// Tells of a revision that a manifest has taken the way back to.
fn note_lost(service: &ServiceName, digest: Digest, error: &LoadError) {
    let (revision, help) = (digest.short(), "swap it in again, once the manifest allows what it imports");
    tracing::warn!(%service, revision, %error, help, "no rollback returns to it: the manifest does not allow it");
}

/// Whether routes call the same functions.
fn same_places(a: &[BoundFunction], b: &[BoundFunction]) -> bool {
    a.iter().map(|function| function.place).eq(b.iter().map(|function| function.place))
}

/// The lock of a history that nobody holds, of a service without a canary.
fn turn_now(deployment: &Deployment) -> Result<TurnGuard<'_, RevisionHistory>, (ServiceName, SwapError)> {
    let name = &deployment.spec.name;
    let under_way = || (name.clone(), SwapError::UnderWay(name.clone()));
    let turn = deployment.history.try_lock().map_err(|_| under_way())?;
    if deployment.canary().is_some() { Err(under_way()) } else { Ok(turn) }
}
