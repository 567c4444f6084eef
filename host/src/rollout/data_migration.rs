//! The migration of a service's data by a new revision: run on a snapshot, and made in one commit.

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
pub(super) const TRIES: usize = 5;

/// The format of the data that a revision without the interface keeps, and of data without a note.
const UNNUMBERED: u32 = 0;

/// A migration that has run on a snapshot. Nothing has changed yet; dropped, nothing changes.
pub(super) struct ReadyMigration {
    /// What it has written; `None`: there are no data, and only the note of their format changes.
    pub(super) overlay: Option<Arc<Overlay>>,
    noted: NotedFormat,
    /// The oldest format that the data may have.
    from: u32,
    to: u32,
}

/// What the revision before may do after the commit of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherWriters {
    /// It serves on for a moment: what it writes then has to be migrated, too.
    MayFollow,
    /// Nothing: the service does not serve yet.
    None,
}

/// A migration that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Migrated {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Rollout {
    /// Has `revision` migrate the data of its service on a snapshot, if they have an older format than its own. `None`:
    /// there is nothing to commit.
    ///
    /// A revision without the interface keeps format 0: it cannot say that it reads anything newer.
    ///
    /// # Errors
    /// It fails, or the data have a newer format. Nothing has changed then.
    pub(super) async fn run_migration(
        &self,
        deployment: &Deployment,
        revision: &Revision,
    ) -> Result<Option<ReadyMigration>, SwapError> {
        let Some(bucket) = &deployment.grants.state else { return Ok(None) };
        let run = MigrationRun { rollout: self, deployment, revision, bucket };
        // The note before the data: if another one changes both, the commit is refused.
        let noted = DataFormat::of(bucket).read().await.map_err(|error| run.store(error))?;
        let data = noted.format.unwrap_or(UNNUMBERED);
        let has_migration = Migration::is_of(revision.contract());
        if !has_migration && data == UNNUMBERED {
            return Ok(None);
        }
        bucket.check_alone().map_err(|error| run.store(error))?;
        let overlay = Overlay::over(bucket).await.map_err(|error| run.store(error))?;
        let migration = if has_migration { Some(run.on(&overlay)?) } else { None };
        let to = match &migration {
            Some(migration) => migration.format(&context()).await.map_err(|error| run.failed(&error))?,
            None => UNNUMBERED,
        };
        let from = noted.sweep_from.unwrap_or(data).min(to);
        // Of an empty bucket, too, since nobody may have written the note yet.
        if data == to && noted.sweep_from.is_none() && (noted.format.is_some() || to == UNNUMBERED) {
            return Ok(None);
        }
        if overlay.is_empty().await.map_err(|error| run.store(error))? {
            return Ok(Some(ReadyMigration { overlay: None, noted, from, to }));
        }
        if data > to {
            return Err(SwapError::NewerData { service: deployment.spec.name.clone(), data, revision: to });
        }
        if let Some(migration) = &migration {
            run.migrate(migration, from).await?;
        }
        Ok(Some(ReadyMigration { overlay: Some(overlay), noted, from, to }))
    }

    /// Commits what a migration has written, and the number of the format. `None`: it lost against another commit, and
    /// has to run again.
    ///
    /// # Errors
    /// The store's. Nothing has changed then, unless it is [`SwapError::MigrationInDoubt`].
    pub(super) async fn commit_migration(
        &self,
        deployment: &Deployment,
        ready: &ReadyMigration,
        others: OtherWriters,
    ) -> Result<Option<Migrated>, SwapError> {
        let service = &deployment.spec.name;
        let Some(bucket) = &deployment.grants.state else { return Ok(None) };
        let ReadyMigration { overlay, noted, from, to } = ready;
        let (note, migrated) = (DataFormat::of(bucket), Migrated { from: *from, to: *to });
        let mut transaction = overlay.as_ref().map(|overlay| overlay.transaction()).unwrap_or_default();
        let keys = transaction.writes.len();
        let due = (others == OtherWriters::MayFollow).then_some(*from);
        let format = Some(*to).filter(|to| *to != UNNUMBERED);
        transaction.beside.push(note.change(*noted, format, due));
        match bucket.commit_whole(transaction).await {
            Ok(_) => {}
            Err(StateError::Conflict { .. } | StateError::ConflictBeside { .. } | StateError::Overloaded) => {
                return Ok(None);
            }
            // An error of the disk does not say whether the commit is on it.
            Err(error) => match note.read().await {
                Ok(now) if now == *noted => return Err(store(service, error)),
                Ok(now) if now.format == format => {}
                _ => return Err(SwapError::MigrationInDoubt(service.clone(), error.to_string())),
            },
        }
        if noted.format.is_some_and(|data| data > *to) {
            self.still_empty(deployment, bucket, ready).await?;
        }
        tracing::info!(%service, from, to, keys, "the data are migrated");
        Ok(Some(migrated))
    }

    /// There were no data, and the note says an older format now. If data of the newer one have come meanwhile, the
    /// note is put back.
    async fn still_empty(
        &self,
        deployment: &Deployment,
        bucket: &Bucket,
        ready: &ReadyMigration,
    ) -> Result<(), SwapError> {
        let service = &deployment.spec.name;
        let found = bucket.keys(Vec::new(), None, 1).await.map_err(|error| store(service, error))?;
        if found.items.is_empty() {
            return Ok(());
        }
        let (note, NotedFormat { format, sweep_from, .. }) = (DataFormat::of(bucket), ready.noted);
        let now = note.read().await.map_err(|error| store(service, error))?;
        note.write(now, format, sweep_from).await.map_err(|error| store(service, error))?;
        let data = format.unwrap_or(UNNUMBERED);
        Err(SwapError::NewerData { service: service.clone(), data, revision: ready.to })
    }

    /// Runs a migration and commits it, for a revision that serves already, or that nothing serves beside.
    ///
    /// # Errors
    /// As [`Rollout::run_migration`] and [`Rollout::commit_migration`].
    pub(super) async fn migrate(
        &self,
        deployment: &Deployment,
        revision: &Revision,
        others: OtherWriters,
    ) -> Result<Option<Migrated>, SwapError> {
        for _ in 0..TRIES {
            let Some(ready) = self.run_migration(deployment, revision).await? else { return Ok(None) };
            if let Some(migrated) = self.commit_migration(deployment, &ready, others).await? {
                return Ok(Some(migrated));
            }
        }
        Err(too_fast(deployment))
    }
}

/// The service changes its data faster than they can be migrated.
pub(super) fn too_fast(deployment: &Deployment) -> SwapError {
    let text = format!("each of {TRIES} runs lost against calls that changed the same keys; switch `maintenance` on");
    SwapError::Migration(deployment.spec.name.clone(), text)
}

/// One run of a migration.
struct MigrationRun<'a> {
    rollout: &'a Rollout,
    deployment: &'a Deployment,
    revision: &'a Revision,
    bucket: &'a Bucket,
}

impl MigrationRun<'_> {
    fn on(&self, overlay: &Arc<Overlay>) -> Result<Migration, SwapError> {
        let (runtime, limits) = (&self.rollout.runtime, &self.deployment.spec.replicas.limits);
        let migration = Migration::of(runtime, self.revision, limits, overlay.bucket(self.bucket));
        let none = || SwapError::Migration(self.deployment.spec.name.clone(), "it has no migration".into());
        migration.ok_or_else(none)
    }

    async fn migrate(&self, migration: &Migration, from: u32) -> Result<(), SwapError> {
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
