//! Changes the manifest that the host serves: all of it, or nothing.
//!
//! A manifest that is applied goes the way of a start: it is read, its components are loaded and linked, and everything
//! that is wrong is told. Only then does it differ: what serves already goes on where both manifests say the same. The
//! last steps cannot fail: services are exchanged in one publication, then the edges, and what nobody needs any more
//! leaves the table.

use super::agreed_components::AgreedComponents;
use super::apply_refusal::{failed, moved, needs_restart, of_service, partial, wrong};
use super::apply_view;
use super::kept_revisions::{self, ComponentFiles};
use super::manifest_in_use::{HostAssets, ManifestInUse};
use crate::admin::{ApplyOrder, ApplyView, OperationError};
use crate::app::assembly::check::check_all;
use crate::app::assembly::known_components::KnownComponents;
use crate::app::assembly::load::Compile;
use crate::app::assembly::routed_places::RoutedPlaces;
use crate::app::assembly::saga_plans::pinned_sagas;
use crate::app::assembly::{Assembly, assemble};
use crate::app::edge::auth_policies::AuthPolicies;
use crate::app::edge::quotas;
use crate::app::health_watches::HealthWatches;
use crate::app::host_parts::{CheckedManifest, HostParts, ServingBefore, ServingHost};
use crate::app::operations::apply_manifest::{ApplyFuture, ApplyManifest};
use crate::app::running_host::RunningHost;
use crate::base::{Digest, ServiceName, counted};
use crate::config::{ChangeClass, Draft, ManifestChange, ManifestTree, environment};
use crate::rollout::{PreparedExchange, WantedService};
use crate::telemetry::{ChangeKind, note_change};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, block_in_place};

/// How long requests may still look for services of the manifest before. What they call by then, they get to its end.
const LEAVING: Duration = Duration::from_secs(10);

/// Changes the manifest that is served, one change after the other.
pub(in crate::app) struct Applier {
    parts: HostParts,
    running: Arc<RunningHost>,
    now: Mutex<AppliedManifest>,
}

impl ApplyManifest for Applier {
    fn apply(&self, order: ApplyOrder) -> ApplyFuture<'_> {
        Box::pin(self.apply_order(order))
    }
}

/// The manifest that is served, with what only it needs.
pub(in crate::app) struct AppliedManifest {
    pub(in crate::app) in_use: ManifestInUse,
    pub(in crate::app) serving: ServingHost,
    pub(in crate::app) policies: Arc<AuthPolicies>,
    pub(in crate::app) places: RoutedPlaces,
    pub(in crate::app) watches: HealthWatches,
    /// Fetches the keys of the policies. It ends with them.
    pub(in crate::app) keys: JoinSet<()>,
    /// Deletes old counts of quotas.
    pub(in crate::app) quotas: JoinSet<()>,
}

/// A manifest that was found right, ready to take the place of the one that is served.
struct NextManifest {
    in_use: ManifestInUse,
    assembly: Assembly,
    places: RoutedPlaces,
    files: ComponentFiles,
    changes: Vec<ManifestChange>,
    agreed: AgreedComponents,
}

impl Applier {
    pub(in crate::app) fn new(parts: HostParts, running: Arc<RunningHost>, now: AppliedManifest) -> Arc<Self> {
        let applier = Arc::new(Self { parts, running, now: Mutex::new(now) });
        // It is set this once.
        let _ = applier.parts.applier.set(Arc::downgrade(&applier) as Weak<dyn ApplyManifest>);
        applier
    }

    /// Applies the manifest in the host's own file.
    ///
    /// # Errors
    /// As [`ApplyManifest::apply`]; the file cannot be read.
    pub(in crate::app) async fn reload(&self) -> Result<ApplyView, OperationError> {
        let text = block_in_place(|| std::fs::read_to_string(&self.parts.path)).map_err(failed)?;
        Box::pin(self.apply_order(ApplyOrder { text, ..ApplyOrder::default() })).await
    }

    /// Serves the manifest of the order. After an error nothing has changed.
    async fn apply_order(&self, order: ApplyOrder) -> Result<ApplyView, OperationError> {
        let ApplyOrder { text, dry_run, base, name } = order;
        let mut now = self.now.lock().await;
        let served = self.served(&now);
        if base.is_some_and(|base| base != served) {
            return Err(moved());
        }
        if !self.running.host().left_out_services().is_empty() {
            return Err(partial());
        }
        let on_disk = block_in_place(|| std::fs::read(&self.parts.path)).unwrap_or_default();
        let before = now.in_use.digest.to_string();
        let file_differs = on_disk != text.as_bytes();
        let next = self.prepare(&now, text, name).await?;
        let view = |base: String, changes: &[ManifestChange], applied: bool| ApplyView {
            base,
            before: before.clone(),
            changes: changes.iter().map(apply_view::change).collect(),
            applied,
            file_differs,
        };
        if dry_run || next.changes.is_empty() {
            return Ok(view(served, &next.changes, false));
        }
        if next.changes.iter().any(|change| change.class == ChangeClass::Restart) {
            return Err(needs_restart(&next.changes));
        }
        let after = next.assembly.components.iter().map(|one| one.as_ref().map(|one| one.component.digest()));
        next.agreed.permit(next.in_use.manifest.services.iter().zip(after), &self.parts.rollout)?;
        let changes = next.changes.clone();
        Box::pin(self.replace(&mut now, next)).await?;
        Ok(view(self.served(&now), &changes, true))
    }

    /// What is served, in a word: it is another one when the manifest or a revision is another one.
    fn served(&self, now: &AppliedManifest) -> String {
        let services = now.in_use.manifest.services.iter();
        let revisions = services.filter_map(|service| self.parts.rollout.digest(service.spec.name.as_str()));
        let revisions: Vec<_> = revisions.map(|digest| digest.to_string()).collect();
        Digest::of(format!("{} {}", now.in_use.digest, revisions.join(" ")).as_bytes()).short()
    }

    /// Reads and checks a manifest, and finds out what it would change. `name`: how messages name it, if it is not the
    /// host's own file.
    async fn prepare(
        &self,
        now: &AppliedManifest,
        text: String,
        name: Option<String>,
    ) -> Result<NextManifest, OperationError> {
        let path = &self.parts.path;
        let name = name.unwrap_or_else(|| path.display().to_string());
        let mut draft = Draft::parse(&name, text, path.parent().unwrap_or(Path::new("")), &environment);
        let known = self.known(now);
        if !draft.findings().is_empty() || !draft.absent().is_empty() {
            let error = check_all(&draft, &known).await.err();
            return Err(wrong(error.unwrap_or_else(|| anyhow::anyhow!("it is not whole"))));
        }
        let archive = self.parts.rollout.archive();
        let tree = ManifestTree::parse(draft.text()).unwrap_or_default();
        now.in_use.share_limits(&tree, &mut draft.manifest);
        let files = block_in_place(|| kept_revisions::substitute(&mut draft.manifest, archive)).map_err(wrong)?;
        let pinned = pinned_sagas(self.parts.store.as_ref()).await.map_err(wrong)?;
        let mut places = now.places.clone();
        let agreed = AgreedComponents::of(self.parts.cluster.as_deref());
        let kept = block_in_place(|| agreed.stand_in(&mut draft.manifest, &files.files, &self.parts.rollout));
        let compile = (Compile::NowBut(kept), false, &known);
        let assembled = assemble(&draft, &self.parts.runtime, compile, (&mut places, pinned)).await;
        let assembly = assembled.map_err(wrong)?;
        let text = draft.text().to_owned();
        let in_use = ManifestInUse::new(&text, draft.manifest);
        // What is said of a swap counts before what is said of its key.
        let mut changes = self.swaps(now, &in_use, &assembly, &agreed);
        changes.extend(now.in_use.tree.changes(&in_use.tree));
        let assets = HostAssets { store: self.parts.store.is_some(), history: archive.is_some() };
        changes.extend(now.in_use.unwritten_changes(&in_use, assets));
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        changes.dedup_by(|one, other| one.key == other.key && one.class == other.class);
        Ok(NextManifest { in_use, assembly, places, files, changes, agreed })
    }

    /// The components that serve, or have served: only what is new has to have all that its WIT files describe.
    fn known(&self, now: &AppliedManifest) -> KnownComponents {
        let names = now.in_use.manifest.services.iter().map(|service| service.spec.name.clone());
        let served = names.map(|name| (name.clone(), self.parts.rollout.served_components(name.as_str())));
        KnownComponents::Served(served.collect())
    }

    /// The components that are others than those that serve.
    fn swaps(
        &self,
        now: &AppliedManifest,
        next: &ManifestInUse,
        assembly: &Assembly,
        agreed: &AgreedComponents,
    ) -> Vec<ManifestChange> {
        let services = next.manifest.services.iter().zip(&assembly.components);
        let swap = services.filter_map(|(service, component)| {
            let name = &service.spec.name;
            let (before, after) = (self.parts.rollout.digest(name.as_str()), component.as_ref());
            let after = after.map(|component| component.component.digest());
            let is_swap = before != after && now.in_use.service(name).is_some();
            is_swap.then(|| apply_view::swap(name, (before, after), agreed.differs(name, after)))
        });
        swap.collect()
    }

    /// Lets `next` serve. What can fail comes first.
    async fn replace(&self, now: &mut AppliedManifest, next: NextManifest) -> Result<(), OperationError> {
        let NextManifest { in_use, mut assembly, places, files, changes, agreed } = next;
        let manifest = &in_use.manifest;
        let same_policies = now.in_use.tree.agrees(&in_use.tree, &["auth"]);
        let policies = if same_policies {
            Arc::clone(&now.policies)
        } else {
            Arc::new(AuthPolicies::of(manifest, Some(&now.policies)).map_err(wrong)?)
        };
        let counts = match &self.parts.store {
            Some(store) => quotas::keep(&in_use.fresh_limits(&now.in_use), store).await.map_err(failed)?,
            None => None,
        };
        if let Some(store) = self.parts.store.as_ref().filter(|_| manifest.caches_by_state()) {
            block_in_place(|| store.switch_watches_on());
        }
        let same = |name: &ServiceName| now.in_use.agrees_on_service(&in_use, name);
        let exchange = self.exchange(&mut assembly, same).await?;
        // Compiling has taken its time: what was agreed on meanwhile is not taken back.
        if agreed != AgreedComponents::of(self.parts.cluster.as_deref()) {
            return Err(moved());
        }
        let names = manifest.services.iter().map(|service| service.spec.name.clone());
        let health: Vec<_> = names.zip(std::mem::take(&mut assembly.health_checks)).collect();
        let kept = now.in_use.kept_routes(&in_use);
        let warnings = std::mem::take(&mut assembly.warnings);
        let archive = self.parts.rollout.archive();
        block_in_place(|| files.keep(archive)).map_err(failed)?;
        let exchanged: Vec<_> = exchange.changed().cloned().collect();
        let gone = self.parts.rollout.exchange(exchange).map_err(of_service)?;

        // From here on nothing fails.
        block_in_place(|| files.renew(archive, |_| true));
        let checked = CheckedManifest { manifest, assembly, policies: &policies, files: files.files };
        let before = ServingBefore { serving: &now.serving, kept: &kept };
        let serving = block_in_place(|| self.parts.serve(checked, Some(&before)));
        let leaving = self.running.replace(&serving);
        serving.host.change_faults(&now.in_use.manifest, manifest);
        now.watches.watch(&self.parts.registry, health, same);
        if !same_policies {
            now.keys = policies.kept_fresh();
        }
        if let Some(counts) = counts {
            now.quotas = JoinSet::new();
            now.quotas.spawn(quotas::forget_old_counts(manifest.limits.clone(), counts));
        }
        (now.in_use, now.serving, now.policies, now.places) = (in_use, serving, policies, places);
        leaving.drained(LEAVING).await;
        self.parts.rollout.withdraw(&gone);
        self.parts.rollout.note_formats(&exchanged).await;
        for warning in &warnings {
            tracing::warn!("{warning} ({})", warning.help());
        }
        let count = changes.len();
        tracing::info!(changes = count, "a manifest was applied");
        note_change(ChangeKind::ManifestApplied, "", None, &counted(count, "change", "changes"));
        Ok(())
    }

    async fn exchange(
        &self,
        assembly: &mut Assembly,
        same: impl Fn(&ServiceName) -> bool,
    ) -> Result<PreparedExchange, OperationError> {
        let specs = std::mem::take(&mut assembly.specs);
        let components = assembly.components.iter().map(Option::as_ref);
        let wanted = specs.into_iter().zip(components).map(|(spec, component)| {
            let same = same(&spec.name);
            let component = component.map(|one| (&one.component, one.links.as_slice()));
            WantedService { spec, component, same }
        });
        let (wanted, needs) = (wanted.collect(), std::mem::take(&mut assembly.needs));
        let prepared = self.parts.rollout.prepare_exchange(wanted, needs, self.parts.store.as_ref()).await;
        prepared.map_err(of_service)
    }
}
