//! The database of a manifest that has no need of one, where an earlier manifest has left sagas that have not ended.

use super::saga_plans::pinned_sagas;
use crate::state::{self, StateError, Store};
use anyhow::Context;
use tokio::task::spawn_blocking;

/// What an operator can do about a database that cannot be read.
const WAY_OUT: &str = "no section of the manifest needs a database, but sagas of an earlier one may not have ended in \
                       it: make it readable, or move the file away to give them up";

/// The store, if sagas in it have not ended: they go on, whatever the manifest says. `None`: it is closed again, or
/// there is none.
///
/// # Errors
/// The database cannot be read, so nobody knows whether it has such sagas.
pub(super) async fn store(settings: &state::Settings) -> anyhow::Result<Option<Store>> {
    if !settings.path.exists() {
        return Ok(None);
    }
    let copy = settings.clone();
    let store = match spawn_blocking(move || Store::open(&copy)).await.context("opening the store")? {
        Ok(store) => store,
        // The sagas in it are those of another host, or there are none.
        Err(StateError::InUse { .. } | StateError::NotADatabase { .. }) => return Ok(None),
        Err(error) => return Err(anyhow::Error::from(error).context(WAY_OUT)),
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
