//! Sagas that an earlier run of the host has left.

use super::journal::{SagaEntries, SagaJournal, SavedSagas};
use super::plan::SagaPlan;
use crate::saga::{JournalEntry, SagaRun};
use crate::state::StateError;
use std::sync::Arc;

/// A saga that goes on.
pub(super) struct RecoveredSaga {
    pub(super) id: String,
    pub(super) plan: Arc<SagaPlan>,
    pub(super) run: SagaRun,
    /// How many entries its journal has, and their bytes.
    pub(super) length: u32,
    pub(super) bytes: usize,
}

/// Reads every saga that has not ended. One that cannot go on, since its journal is damaged, is told and left as it is.
pub(super) async fn recover(journal: &SagaJournal, plans: &[Arc<SagaPlan>]) -> Result<Vec<RecoveredSaga>, StateError> {
    let saved = journal.load().await?;
    for id in &saved.damaged {
        tracing::error!(target: "saga", id, "the journal of a saga is damaged: it does not go on");
    }
    Ok(recovered(saved, plans))
}

/// Reads the saga `id`. `None`: it has ended, or cannot go on, which was told when the host started.
pub(super) async fn recover_one(
    journal: &SagaJournal,
    plans: &[Arc<SagaPlan>],
    id: &str,
) -> Result<Option<RecoveredSaga>, StateError> {
    Ok(recovered(journal.load_one(id).await?, plans).pop())
}

fn recovered(saved: SavedSagas, plans: &[Arc<SagaPlan>]) -> Vec<RecoveredSaga> {
    let by_digest: Vec<_> = plans.iter().map(|plan| (plan.definition.digest(), plan)).collect();
    let mut recovered = Vec::new();
    for (id, (entries, bytes)) in saved.live {
        let Some(JournalEntry::Started { definition, .. }) = entries.first() else {
            tracing::error!(target: "saga", id, "the journal of a saga has no beginning: it does not go on");
            continue;
        };
        let Some((_, plan)) = by_digest.iter().find(|(digest, _)| digest == definition) else {
            tracing::error!(target: "saga", id, definition, "a saga's definition is not known: it does not go on");
            continue;
        };
        match replay(plan, &id, &entries) {
            Some(run) => {
                let length = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                recovered.push(RecoveredSaga { id, plan: Arc::clone(plan), run, length, bytes });
            }
            None => {
                tracing::error!(target: "saga", id, "the entries of a saga contradict each other: it does not go on");
            }
        }
    }
    recovered
}

fn replay(plan: &SagaPlan, id: &str, entries: &SagaEntries) -> Option<SagaRun> {
    let (first, rest) = entries.split_first()?;
    let mut run = SagaRun::begin(Arc::clone(&plan.definition), id, first)?;
    if !rest.iter().all(|entry| run.apply(entry)) {
        return None;
    }
    run.recover();
    Some(run)
}
