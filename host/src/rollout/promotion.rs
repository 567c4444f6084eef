//! How a revision becomes the stable one: the disk first, then its data, then the table.

use super::canary_run::RolloutOrder;
use super::data_migration::{Migrated, OtherWriters, ReadyMigration, TRIES, too_fast};
use super::deployment::Deployment;
use super::error::SwapError;
use super::journal::entry_at_once;
use super::revision_history::RevisionHistory;
use super::swap::{Rollout, Swapped};
use super::wiring::Clients;
use crate::runtime::Revision;
use std::sync::Arc;
use std::time::Instant;

impl Rollout {
    /// Gives all calls to a revision that has passed its checks.
    pub(super) async fn replace(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        revision: Arc<Revision>,
        (id, order): (u64, &RolloutOrder),
    ) -> Result<Swapped, SwapError> {
        let digest = revision.digest();
        let ready = self.run_migration(deployment, &revision).await?;
        self.supersede_for(deployment, digest, (id, order)).await?;
        let swapped = self.make_stable(deployment, history, (revision, ready), Clients::MustNotNotice).await?;
        deployment.traffic.metrics.swapped();
        swapped.log(deployment, "swapped");
        self.record_end(deployment, entry_at_once(id, digest, order, "all calls at once")).await;
        Ok(swapped)
    }

    /// Loads the code of a revision that a rollback may return to: its file may be overwritten from now on. If it
    /// cannot be loaded, that is no reason to keep it serving, and is logged.
    pub(super) async fn keep_way_back(&self, deployment: &Deployment, revision: &Arc<Revision>) {
        let deadline = Instant::now() + deployment.spec.replicas.limits.timeout;
        if let Err(error) = revision.ready(&self.runtime, deadline).await {
            tracing::warn!(service = %deployment.spec.name, %error, "a rollback may fail");
        }
    }

    /// Has `revision` migrate the data, as it has run on a snapshot, and publishes it as the stable one. What it
    /// replaces can be returned to.
    ///
    /// The disk has the promotion before the data change: after a crash in between the new revision starts, and
    /// migrates them. The other way round the older one would start, with data that it does not read.
    ///
    /// # Errors
    /// Nothing has changed then, unless it is [`SwapError::MigrationInDoubt`].
    pub(super) async fn make_stable(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        (revision, ready): (Arc<Revision>, Option<ReadyMigration>),
        clients: Clients,
    ) -> Result<Swapped, SwapError> {
        if let Some(stable) = &history.stable {
            self.keep_way_back(deployment, stable).await;
        }
        let before = self.archive.as_ref().and_then(|archive| archive.record(&deployment.spec.name).promoted);
        self.record_promotion(deployment, revision.digest(), history.manifest).await?;
        let before_it = deployment.unfinished_calls();
        let published = self.migrate_and_publish(deployment, history, (&revision, ready), clients).await;
        match &published {
            Ok((_, migrated)) => {
                // If it was starting, it serves now, and so may the services that waited for its component.
                self.compiled(&deployment.spec.name);
                deployment.note_left_out(false);
                self.sweep(deployment, &revision, *migrated, before_it).await;
            }
            // The data may be migrated: then only the new revision may start with them.
            Err(SwapError::MigrationInDoubt(..)) => {}
            Err(_) => {
                if let Err(error) = self.record(deployment, move |record| record.promoted = before).await {
                    tracing::error!(
                        service = %deployment.spec.name, %error,
                        "a revision that was refused serves after a restart: the disk takes nothing"
                    );
                }
            }
        }
        published.map(|(swapped, _)| swapped)
    }

    /// Commits the migration and publishes the revision. No other service changes in between: otherwise the data could
    /// be migrated for a revision that does not fit any more.
    async fn migrate_and_publish(
        &self,
        deployment: &Deployment,
        history: &mut RevisionHistory,
        (revision, mut ready): (&Arc<Revision>, Option<ReadyMigration>),
        clients: Clients,
    ) -> Result<(Swapped, Option<Migrated>), SwapError> {
        let next = RevisionHistory {
            stable: Some(Arc::clone(revision)),
            previous: history.stable.clone(),
            manifest: history.manifest,
        };
        for _ in 0..TRIES {
            let alone = self.wiring.lock().await;
            let Some(migration) = &ready else {
                return self.publish(deployment, history, next, clients).map(|swapped| (swapped, None));
            };
            self.still_fits(deployment, revision, clients)?;
            let committed = self.commit_migration(deployment, migration, OtherWriters::MayFollow).await?;
            if committed.is_some() {
                return self.publish(deployment, history, next, clients).map(|swapped| (swapped, committed));
            }
            drop(alone);
            ready = self.run_migration(deployment, revision).await?;
        }
        Err(too_fast(deployment))
    }
}
