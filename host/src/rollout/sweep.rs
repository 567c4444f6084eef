//! The second run of a migration: calls of the revision before that were under way at the swap have written the older
//! format after the snapshot.

use super::data_migration::{Migrated, OtherWriters};
use super::deployment::Deployment;
use super::swap::Rollout;
use super::unfinished_calls::{DueSweep, UnfinishedCalls};
use crate::runtime::Revision;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a swap waits for calls of the revision before, so that one sweep is enough for most swaps.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks, and how often the sweeps that are due look.
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(1);

impl Deployment {
    /// The calls of the endpoints that serve.
    pub(super) fn unfinished_calls(&self) -> UnfinishedCalls {
        UnfinishedCalls::of(&self.published().replicas)
    }

    /// Whether a sweep waits.
    pub(super) fn has_due_sweep(&self) -> bool {
        self.due_sweep.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take_due_sweep(&self) -> Option<DueSweep> {
        self.due_sweep.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Rollout {
    /// Brings over what calls of the revision before have written since `migrated`. If some of them, `calls`, take
    /// long, [`Rollout::attend`] does it again when they have ended. Until then the note says that a sweep is due, for
    /// the next start or swap. A failure is logged: the revision serves already.
    pub(super) async fn sweep(
        &self,
        deployment: &Deployment,
        revision: &Arc<Revision>,
        migrated: Option<Migrated>,
        calls: UnfinishedCalls,
    ) {
        // What is due of an earlier swap, this one's migration has begun from.
        let before = deployment.take_due_sweep();
        if migrated.is_none() && before.is_none() {
            return;
        }
        let until = Instant::now() + PATIENCE;
        while !calls.have_ended() && Instant::now() < until {
            sleep(SOON).await;
        }
        let ended = calls.have_ended() && before.is_none_or(|before| before.calls.have_ended());
        if ended {
            self.sweep_once(deployment, revision, OtherWriters::None).await;
            return;
        }
        self.sweep_once(deployment, revision, OtherWriters::MayFollow).await;
        let due = DueSweep { revision: Arc::clone(revision), calls };
        *deployment.due_sweep.lock().unwrap_or_else(PoisonError::into_inner) = Some(due);
        self.wake.notify_one();
    }

    /// Makes the sweep that waits, if its calls have ended. Returns how long the next look can wait; `None`: there is
    /// none to wait for.
    pub(super) async fn attend_sweep(&self, deployment: &Deployment) -> Option<Duration> {
        let have_ended = {
            let due = deployment.due_sweep.lock().unwrap_or_else(PoisonError::into_inner);
            due.as_ref().map(|due| due.calls.have_ended())?
        };
        if !have_ended {
            return Some(LATER);
        }
        let Ok(history) = deployment.turn().await else {
            // The note says it to the deployment that has taken its place.
            drop(deployment.take_due_sweep());
            return None;
        };
        let DueSweep { revision, .. } = deployment.take_due_sweep()?;
        if history.stable.as_ref().is_some_and(|stable| Arc::ptr_eq(stable, &revision)) {
            self.sweep_once(deployment, &revision, OtherWriters::None).await;
        }
        None
    }

    async fn sweep_once(&self, deployment: &Deployment, revision: &Revision, others: OtherWriters) {
        if let Err(error) = self.migrate(deployment, revision, others).await {
            let service = &deployment.spec.name;
            tracing::error!(%service, %error, "what was written during the migration is migrated at the next start");
        }
    }
}
