//! The migration of a service's data by a new revision: tried on a snapshot, and made in one commit.

use super::deployment::Deployment;
use super::error::SwapError;
use super::swap::Rollout;
use crate::base::{CallContext, RequestId, ServiceName};
use crate::runtime::{InvokeError, Migration, Revision};
use crate::state::{Bucket, DataFormat, NotedFormat, Overlay, StateError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a migration may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is made again, since the service has changed what it changes.
const TRIES: usize = 5;

/// What becomes of what a migration has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MigrationMode {
    /// Nothing.
    Try,
    /// It is committed.
    Make,
}

/// A migration that has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Migrated {
    from: u32,
    to: u32,
    /// The keys that it has written.
    keys: usize,
}

impl Rollout {
    /// Has `revision` migrate the data of its service, if they have an older format than its own. `None`: there is
    /// nothing to migrate.
    ///
    /// What the migration writes and the number of the format are one commit, so a crash leaves the data before it or
    /// after it.
    ///
    /// # Errors
    /// It fails, or the data have a newer format. Nothing has changed then.
    pub(super) async fn migrate(
        &self,
        deployment: &Deployment,
        revision: &Revision,
        mode: MigrationMode,
    ) -> Result<Option<Migrated>, SwapError> {
        let Some(bucket) = deployment.grants.state.as_ref().filter(|_| Migration::is_of(revision.contract())) else {
            return Ok(None);
        };
        let (service, note) = (&deployment.spec.name, DataFormat::of(bucket));
        let mut tries = 0;
        loop {
            tries += 1;
            // The note before the data: if another one changes both, the commit is refused.
            let noted = note.read().await.map_err(|error| store(service, error))?;
            let run = MigrationRun { rollout: self, deployment, revision, bucket };
            let (own, ran) = run.on_snapshot(noted).await?;
            let Some((overlay, migrated)) = ran else {
                // Data that do not exist have every format; what comes now has this one.
                if mode == MigrationMode::Make && noted.format != Some(own) {
                    note.write(noted, Some(own)).await.map_err(|error| store(service, error))?;
                }
                return Ok(None);
            };
            if mode == MigrationMode::Try {
                return Ok(Some(migrated));
            }
            let mut transaction = overlay.transaction();
            transaction.beside.push(note.change(noted, Some(migrated.to)));
            match bucket.commit_whole(transaction).await {
                Ok(_) => {
                    let Migrated { from, to, keys } = migrated;
                    tracing::info!(%service, from, to, keys, "the data are migrated");
                    return Ok(Some(migrated));
                }
                Err(StateError::Conflict { .. } | StateError::ConflictBeside { .. } | StateError::Overloaded)
                    if tries < TRIES => {}
                Err(error) => return Err(store(service, error)),
            }
        }
    }

    /// Brings over what calls of the revision before have written since `migrated`. A failure is logged: the revision
    /// serves already.
    pub(super) async fn sweep(&self, deployment: &Deployment, revision: &Revision, migrated: Option<Migrated>) {
        let (Some(Migrated { from, .. }), Some(bucket)) = (migrated, &deployment.grants.state) else { return };
        let service = &deployment.spec.name;
        for _ in 0..TRIES {
            let run = MigrationRun { rollout: self, deployment, revision, bucket };
            let swept = match run.once_more(from).await {
                Ok(overlay) => bucket.commit_whole(overlay.transaction()).await,
                Err(error) => {
                    tracing::error!(%service, %error, "what was written during the migration is not migrated");
                    return;
                }
            };
            match swept {
                Ok(_) => return,
                Err(StateError::Conflict { .. } | StateError::Overloaded) => {}
                Err(error) => {
                    tracing::error!(%service, %error, "what was written during the migration is not migrated");
                    return;
                }
            }
        }
        tracing::warn!(%service, "what was written during the migration changes too fast to be migrated");
    }
}

/// One run of a migration.
struct MigrationRun<'a> {
    rollout: &'a Rollout,
    deployment: &'a Deployment,
    revision: &'a Revision,
    bucket: &'a Bucket,
}

impl MigrationRun<'_> {
    /// Runs it on a snapshot, if there is something to migrate. Returns the number of the revision's format, too.
    async fn on_snapshot(&self, noted: NotedFormat) -> Result<(u32, Option<(Arc<Overlay>, Migrated)>), SwapError> {
        let (overlay, migration) = self.prepared().await?;
        let to = migration.format(&context()).await.map_err(|error| self.failed(&error))?;
        let from = noted.format.unwrap_or(0);
        if noted.format == Some(to) || overlay.is_empty().await.map_err(|error| self.store(error))? {
            return Ok((to, None));
        }
        if from > to {
            return Err(SwapError::NewerData { service: self.deployment.spec.name.clone(), data: from, revision: to });
        }
        self.run(&migration, from).await?;
        let keys = overlay.transaction().writes.len();
        Ok((to, Some((overlay, Migrated { from, to, keys }))))
    }

    /// Runs it on data that have been migrated.
    async fn once_more(&self, from: u32) -> Result<Arc<Overlay>, SwapError> {
        let (overlay, migration) = self.prepared().await?;
        self.run(&migration, from).await?;
        Ok(overlay)
    }

    async fn prepared(&self) -> Result<(Arc<Overlay>, Migration), SwapError> {
        let overlay = Overlay::over(self.bucket).await.map_err(|error| self.store(error))?;
        let (runtime, limits) = (&self.rollout.runtime, &self.deployment.spec.replicas.limits);
        let migration = Migration::of(runtime, self.revision, limits, overlay.bucket(self.bucket));
        let service = &self.deployment.spec.name;
        let none = || SwapError::Migration(service.clone(), "it has no migration".into());
        Ok((overlay, migration.ok_or_else(none)?))
    }

    async fn run(&self, migration: &Migration, from: u32) -> Result<(), SwapError> {
        let outcome = migration.migrate(from, &context()).await.map_err(|error| self.failed(&error))?;
        outcome.map_err(|text| SwapError::Migration(self.deployment.spec.name.clone(), text))
    }

    fn failed(&self, error: &InvokeError) -> SwapError {
        SwapError::Migration(self.deployment.spec.name.clone(), error.to_string())
    }

    fn store(&self, error: StateError) -> SwapError {
        store(&self.deployment.spec.name, error)
    }
}

fn context() -> CallContext {
    CallContext::new(RequestId::from_random(rand::random()), Instant::now(), LONGEST)
}

fn store(service: &ServiceName, error: StateError) -> SwapError {
    SwapError::Migration(service.clone(), error.to_string())
}
