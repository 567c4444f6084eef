//! Exports, imports and snapshots of a service's data, for the admin.

use super::HostOperations;
use super::snapshot_folder::SnapshotFolder;
use super::spooled_data::{SpooledData, failed, kind_of};
use crate::admin::{
    DataOperations, DataPieces, DataSource, ImportedView, OperationError, OperationErrorKind, SnapshotView,
};
use crate::base::ServiceName;
use crate::state::{Bucket, BucketExport, BucketImport, DataFormat, ImportCounts, NotedFormat, StateError, ValueForm};
use bytes::Bytes;
use futures_util::stream::unfold;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long an operator may let an export wait, and how long all of it may take. Until its end the database's file
/// keeps what was there at its beginning, and grows with all that is written.
const STALL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);

/// A piece of an export; `None`: there are no more.
type SentPiece = Result<Option<Bytes>, OperationError>;
type PieceReceiver = mpsc::Receiver<SentPiece>;

/// The data of one service, with the note of their format.
struct ServiceData {
    name: ServiceName,
    bucket: Bucket,
    format: DataFormat,
}

impl DataOperations for HostOperations {
    async fn export(&self, service: &str) -> Result<DataPieces, OperationError> {
        let data = self.data_of(service).await?;
        let mut export = data.export(ValueForm::Plain).await?;
        // Before the answer begins: what cannot be read is an error with its reason, as long as it can be one.
        let mut first = Vec::new();
        for _ in 0..2 {
            first.extend(export.next().await.map_err(failed)?);
        }
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(send_all(first, export, sender));
        Ok(Box::pin(unfold(Some(pieces), next_piece)))
    }

    async fn import(&self, service: &str, source: DataSource, replaces: bool) -> Result<ImportedView, OperationError> {
        let data = self.data_of(service).await?;
        let folder = SnapshotFolder::of(&self.snapshots, &data.name);
        let spooled = match source {
            DataSource::Upload(pieces) => SpooledData::receive(folder.path(), pieces).await?,
            DataSource::Snapshot(name) => SpooledData::of(folder.open(&name).await?),
        };
        let counts = data.import(spooled, replaces).await?;
        tracing::warn!(service, written = counts.written, same = counts.same, "an operator has imported data");
        Ok(ImportedView { written: counts.written, same: counts.same })
    }

    async fn snapshot(&self, service: &str) -> Result<SnapshotView, OperationError> {
        let data = self.data_of(service).await?;
        let export = data.export(ValueForm::Stored).await?;
        SnapshotFolder::of(&self.snapshots, &data.name).write(export).await
    }

    async fn snapshots(&self, service: &str) -> Result<Vec<SnapshotView>, OperationError> {
        let data = self.data_named(service)?;
        let found = SnapshotFolder::of(&self.snapshots, &data.name).list().await?;
        if found.is_empty() {
            self.known(&data).await?;
            self.is_here(&data).await?;
        }
        Ok(found)
    }
}

impl HostOperations {
    /// The data of a service that the manifest has, or that has left some.
    async fn data_of(&self, service: &str) -> Result<ServiceData, OperationError> {
        let data = self.data_named(service)?;
        self.known(&data).await?;
        self.is_here(&data).await?;
        Ok(data)
    }

    /// Refuses the data of a service that stand on another node.
    pub(super) async fn must_have_data(&self, service: &str) -> Result<(), OperationError> {
        self.is_here(&self.data_named(service)?).await
    }

    /// Refuses data that stand on another node: an export would be empty, and an import would go where nobody looks.
    async fn is_here(&self, data: &ServiceData) -> Result<(), OperationError> {
        let name = data.name.as_str();
        let Some(cluster) = self.cluster.as_ref().filter(|_| !self.rollout.stands_here(name)) else { return Ok(()) };
        let is_component = self.rollout.digest(name).is_some();
        if !is_component || !data.bucket.keys(Vec::new(), None, 1).await.map_err(failed)?.items.is_empty() {
            return Ok(());
        }
        let view = cluster.view().borrow().clone();
        let with: Vec<_> = view.others().filter(|row| row.service(name).is_some()).collect();
        let with: Vec<_> = with.iter().map(|row| format!("`{}`", row.name)).collect();
        let where_to = if with.is_empty() {
            "no node that this one knows has any now".to_owned()
        } else {
            format!("ask the admin of {}, which has", with.join(" or "))
        };
        let message = format!("`{name}` has no instances on this node, `{}`, and so no data: {where_to}", view.own);
        Err(OperationError::new(OperationErrorKind::Conflict, message))
    }

    fn data_named(&self, service: &str) -> Result<ServiceData, OperationError> {
        let name = ServiceName::new(service)
            .map_err(|error| OperationError::caused_by(OperationErrorKind::NotFound, error))?;
        let store = self.store()?;
        let bucket = store.bucket(&name);
        Ok(ServiceData { format: DataFormat::of(&bucket), bucket, name })
    }

    /// Refuses a name with a typing error: an export of it would be empty, and an import would go where nobody looks.
    async fn known(&self, data: &ServiceData) -> Result<(), OperationError> {
        let is_named = self.grants.contains_key(data.name.as_str());
        if is_named || !data.bucket.keys(Vec::new(), None, 1).await.map_err(failed)?.items.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.grants.keys().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "the manifest has no service `{}`, and there are no data of it; the services are {}",
            data.name,
            names.join(", ")
        );
        Err(OperationError::new(OperationErrorKind::NotFound, message))
    }
}

/// Sends the pieces of an export, the first of which are read already, and that they have come to their end, as long as
/// somebody takes them in time.
async fn send_all(first: Vec<Bytes>, mut export: BucketExport, sender: mpsc::Sender<SentPiece>) {
    let (began, mut first) = (Instant::now(), first.into_iter());
    loop {
        let piece = match first.next() {
            Some(piece) => Ok(Some(piece)),
            None => export.next().await,
        };
        if let Err(error) = &piece {
            tracing::error!(target: "store", error = error.with_causes(), "an export of data broke off");
        }
        let piece = piece.map_err(failed);
        let is_last = !matches!(piece, Ok(Some(_)));
        let sent = timeout(STALL, sender.send(piece)).await;
        if is_last {
            return;
        }
        if !matches!(sent, Ok(Ok(()))) || began.elapsed() > LONGEST {
            tracing::warn!("an export of data was given up: nobody took its pieces in time");
            return;
        }
    }
}

/// The next piece, and what comes after it. Without a word of the end there is an error: what broke off must not look
/// like what has ended.
async fn next_piece(pieces: Option<PieceReceiver>) -> Option<(Result<Bytes, OperationError>, Option<PieceReceiver>)> {
    let mut pieces = pieces?;
    match pieces.recv().await {
        Some(Ok(Some(piece))) => Some((Ok(piece), Some(pieces))),
        Some(Ok(None)) => None,
        Some(Err(error)) => Some((Err(error), None)),
        None => {
            let late = "the export took too long, and was given up";
            Some((Err(OperationError::new(OperationErrorKind::Internal, late)), None))
        }
    }
}

impl ServiceData {
    async fn export(&self, form: ValueForm) -> Result<BucketExport, OperationError> {
        BucketExport::begin(&self.bucket, form).await.map_err(failed)
    }

    /// Looks at all entries first, and then puts them in, batch by batch.
    async fn import(&self, spooled: SpooledData, replaces: bool) -> Result<ImportCounts, OperationError> {
        let import = BucketImport::new(self.bucket.clone(), replaces);
        let mut lines = spooled.lines(&self.bucket).await?;
        let format = lines.header().format;
        let noted = self.fits(format).await?;
        while let Some(entries) = lines.next().await? {
            if let Some(key) = import.obstacle(&entries).await.map_err(failed)? {
                let key = key.escape_ascii();
                let message = format!(
                    "key `{key}` is there with another value, so nothing was imported: `replace` gives such keys the \
                     new value"
                );
                return Err(OperationError::new(OperationErrorKind::Conflict, message));
            }
        }
        if noted.format != format || (noted.sweep_from.is_some() && self.is_empty().await?) {
            // Before the entries: whoever reads them later, also after a crash, knows what they are.
            self.format.write(noted, format, None).await.map_err(failed)?;
            self.is_still_empty(noted, format).await?;
        }
        let (mut counts, mut lines) = (ImportCounts::default(), spooled.lines(&self.bucket).await?);
        while let Some(entries) = lines.next().await? {
            let batch = import.apply(&entries).await.map_err(|error| interrupted(&counts, error))?;
            counts.written += batch.written;
            counts.same += batch.same;
        }
        Ok(counts)
    }

    /// The note, if data of this format may come to those that are there.
    async fn fits(&self, format: Option<u32>) -> Result<NotedFormat, OperationError> {
        let noted = self.format.read().await.map_err(failed)?;
        if noted.format == format || self.is_empty().await? {
            return Ok(noted);
        }
        Err(self.misfit(noted.format, format))
    }

    async fn is_empty(&self) -> Result<bool, OperationError> {
        Ok(self.bucket.keys(Vec::new(), None, 1).await.map_err(failed)?.items.is_empty())
    }

    /// The note says another format now, since there were no data. If the service has written some meanwhile, the note
    /// is put back.
    async fn is_still_empty(&self, noted: NotedFormat, format: Option<u32>) -> Result<(), OperationError> {
        if self.is_empty().await? {
            return Ok(());
        }
        let now = self.format.read().await.map_err(failed)?;
        self.format.write(now, noted.format, noted.sweep_from).await.map_err(failed)?;
        Err(self.misfit(noted.format, format))
    }

    fn misfit(&self, there: Option<u32>, new: Option<u32>) -> OperationError {
        let [there, new] = [there, new].map(|format| format.map_or("none".into(), |format| format.to_string()));
        let service = &self.name;
        let message = format!(
            "the data of `{service}` have format {there}, and those of the file have {new}: to go back to them, switch \
             maintenance on (`atoll maintenance on`), so that nothing is written meanwhile, and erase the data first \
             (`atoll state erase {service}`)"
        );
        OperationError::new(OperationErrorKind::Conflict, message)
    }
}

/// An import that ended in the middle: it can be made again.
fn interrupted(counts: &ImportCounts, error: StateError) -> OperationError {
    let done = counts.written + counts.same;
    let message = format!("after {done} entries: {error}. What was imported stays; the import can be made again");
    OperationError::new(kind_of(&error), message)
}
