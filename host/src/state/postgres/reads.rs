//! Reads of the tables, as every database server is asked for them.

use super::read_pool::ReadPool;
use super::read_session::ReadKind;
use super::rows;
use super::snapshot::PostgresSnapshot;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::remote::{ListedRange, RemoteReader};
use crate::state::transaction::{Entry, Key, Page, Versioned};
use std::sync::Arc;

impl RemoteReader for ReadPool {
    type Snapshot = PostgresSnapshot;

    async fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let found = self.rows(ReadKind::Get, &rows::get_params(&bucket.as_str(), &keys)).await?;
        rows::values(&found, keys.len()).map_err(|error| self.sessions.error(&error))?
    }

    async fn scan(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Entry>, StateError> {
        let (bounds, bucket) = (rows::RowRange::of(range), bucket.as_str());
        let found = self.rows(ReadKind::Scan, &bounds.scan_params(&bucket)).await?;
        rows::entries(&found).map_err(|error| self.sessions.error(&error))
    }

    async fn keys(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Key>, StateError> {
        let (bounds, bucket) = (rows::RowRange::of(range), bucket.as_str());
        let found = self.rows(ReadKind::Keys, &bounds.keys_params(&bucket)).await?;
        rows::keys(&found, range.limit).map_err(|error| self.sessions.error(&error))
    }

    async fn snapshot(self: &Arc<Self>) -> Result<PostgresSnapshot, StateError> {
        PostgresSnapshot::begin(&self.sessions).await
    }

    async fn probe(&self) -> Result<(), StateError> {
        let nothing: &[Key] = &[];
        self.rows(ReadKind::Get, &rows::get_params(&"", &nothing)).await.map(drop)
    }

    fn close(&self) {
        self.close_all();
    }
}
