//! The API keys, for the admin.

use super::HostOperations;
use crate::admin::{KeyOrder, KeyView, NewKeyView, OperationError, OperationErrorKind};
use crate::app::edge::key_file::{self, KeyFile, KeyFileError, KeyWish};
use crate::identity::KeyRecord;
use tokio::task::spawn_blocking;

impl HostOperations {
    pub(super) fn key_views(&self) -> Vec<KeyView> {
        let records = self.keys.as_ref().map(|keys| keys.records()).unwrap_or_default();
        records.into_iter().map(key_file::view).collect()
    }

    pub(super) async fn make_key(&self, order: KeyOrder) -> Result<NewKeyView, OperationError> {
        let KeyOrder { name, policy, scopes, lasts } = order;
        let wish = KeyWish { name, policy, scopes, lasts };
        let (key, record) = self.change_keys(move |keys| keys.create(wish)).await?;
        let KeyRecord { id, name, policy, .. } = &record;
        tracing::info!(id, name, policy, "an operator has created an API key");
        Ok(NewKeyView { key: key.text().to_owned(), about: key_file::view(record) })
    }

    pub(super) async fn end_key(&self, id: &str) -> Result<KeyView, OperationError> {
        let id = id.to_owned();
        let record = self.change_keys(move |keys| keys.revoke(&id)).await?;
        let KeyRecord { id, name, policy, .. } = &record;
        tracing::info!(id, name, policy, "an operator has revoked an API key");
        Ok(key_file::view(record))
    }

    /// Changes the API keys, on a thread that may wait for the disk. The change is made to its end, even if the
    /// operator disconnects.
    async fn change_keys<T: Send + 'static>(
        &self,
        change: impl FnOnce(&KeyFile) -> Result<T, KeyFileError> + Send + 'static,
    ) -> Result<T, OperationError> {
        let Some(keys) = self.keys.clone() else {
            let message = "no policy of the manifest has API keys: add a section [auth.NAME] with kind = \"api-key\"";
            return Err(OperationError::new(OperationErrorKind::Conflict, message));
        };
        let outcome = spawn_blocking(move || change(&keys)).await;
        let outcome = outcome.map_err(|error| OperationError::caused_by(OperationErrorKind::Internal, error))?;
        outcome.map_err(|error| {
            let kind = match error {
                KeyFileError::NoKey(_) => OperationErrorKind::NoKey,
                KeyFileError::NoPolicy(_) | KeyFileError::WhichPolicy(_) | KeyFileError::Full => {
                    OperationErrorKind::Conflict
                }
                KeyFileError::Write { .. } | KeyFileError::Random => OperationErrorKind::Internal,
            };
            OperationError::caused_by(kind, error)
        })
    }
}
