//! Rollouts and the history, as the admin asks for them.

use super::HostOperations;
use super::audited_operations::who;
use super::cluster_swap::SwapOfAll;
use super::rollout_views::{ended_view, open_view};
use super::swap_refusal::refusal;
use crate::admin::{
    AdoptedView, BegunView, HistoryView, OperationError, OperationErrorKind, RolloutEnd, RolloutWish, SwapView,
};
use crate::base::ServiceName;
use crate::rollout::{Begun, CanaryPlan, EndOrder, RolloutHistory, RolloutOrder, SwapError};
use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tokio::task::spawn_blocking;

/// Why there is no canary in a cluster, and the way out.
const NO_CANARY: &str = "this host is a node of a cluster, whose nodes all serve one revision of a service, and a \
                         canary would be of this node alone: `atoll swap --now` gives the component to all nodes at \
                         once, if each of them can serve it";

impl HostOperations {
    /// An order by whoever operates this host.
    pub(super) fn order(&self) -> RolloutOrder {
        RolloutOrder { who: who().to_string(), ..RolloutOrder::default() }
    }

    /// Gives all calls to a component, on all nodes of the cluster.
    pub(super) async fn swap_at_once(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        if let Some(cluster) = &self.cluster {
            return self.swap_on_all(cluster, name, component, SwapOfAll::default()).await;
        }
        let begun = self.rollout.begin(name, component, self.order()).await;
        self.swapped(name, begun.and_then(Begun::at_once))
    }

    /// Returns to the revision before, on all nodes of the cluster. A canary under way is taken back, on this one.
    pub(super) async fn return_to_before(&self, name: &str) -> Result<SwapView, OperationError> {
        let canary = self.rollout.rollouts(name).is_ok_and(|history| history.open.is_some());
        match &self.cluster {
            Some(cluster) if !canary => self.roll_back_all(cluster, name).await,
            _ => self.swapped(name, self.rollout.rollback(name, &self.order()).await),
        }
    }

    pub(super) async fn begin(
        &self,
        name: &str,
        component: Bytes,
        wish: RolloutWish,
    ) -> Result<BegunView, OperationError> {
        let RolloutWish { now, hold, canary, step, calls, shadow, fail_on_diff, no_way_back, why } = wish;
        let planned = self.rollout.plan(name).map_err(refusal)?;
        // Whoever says how long a step lasts, wants steps.
        let paced = step.is_some() || calls.is_some();
        let wanted = !now && (planned.is_some() || canary.is_some() || hold || paced || shadow.is_some());
        let plan = wanted.then(|| {
            // A shadow alone is followed by no canary.
            let alone = planned.is_none() && !hold && !paced && shadow.is_some();
            let plan = planned.unwrap_or_default();
            let usual = if alone { Vec::new() } else { plan.shares };
            CanaryPlan {
                shares: canary.unwrap_or(usual),
                step: step.unwrap_or(plan.step),
                calls: calls.unwrap_or(plan.calls),
                shadow: shadow.or(plan.shadow),
                fail_on_diff: fail_on_diff || plan.fail_on_diff,
                ..plan
            }
        });
        if let Some(cluster) = &self.cluster {
            if plan.is_some() {
                return Err(OperationError::new(OperationErrorKind::Conflict, NO_CANARY));
            }
            let how = SwapOfAll { why, ..SwapOfAll::default() };
            return Ok(begun_at_once(self.swap_on_all(cluster, name, component, how).await?));
        }
        let order = RolloutOrder { plan, hold, no_way_back, why, ..self.order() };
        let begun = self.rollout.begin(name, component, order).await.map_err(refusal)?;
        match begun {
            Begun::AtOnce(swapped) => Ok(begun_at_once(self.swapped(name, Ok(swapped))?)),
            Begun::Canary(state) => {
                let RolloutHistory { serving, .. } = self.rollout.rollouts(name).map_err(refusal)?;
                let revision = serving.map(|digest| digest.short()).unwrap_or_default();
                let rollout = Some(open_view(name, &state));
                let (service, late) = (name.to_owned(), Vec::new());
                Ok(BegunView { service, revision, previous: None, rollout, elsewhere: false, late })
            }
        }
    }

    pub(super) fn history_of(&self, name: &str) -> Result<HistoryView, OperationError> {
        let RolloutHistory { open, ended, serving, manifest } = self.rollout.rollouts(name).map_err(refusal)?;
        let open = open.iter().map(|state| open_view(name, state));
        let ended = ended.iter().map(|entry| ended_view(name, entry));
        Ok(HistoryView {
            service: name.to_owned(),
            serving: serving.map(|digest| digest.to_string()),
            manifest: manifest.map(|digest| digest.to_string()),
            rollouts: open.chain(ended).collect(),
        })
    }

    pub(super) async fn end(&self, name: &str, id: Option<u64>, end: RolloutEnd) -> Result<SwapView, OperationError> {
        let order = match end {
            RolloutEnd::Promote { no_way_back } => EndOrder::Promote { no_way_back },
            RolloutEnd::RollBack => EndOrder::RollBack,
            RolloutEnd::Abort => EndOrder::Abort,
        };
        self.swapped(name, self.rollout.end(name, id, order, &who()).await)
    }

    pub(super) async fn return_to(&self, name: &str, revision: &str) -> Result<SwapView, OperationError> {
        let unknown = || {
            let message = format!(
                "the history of `{name}` has no revision `{revision}`, or several that begin so: `atoll history {name}`"
            );
            OperationError::new(OperationErrorKind::NoRollout, message)
        };
        let service = ServiceName::new(name).map_err(|_| refusal(SwapError::Unknown(name.to_owned())))?;
        let digest = self.rollout.kept(&service, revision).ok_or_else(unknown)?;
        if let Some(cluster) = &self.cluster {
            let component = self.rollout.component(digest).await.map_err(refusal)?;
            let how = SwapOfAll { rolls_back: true, ..SwapOfAll::default() };
            return self.swap_on_all(cluster, name, component, how).await;
        }
        self.swapped(name, self.rollout.rollback_to(name, digest, &self.order()).await)
    }

    /// Writes what serves over the manifest's component, so that the two are the same again.
    pub(super) async fn adopt_into_manifest(&self, name: &str) -> Result<AdoptedView, OperationError> {
        let conflict = |message: String| OperationError::new(OperationErrorKind::Conflict, message);
        let service = ServiceName::new(name).map_err(|_| refusal(SwapError::Unknown(name.to_owned())))?;
        let RolloutHistory { serving, .. } = self.rollout.rollouts(name).map_err(refusal)?;
        let (Some(digest), Some(path)) = (serving, self.components.get(&service).cloned()) else {
            return Err(conflict(format!("service `{name}` has no component")));
        };
        let component = match &self.cluster {
            // Its object store has what all nodes serve, also where this one keeps no history.
            Some(cluster) if !self.rollout.has_history() => {
                cluster.component(&digest).await.map_err(|error| conflict(error.to_string()))?
            }
            _ => self.rollout.component(digest).await.map_err(refusal)?,
        };
        // What the way back, or a canary that was taken back, has left may be older than the WIT files.
        self.rollout.serves_as_described(name).await.map_err(|lacks| {
            conflict(format!(
                "the manifest would be wrong: the component {lacks}. Until then {} serves on, also after a restart",
                digest.short()
            ))
        })?;
        let others = self.components.iter().filter(|(other, file)| **other != service && same_file(file, &path));
        if let Some((other, _)) = others.into_iter().next() {
            return Err(conflict(format!(
                "{} is the component of service `{other}` too, which would change with it: name a file of its own in \
                 the manifest first",
                path.display()
            )));
        }
        let target = path.clone();
        let write = async move {
            let written = spawn_blocking(move || replace_file(&target, &component)).await;
            written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
        };
        // It was judged as what serves, and is written only if it serves still.
        let written = self.rollout.adopt(name, digest, write).await.map_err(refusal)?;
        written.map_err(|error| conflict(format!("{} cannot be written: {error}", path.display())))?;
        tracing::info!(service = name, revision = digest.short(), path = %path.display(), "adopted into the manifest");
        Ok(AdoptedView { service: name.to_owned(), revision: digest.short(), path: path.display().to_string() })
    }
}

/// A swap without a canary.
fn begun_at_once(swap: SwapView) -> BegunView {
    let SwapView { service, revision, previous, elsewhere, late } = swap;
    BegunView { service, revision, previous, rollout: None, elsewhere, late }
}

/// Whether two paths lead to one file.
fn same_file(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one == other || whole(one) == whole(other)
}

/// Replaces a file as a whole: there is the old one or the new one after a crash, and the new one once this returns.
fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("wasm.tmp");
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    // The name is in the folder, which has to reach the disk too.
    File::open(path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")))?.sync_all()
}
