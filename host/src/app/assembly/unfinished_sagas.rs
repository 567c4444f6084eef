//! The database of a manifest that has no need of one, where an earlier manifest has left sagas that have not ended.

use super::saga_plans::pinned_sagas;
use crate::state::{self, StateError, Store};
use anyhow::Context;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// What an operator can do about a database that cannot be read.
const WAY_OUT: &str = "no section of the manifest needs a database, but sagas of an earlier one may not have ended in \
                       it: make it readable, or move the file away to give them up";

/// How long a host that is still draining may keep the database open.
const WAIT: Duration = Duration::from_secs(10);
/// The time between two tries to open it.
const AGAIN: Duration = Duration::from_millis(50);

/// The store, if sagas in it have not ended: they go on, whatever the manifest says. `None`: it is closed again, or
/// there is none.
///
/// # Errors
/// The database cannot be read, so nobody knows whether it has such sagas.
pub(in crate::app) async fn store(settings: &state::Settings) -> anyhow::Result<Option<Store>> {
    store_within(settings, WAIT).await
}

/// As [`store`], where another host may keep the database open for `wait`.
async fn store_within(settings: &state::Settings, wait: Duration) -> anyhow::Result<Option<Store>> {
    // A database server may be shared, and then has no sagas.
    if settings.remote.as_ref().map_or_else(|| !settings.path.exists(), |remote| remote.shared) {
        return Ok(None);
    }
    let (path, begun, mut told) = (settings.path.display(), Instant::now(), false);
    let store = loop {
        match Store::connect(settings).await {
            Ok(store) => break store,
            Err(StateError::NotADatabase { .. }) => return Ok(None),
            // It may be that of the host before, which is still draining.
            Err(StateError::InUse { .. }) if begun.elapsed() < wait => {
                if !told {
                    let seconds = wait.as_secs();
                    tracing::info!(%path, seconds, "another host has the database open: waiting, for its sagas");
                    told = true;
                }
                sleep(AGAIN).await;
            }
            Err(StateError::InUse { .. }) => {
                tracing::warn!(
                    target: "saga", %path,
                    "another host has the database open: sagas in it that have not ended go on there, or nowhere; if \
                     that host has ended since, restart this one"
                );
                return Ok(None);
            }
            Err(error) => return Err(anyhow::Error::from(error).context(WAY_OUT)),
        }
    };
    let unfinished = pinned_sagas(Some(&store)).await.context(WAY_OUT)?;
    if !unfinished.is_empty() {
        let names: Vec<_> = unfinished.iter().map(|definition| &*definition.name).collect();
        let sagas = names.join(", ");
        tracing::warn!(target: "saga", sagas, "sagas of an earlier manifest have not ended: they go on");
        return Ok(Some(store));
    }
    spawn_blocking(move || store.close()).await.context("closing the store")?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Names;
    use crate::coordinator::{Coordinator, MeshPerformer, SagaPlan, SagaSettings, StepTargets};
    use crate::mesh::{self, Mesh};
    use crate::saga::{SagaDefinition, SagaStep, StepAction};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A store with a saga that waits for an hour.
    async fn with_a_saga(settings: &state::Settings) -> Store {
        let action = StepAction::Pause(Duration::from_secs(3600));
        let step = SagaStep { name: "wait".into(), action, undo: None, pivot: false, timeout: None, tries: 1 };
        let deadline = Duration::from_secs(7200);
        let definition = SagaDefinition { name: "rest".into(), input: None, deadline, lock: None, steps: vec![step] };
        let targets = vec![StepTargets::default()];
        let plan = SagaPlan {
            definition: Arc::new(definition),
            input: None,
            targets,
            waits: BTreeMap::new(),
            is_current: true,
        };
        let store = Store::open(settings).unwrap();
        let mesh = MeshPerformer(Arc::new(Mesh::new(Arc::default(), mesh::Settings::default())));
        let sagas = Coordinator::start(&store, (vec![plan], Vec::new()), SagaSettings::default(), Arc::new(mesh))
            .await
            .unwrap();
        sagas.begin("rest", None, b"{}", Names::Snake).await.unwrap();
        sagas.stop(Duration::from_secs(60)).await;
        store
    }

    #[tokio::test]
    async fn the_sagas_of_a_host_that_is_still_draining_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let settings = state::Settings { path: folder.path().join("state.redb"), ..state::Settings::default() };
        let before = with_a_saga(&settings).await;
        // Somebody else's for good: the host goes on without it.
        assert!(store_within(&settings, Duration::ZERO).await.unwrap().is_none());
        let waiting = tokio::spawn({
            let settings = settings.clone();
            async move { store_within(&settings, Duration::from_secs(600)).await }
        });
        tokio::task::yield_now().await;
        spawn_blocking(move || before.close()).await.unwrap();
        let store = waiting.await.unwrap().unwrap().expect("a saga in it has not ended");
        assert_eq!(pinned_sagas(Some(&store)).await.unwrap().len(), 1);
    }
}
