//! What a rollout writes to the disk, and when: the intent before the table changes, the end after it.

use super::canary_run::{CanaryRun, RolloutOrder, seconds};
use super::deployment::Deployment;
use super::error::SwapError;
use super::swap::Rollout;
use crate::archive::{Archive, ArchiveError, HistoryEntry, OpenRollout, Promotion, RolloutOutcome, ServiceRecord};
use crate::base::{Digest, ServiceName};
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;
use tokio::task::spawn_blocking;

/// Numbers rollouts in a host without history.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Rollout {
    /// Writes down that `component` is about to be deployed, and keeps it. Returns the number of the rollout.
    ///
    /// # Errors
    /// The disk takes nothing: then nothing is deployed.
    pub(super) async fn record_intent(
        &self,
        deployment: &Deployment,
        component: Bytes,
        order: &RolloutOrder,
    ) -> Result<u64, SwapError> {
        if self.archive.is_none() {
            return Ok(NEXT_ID.fetch_add(1, Relaxed));
        }
        let (name, order) = (deployment.spec.name.clone(), order.clone());
        self.on_disk(move |archive| {
            let intent = intent(archive.keep(&component)?, &order);
            archive.change(&name, |record| {
                record.last_id += 1;
                // A canary under way goes on until the new component has passed its checks.
                if record.open.as_ref().is_none_or(|open| open.step.is_none()) {
                    record.open = Some(OpenRollout { id: record.last_id, ..intent });
                }
                record.last_id
            })
        })
        .await
        .map(Option::unwrap_or_default)
    }

    /// Writes down that a canary has ended, and once more that `digest` is about to be deployed, which has ended it. A
    /// crash after the promotion would otherwise leave a revision that serves, and nothing that tells of it.
    ///
    /// # Errors
    /// The disk takes nothing: the record is as it was.
    pub(super) async fn record_successor(
        &self,
        deployment: &Deployment,
        ended: HistoryEntry,
        digest: Digest,
        (id, order): (u64, &RolloutOrder),
    ) -> Result<(), SwapError> {
        let (open, entry) = (OpenRollout { id, ..intent(digest, order) }, ended.clone());
        self.record(deployment, move |record| {
            record.open = Some(open);
            record.entries.push(entry);
        })
        .await?;
        deployment.remember(ended);
        Ok(())
    }

    /// Changes the record of a service. Without history nothing happens.
    ///
    /// # Errors
    /// The disk takes nothing: the record is as it was.
    pub(super) async fn record(
        &self,
        deployment: &Deployment,
        change: impl FnOnce(&mut ServiceRecord) + Send + 'static,
    ) -> Result<(), SwapError> {
        let name = deployment.spec.name.clone();
        self.on_disk(move |archive| archive.change(&name, change)).await.map(drop)
    }

    /// Writes down what the canary has reached.
    pub(super) async fn record_progress(&self, deployment: &Deployment, run: &CanaryRun) {
        let open = run.to_record();
        let id = run.id;
        let written = self
            .record(deployment, move |record| {
                // It may have ended meanwhile: what has ended must not come back after a restart.
                if record.open.as_ref().is_some_and(|open| open.id == id) {
                    record.open = Some(open);
                }
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(service = %deployment.spec.name, %error, "the progress of a rollout is not on the disk");
        }
    }

    /// Writes down what serves from now on, and across a restart: `digest`, or the manifest's component if it is that.
    ///
    /// # Errors
    /// The disk takes nothing: the record is as it was.
    pub(super) async fn record_promotion(
        &self,
        deployment: &Deployment,
        digest: Digest,
        manifest: Option<Digest>,
    ) -> Result<(), SwapError> {
        let promotion = promotion(digest, manifest);
        self.record(deployment, move |record| record.promoted = promotion).await
    }

    /// Makes `digest`, which serves, the manifest's component: nothing is served in its place after a restart. `write`
    /// puts it into the manifest's file, while no other revision comes.
    ///
    /// # Errors
    /// Another revision has come to serve, or the disk takes nothing; within it, that of `write`.
    pub async fn adopt<E>(
        &self,
        name: &str,
        digest: Digest,
        write: impl Future<Output = Result<(), E>>,
    ) -> Result<Result<(), E>, SwapError> {
        let deployment = &*self.find(name)?;
        let mut history = deployment.turn().await?;
        if !history.serves(digest) {
            return Err(SwapError::Moved(deployment.spec.name.clone()));
        }
        if let Err(error) = write.await {
            return Ok(Err(error));
        }
        self.record(deployment, |record| record.promoted = None).await?;
        history.manifest = Some(digest);
        deployment.adopt(&self.registry, digest);
        Ok(Ok(()))
    }

    /// Whether the record says that this revision serves.
    pub(super) fn is_recorded(&self, deployment: &Deployment, digest: Digest, manifest: Option<Digest>) -> bool {
        let record = self.archive.as_ref().map(|archive| archive.record(&deployment.spec.name));
        record.is_none_or(|record| record.promoted == promotion(digest, manifest))
    }

    /// The same as [`Self::record_promotion`], unless the record says it already.
    ///
    /// # Errors
    /// The disk takes nothing: the record is as it was.
    pub(super) async fn record_serving(
        &self,
        deployment: &Deployment,
        digest: Digest,
        manifest: Option<Digest>,
    ) -> Result<(), SwapError> {
        match self.is_recorded(deployment, digest, manifest) {
            true => Ok(()),
            false => self.record_promotion(deployment, digest, manifest).await,
        }
    }

    /// Writes down that a rollout has ended. The table has changed already: if the disk takes nothing, the log says so.
    pub(super) async fn record_end(&self, deployment: &Deployment, entry: HistoryEntry) {
        deployment.remember(entry.clone());
        let written = self
            .record(deployment, move |record| {
                if record.open.as_ref().is_some_and(|open| open.id == entry.id) {
                    record.open = None;
                }
                record.entries.push(entry);
            })
            .await;
        if let Err(error) = written {
            tracing::error!(service = %deployment.spec.name, %error, "the end of a rollout is not on the disk");
        }
        if let Some(archive) = self.archive.clone() {
            let serving: Vec<Digest> = self.serving().values().map(|revision| revision.digest()).collect();
            let deployments = self.deployments();
            let manifest = deployments.values().filter_map(|deployment| deployment.manifest());
            let also: Vec<Digest> = serving.into_iter().chain(manifest).collect();
            drop(spawn_blocking(move || archive.sweep(&also)));
        }
    }

    /// The history.
    pub fn archive(&self) -> Option<&Archive> {
        self.archive.as_deref()
    }

    /// Whether there is a history: what is swapped in lasts through a restart.
    pub fn has_history(&self) -> bool {
        self.archive.is_some()
    }

    /// The components that serve as `name`, or did: the one that serves now, the manifest's when it was read, and what
    /// was promoted.
    pub fn served_components(&self, name: &str) -> Vec<Digest> {
        let Ok(rollouts) = self.rollouts(name) else { return Vec::new() };
        let promoted = rollouts.ended.iter().filter(|entry| entry.outcome == RolloutOutcome::Promoted);
        let promoted = promoted.filter_map(|entry| Digest::parse(&entry.digest));
        promoted.chain(rollouts.serving).chain(rollouts.manifest).collect()
    }

    /// The revision of a service's history whose digest begins with `digits`.
    pub fn kept(&self, name: &ServiceName, digits: &str) -> Option<Digest> {
        Digest::parse(&self.archive.as_ref()?.find(name, digits)?)
    }

    /// A component of the history.
    ///
    /// # Errors
    /// It is not there.
    pub async fn component(&self, digest: Digest) -> Result<Bytes, SwapError> {
        self.on_disk(move |archive| archive.load(&digest)).await?.ok_or(SwapError::NoHistory)
    }

    /// The number of the next rollout.
    pub(super) async fn next_id(&self, deployment: &Deployment) -> u64 {
        let name = deployment.spec.name.clone();
        let next = |record: &mut ServiceRecord| {
            record.last_id += 1;
            record.last_id
        };
        let id = self.on_disk(move |archive| archive.change(&name, next)).await;
        id.ok().flatten().unwrap_or_else(|| NEXT_ID.fetch_add(1, Relaxed))
    }

    /// Forgets the intent of a rollout that came to nothing.
    pub(super) async fn forget_intent(&self, deployment: &Deployment, id: u64) {
        let forgotten = self
            .record(deployment, move |record| {
                if record.open.as_ref().is_some_and(|open| open.id == id && open.step.is_none()) {
                    record.open = None;
                }
            })
            .await;
        if let Err(error) = forgotten {
            tracing::warn!(service = %deployment.spec.name, %error, "a refused rollout stays in the record");
        }
    }

    /// Does something with the history, on a thread that may wait for the disk. `None` without history.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Archive) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<Option<T>, SwapError> {
        let Some(archive) = self.archive.clone() else { return Ok(None) };
        let done = spawn_blocking(move || work(&archive)).await.map_err(SwapError::Host)?;
        done.map(Some).map_err(SwapError::History)
    }
}

/// What serves in place of the manifest's component; `None`: that one does.
fn promotion(digest: Digest, manifest: Option<Digest>) -> Option<Promotion> {
    let other = manifest.filter(|manifest| *manifest != digest);
    other.map(|manifest| Promotion { digest: digest.to_string(), manifest: manifest.to_string() })
}

/// A rollout before its first call. It has no number yet.
fn intent(digest: Digest, order: &RolloutOrder) -> OpenRollout {
    let plan = order.plan.clone().unwrap_or_default();
    OpenRollout {
        id: 0,
        digest: digest.to_string(),
        who: order.who.clone(),
        why: order.why.clone(),
        began: seconds(SystemTime::now()),
        step: None,
        in_shadow: false,
        evidence: [[0.0; 7]; 4],
        plan: plan.to_record(order.hold, order.no_way_back),
    }
}

/// The entry of a component that was deployed at once.
pub(super) fn entry_at_once(id: u64, digest: Digest, order: &RolloutOrder, verdict: &str) -> HistoryEntry {
    let now = seconds(SystemTime::now());
    HistoryEntry {
        id,
        digest: digest.to_string(),
        who: order.who.clone(),
        why: order.why.clone(),
        began: now,
        ended: now,
        outcome: RolloutOutcome::Promoted,
        verdict: verdict.to_owned(),
    }
}
