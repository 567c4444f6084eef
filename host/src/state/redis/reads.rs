//! Reads of the data, as every database server is asked for them.

use super::pages;
use super::reader::RedisReader;
use super::resp::RespArguments;
use super::script;
use super::snapshot::RedisSnapshot;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::remote::{ListedRange, RemoteReader};
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use std::sync::Arc;

impl RemoteReader for RedisReader {
    type Snapshot = RedisSnapshot;

    async fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let arguments = self.servers.arguments().with(bucket.as_str()).with(limit::BYTES.to_string());
        let arguments = keys.iter().fold(arguments, RespArguments::with);
        let answer = self.run(&script::GET, &arguments).await?;
        pages::values(answer, keys.len()).map_err(|_| self.servers.odd_answer())?
    }

    async fn scan(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Entry>, StateError> {
        let (from, to) = pages::bounds(range.prefix, range.after);
        let (most, bytes) = (range.limit.to_string(), limit::PAGE_BYTES.to_string());
        let arguments = self.servers.arguments().with(bucket.as_str()).with(from).with(to).with(most).with(bytes);
        pages::entries(self.run(&script::SCAN, &arguments).await?).map_err(|_| self.servers.odd_answer())
    }

    async fn keys(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Key>, StateError> {
        let ((from, to), most) = (pages::bounds(range.prefix, range.after), range.limit.saturating_add(1).to_string());
        let arguments = self.servers.arguments().with(bucket.as_str()).with(from).with(to).with(most);
        pages::keys(self.run(&script::KEYS, &arguments).await?, range.limit).map_err(|_| self.servers.odd_answer())
    }

    async fn snapshot(self: &Arc<Self>) -> Result<RedisSnapshot, StateError> {
        RedisSnapshot::begin(self).await
    }

    async fn probe(&self) -> Result<(), StateError> {
        self.look().await
    }

    fn close(&self) {
        self.close_session();
    }
}
