//! The ways back: to the revision before, or to one of the history.

use super::canary_rollout::EndOrder;
use super::canary_run::RolloutOrder;
use super::deployment::Deployment;
use super::error::SwapError;
use super::journal::entry_at_once;
use super::revision_history::RevisionHistory;
use super::swap::{Rollout, Swapped, does_not_start, report, report_refusal};
use super::wiring::Clients;
use crate::archive::RolloutOutcome;
use crate::base::Digest;
use bytes::Bytes;
use std::time::Instant;
use tokio::sync::MutexGuard as TurnGuard;

impl Rollout {
    /// Takes the canary under way back, or else returns `name` to the revision before. The next rollback returns to the
    /// revision that serves now.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then, but for [`SwapError::Unrecorded`].
    pub async fn rollback(&self, name: &str, by: &RolloutOrder) -> Result<Swapped, SwapError> {
        let deployment = &*self.find(name).inspect_err(|error| report_refusal("rollback", name, error))?;
        if deployment.canary().is_some() {
            return self.end(name, None, EndOrder::RollBack, &by.who).await;
        }
        let swapped = self.restore(deployment, by).await;
        swapped.inspect_err(|error| deployment.refused("rollback", error))
    }

    async fn restore(&self, deployment: &Deployment, by: &RolloutOrder) -> Result<Swapped, SwapError> {
        let mut history = deployment.turn().await?;
        if history.stable.is_none() && !deployment.is_left_out() {
            return Err(SwapError::NoComponent(deployment.spec.name.clone()));
        }
        let RevisionHistory { stable, previous, manifest } = &*history;
        let Some(previous) = previous.clone() else {
            let digest = self.before(deployment).ok_or_else(|| SwapError::NoPrevious(deployment.spec.name.clone()))?;
            return self.restore_kept(deployment, &mut history, digest, by).await;
        };
        // The code is loaded before the publication. After it, a call would be the first to find that the code cannot
        // be loaded.
        let deadline = Instant::now() + deployment.spec.replicas.limits.timeout;
        previous.ready(&self.runtime, deadline).await.map_err(does_not_start)?;
        let (digest, manifest) = (previous.digest(), *manifest);
        let swapped = match self.run_migration(deployment, &previous).await? {
            None => {
                let next = RevisionHistory { stable: Some(previous), previous: stable.clone(), manifest };
                let _alone = self.wiring.lock().await;
                // The table first, then the disk: calls must not wait for it.
                self.publish(deployment, &mut history, next, Clients::MayNotice)?
            }
            ready => self.make_stable(deployment, &mut history, (previous, ready), Clients::MayNotice).await?,
        };
        deployment.traffic.metrics.rolled_back();
        swapped.log(deployment, "rolled back");
        self.record_restored(deployment, digest, manifest, by).await?;
        Ok(swapped)
    }

    /// Returns `name` to a revision of its history. A canary under way is taken back. If the revision serves, that is
    /// all: the one before it stays the one to return to.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then, but for [`SwapError::Unrecorded`].
    pub async fn rollback_to(&self, name: &str, digest: Digest, by: &RolloutOrder) -> Result<Swapped, SwapError> {
        let deployment = &*self.find(name).inspect_err(|error| report_refusal("rollback", name, error))?;
        let mut history = deployment.turn().await?;
        if history.serves(digest) {
            return self.stay(deployment, history, by).await;
        }
        let swapped = self.restore_kept(deployment, &mut history, digest, by).await;
        swapped.inspect_err(|error| deployment.refused("rollback", error))
    }

    async fn restore_kept(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        digest: Digest,
        by: &RolloutOrder,
    ) -> Result<Swapped, SwapError> {
        let kept = self.on_disk(move |archive| archive.load(&digest)).await?;
        let bytes = kept.ok_or_else(|| SwapError::NoPrevious(deployment.spec.name.clone()))?;
        self.restore_bytes(deployment, history, bytes, by).await
    }

    /// Returns a service to the older revision in `bytes`, which all nodes of a cluster have to serve.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then, but for [`SwapError::Unrecorded`].
    pub(super) async fn restore_given(
        &self,
        name: &str,
        bytes: Bytes,
        by: &RolloutOrder,
    ) -> Result<Swapped, SwapError> {
        let deployment = &*self.find(name)?;
        let mut history = deployment.turn().await?;
        if history.serves(Digest::of(&bytes)) {
            return self.stay(deployment, history, by).await;
        }
        let kept = bytes.clone();
        self.on_disk(move |archive| archive.keep(&kept)).await?;
        let swapped = self.restore_bytes(deployment, &mut history, bytes, by).await;
        swapped.inspect_err(|error| deployment.refused("rollback", error))
    }

    /// What a rollback to the revision that serves comes to: a canary under way is taken back.
    async fn stay(
        &self,
        deployment: &Deployment,
        history: TurnGuard<'_, RevisionHistory>,
        by: &RolloutOrder,
    ) -> Result<Swapped, SwapError> {
        if deployment.canary().is_none() {
            // The one before may serve because of a rollback that the disk did not take.
            if let Some(digest) = history.stable.as_ref().map(|stable| stable.digest())
                && !self.is_recorded(deployment, digest, history.manifest)
            {
                self.record_restored(deployment, digest, history.manifest, by).await?;
            }
            return Ok(report(&history));
        }
        drop(history);
        self.end(deployment.spec.name.as_str(), None, EndOrder::RollBack, &by.who).await
    }

    async fn restore_bytes(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        bytes: Bytes,
        by: &RolloutOrder,
    ) -> Result<Swapped, SwapError> {
        let revision = self.prepare(deployment, bytes, Clients::MayNotice).await?;
        let digest = revision.digest();
        let ready = self.run_migration(deployment, &revision).await?;
        self.supersede(deployment, &revision).await;
        let manifest = history.manifest;
        let swapped = self.make_stable(deployment, history, (revision, ready), Clients::MayNotice).await?;
        deployment.traffic.metrics.rolled_back();
        swapped.log(deployment, "rolled back");
        self.record_restored(deployment, digest, manifest, by).await?;
        Ok(swapped)
    }

    /// Writes down that an older revision serves. The table has changed already.
    ///
    /// # Errors
    /// [`SwapError::Unrecorded`].
    async fn record_restored(
        &self,
        deployment: &Deployment,
        digest: Digest,
        manifest: Option<Digest>,
        by: &RolloutOrder,
    ) -> Result<(), SwapError> {
        let recorded = self.record_serving(deployment, digest, manifest).await;
        let id = self.next_id(deployment).await;
        self.record_end(deployment, entry_at_once(id, digest, by, "returned to an older revision")).await;
        recorded.map_err(|error| {
            tracing::error!(service = %deployment.spec.name, %error, "a rollback is not on the disk");
            SwapError::Unrecorded(deployment.spec.name.clone(), digest.short(), error.to_string())
        })
    }

    /// The revision that served before, as the history has it: the last one that was promoted and does not serve now,
    /// or else the manifest's.
    fn before(&self, deployment: &Deployment) -> Option<Digest> {
        let serves = self.serving().get(&deployment.spec.name).map(|revision| revision.digest());
        let record = self.archive.as_ref()?.record(&deployment.spec.name);
        let promoted = record.entries.iter().rev().filter(|entry| entry.outcome == RolloutOutcome::Promoted);
        let promoted = promoted.filter_map(|entry| Digest::parse(&entry.digest));
        promoted.chain(deployment.manifest()).find(|digest| Some(*digest) != serves)
    }
}
