//! The data of the host without services.

use super::data_operations::{DataOperations, DataPieces, DataSource};
use super::data_view::{ImportedView, SnapshotView};
use super::fake::Fake;
use super::operation_error::OperationError;
use bytes::Bytes;
use futures_util::TryStreamExt;

impl DataOperations for Fake {
    async fn export(&self, _: &str) -> Result<DataPieces, OperationError> {
        let pieces = ["{\"a\":1}\n", "{\"end\":1}\n"].map(|piece| Ok(Bytes::from(piece)));
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }

    async fn import(&self, _: &str, source: DataSource, replaces: bool) -> Result<ImportedView, OperationError> {
        let text = match source {
            DataSource::Snapshot(name) => format!("snapshot {name}"),
            DataSource::Upload(pieces) => {
                let pieces: Vec<Bytes> = pieces.try_collect().await?;
                String::from_utf8_lossy(&pieces.concat()).into_owned()
            }
        };
        let written = text.len() as u64;
        self.imports.lock().expect("no test panics with it").push((text, replaces));
        Ok(ImportedView { written, same: 0 })
    }

    async fn snapshot(&self, service: &str) -> Result<SnapshotView, OperationError> {
        Ok(SnapshotView { name: "7".into(), path: format!("{service}-7.jsonl"), bytes: 70 })
    }

    async fn snapshots(&self, service: &str) -> Result<Vec<SnapshotView>, OperationError> {
        Ok(vec![self.snapshot(service).await?])
    }
}
