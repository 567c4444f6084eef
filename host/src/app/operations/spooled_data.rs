//! Data that are imported, on the disk: they are looked at as a whole before anything changes.

use crate::admin::{DataPieces, OperationError, OperationErrorKind};
use crate::state::{Bucket, BucketFileError, BucketHeader, BucketReader, Entry, StateError};
use futures_util::StreamExt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::task::spawn_blocking;

/// A file of data, to be read as often as needed. One that was received has no name: it goes with the process.
pub(super) struct SpooledData(File);

/// Its entries, batch by batch.
pub(super) struct DataLines {
    /// `None` only while a batch is read.
    reader: Option<BucketReader<BufReader<File>>>,
    header: BucketHeader,
    bucket: Bucket,
}

impl SpooledData {
    /// A file that is there.
    pub(super) fn of(file: File) -> Self {
        Self(file)
    }

    /// Puts what comes into a file in `folder`.
    pub(super) async fn receive(folder: &Path, mut pieces: DataPieces) -> Result<Self, OperationError> {
        let folder = folder.to_owned();
        let mut file = on_disk(move || nameless(&folder)).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            file = on_disk(move || file.write_all(&piece).map(|()| file)).await?;
        }
        Ok(Self(file))
    }

    /// Its entries from the beginning; `bucket` is where they go.
    pub(super) async fn lines(&self, bucket: &Bucket) -> Result<DataLines, OperationError> {
        let mut file = self.0.try_clone().map_err(disk)?;
        let reader = move || {
            // The clones share their place.
            file.rewind()?;
            Ok(BucketReader::new(BufReader::new(file)))
        };
        let reader = on_disk(reader).await?.map_err(wrong)?;
        let header = reader.header().clone();
        if header.sealed && header.service != bucket.service().as_str() {
            let message = format!(
                "its values are encrypted with the key of service `{}`, which alone can read them",
                header.service
            );
            return Err(OperationError::new(OperationErrorKind::BadData, message));
        }
        Ok(DataLines { reader: Some(reader), header, bucket: bucket.clone() })
    }
}

impl DataLines {
    pub(super) fn header(&self) -> &BucketHeader {
        &self.header
    }

    /// The next entries, with their values as they were written; `None` at the end of a file that is whole.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, OperationError> {
        let mut reader = self.reader.take().expect("it comes back after each batch, and after an error nobody asks");
        let (reader, batch) = on_disk(move || {
            let batch = reader.batch();
            Ok((reader, batch))
        })
        .await?;
        self.reader = Some(reader);
        let entries = batch.map_err(wrong)?;
        if entries.is_empty() {
            return Ok(None);
        }
        if self.header.sealed {
            return self.bucket.unseal(entries).await.map(Some).map_err(sealed);
        }
        Ok(Some(entries))
    }
}

/// A new file without a name.
fn nameless(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("import-{:016x}.tmp", rand::random::<u64>()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Does what waits for the disk.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, OperationError> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| OperationError::caused_by(OperationErrorKind::Internal, error))?.map_err(disk)
}

fn disk(error: io::Error) -> OperationError {
    let message = format!("the folder of snapshots cannot be used: {error}");
    OperationError::new(OperationErrorKind::Internal, message)
}

fn wrong(error: BucketFileError) -> OperationError {
    OperationError::new(OperationErrorKind::BadData, format!("nothing was imported: {error}"))
}

/// Why values that are encrypted cannot be read. It is no damage: their key went when the data were erased.
fn sealed(error: StateError) -> OperationError {
    match error {
        StateError::Corrupt { .. } => {
            let message = "nothing was imported: its values are encrypted with another key than the service has now";
            OperationError::new(OperationErrorKind::BadData, message)
        }
        other => failed(other),
    }
}

/// A failure of the store.
pub(super) fn failed(error: StateError) -> OperationError {
    OperationError::caused_by(kind_of(&error), error)
}

/// Whether a failure of the store is one of the host, or nothing that another try could not do.
pub(super) fn kind_of(error: &StateError) -> OperationErrorKind {
    match error {
        StateError::Closed | StateError::Conflict { .. } | StateError::ConflictBeside { .. } => {
            OperationErrorKind::Conflict
        }
        StateError::Overloaded => OperationErrorKind::Overloaded,
        _ => OperationErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_try_can_do_is_no_failure_of_the_host() {
        for (error, kind) in [
            (StateError::Closed, OperationErrorKind::Conflict),
            (StateError::Conflict { key: b"k".to_vec() }, OperationErrorKind::Conflict),
            (StateError::ConflictBeside { key: b"k".to_vec(), version: 7 }, OperationErrorKind::Conflict),
            (StateError::Overloaded, OperationErrorKind::Overloaded),
            (StateError::EmptyKey, OperationErrorKind::Internal),
        ] {
            assert_eq!(failed(error.clone()).kind, kind, "{error}");
        }
    }
}
