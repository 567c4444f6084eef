//! The snapshots of one service's data: files beside the database.

use super::spooled_data::{failed, on_disk};
use crate::admin::{OperationError, OperationErrorKind, SnapshotView};
use crate::base::{ServiceName, utc};
use crate::state::BucketExport;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

/// The most snapshots of one service: whoever makes them also takes them away.
const MOST: usize = 100;
const ENDING: &str = ".jsonl";
/// The ending of a snapshot that is not whole yet.
const PART: &str = ".part";
/// The ending of an import that has just got its file, and takes its name away.
const SPOOLED: &str = ".tmp";
/// A time as names have it, with a digit for each `0`: no service's name has capitals, so no name of a snapshot can be
/// the end of a service's name.
const TIME: &[u8] = b"00000000T000000.000Z";

/// The folder, for one service. A snapshot's name is the time when it was made, and the version of the database then:
/// `20261128T111500.123Z-812`. The version alone would name other data after the database was restored.
#[derive(Clone)]
pub(in crate::app) struct SnapshotFolder {
    path: PathBuf,
    service: ServiceName,
}

impl SnapshotFolder {
    /// The snapshots of `service` in the folder `path`.
    pub(super) fn of(path: &Path, service: &ServiceName) -> Self {
        Self { path: path.to_owned(), service: service.clone() }
    }

    /// The path of the folder that belongs to the database `database`.
    pub(in crate::app) fn beside(database: &Path) -> PathBuf {
        database.with_extension("snapshots")
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{}-{name}{ENDING}", self.service))
    }

    /// Opens a snapshot.
    pub(super) async fn open(&self, name: &str) -> Result<File, OperationError> {
        let none = || {
            let message = format!("`{}` has no snapshot `{name}`: `atoll state snapshots` lists them", self.service);
            OperationError::new(OperationErrorKind::NoSnapshot, message)
        };
        if !is_name(name) {
            return Err(none());
        }
        let path = self.file(name);
        let opened = on_disk(move || match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        });
        opened.await?.ok_or_else(none)
    }

    /// The snapshots, the oldest first.
    pub(super) async fn list(&self) -> Result<Vec<SnapshotView>, OperationError> {
        let (folder, prefix) = (self.path.clone(), format!("{}-", self.service));
        on_disk(move || listed(&folder, &prefix)).await
    }

    /// Writes a snapshot: whole under its name, or not at all. No other file is overwritten.
    pub(super) async fn write(&self, mut export: BucketExport) -> Result<SnapshotView, OperationError> {
        if self.list().await?.len() >= MOST {
            let message =
                format!("there are {MOST} snapshots of `{}`: remove files of {}", self.service, self.path.display());
            return Err(OperationError::new(OperationErrorKind::Conflict, message));
        }
        let (folder, service) = (self.path.clone(), self.service.clone());
        let mut part = on_disk(move || PartFile::create(&folder, &service)).await?;
        let mut bytes = 0;
        while let Some(piece) = export.next().await.map_err(failed)? {
            bytes += piece.len() as u64;
            part = on_disk(move || part.file.write_all(&piece).map(|()| part)).await?;
        }
        let (version, folder) = (export.header().version, self.clone());
        let name = on_disk(move || folder.publish(&part, version)).await?;
        let path = self.file(&name).display().to_string();
        tracing::info!(service = %self.service, path, bytes, "a snapshot of the data was made");
        Ok(SnapshotView { name, path, bytes })
    }

    /// Gives a file that is whole its name, for good. Blocks.
    fn publish(&self, part: &PartFile, version: u64) -> io::Result<String> {
        part.file.sync_all()?;
        let name = loop {
            let name = name_of(SystemTime::now(), version);
            // A second name for the file, and not a rename: that would take the place of what is there.
            match fs::hard_link(&part.path, self.file(&name)) {
                // Made in the same millisecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => thread::yield_now(),
                linked => break linked.map(|()| name)?,
            }
        };
        File::open(&self.path)?.sync_all()?;
        Ok(name)
    }

    /// Removes what a host that was killed has left in the folder `path`: snapshots and imports that are not whole.
    /// Nobody else may use the folder meanwhile. Blocks.
    pub(in crate::app) fn sweep(path: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(PART) || (name.starts_with("import-") && name.ends_with(SPOOLED)) {
                fs::remove_file(&path)?;
                tracing::warn!(path = %path.display(), "removed what a host that was killed had begun to write");
            }
        }
        Ok(())
    }
}

/// A snapshot that is being written. Its own name goes with it, whatever becomes of it.
struct PartFile {
    path: PathBuf,
    file: File,
}

impl PartFile {
    /// A new file in `folder`, for the host's user alone. Blocks.
    fn create(folder: &Path, service: &ServiceName) -> io::Result<Self> {
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
                File::open(above)?.sync_all()?;
            }
        }
        let path = folder.join(format!("{service}-{:016x}{PART}", rand::random::<u64>()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // What cannot be removed now goes at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// The name of a snapshot that was made at `time`.
fn name_of(time: SystemTime, version: u64) -> String {
    format!("{}-{version}", utc(time).replace(['-', ':'], ""))
}

fn listed(folder: &Path, prefix: &str) -> io::Result<Vec<SnapshotView>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(ENDING));
        if let Some(name) = name.filter(|name| is_name(name)) {
            let (path, bytes) = (entry.path().display().to_string(), entry.metadata()?.len());
            found.push(SnapshotView { name: name.to_owned(), path, bytes });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// A time and a version: nothing that could be another path.
fn is_name(name: &str) -> bool {
    let Some((time, rest)) = name.as_bytes().split_at_checked(TIME.len()) else { return false };
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let version = rest.strip_prefix(b"-").unwrap_or_default();
    time.iter().zip(TIME).all(fits) && (1..=20).contains(&version.len()) && version.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Change, Settings, Store, Transaction, ValueForm};

    async fn bucket(folder: &Path) -> crate::state::Bucket {
        let store = Store::open(&Settings { path: folder.join("state.redb"), ..Settings::default() }).unwrap();
        let bucket = store.bucket(&ServiceName::new("users").unwrap());
        let writes = vec![(b"k".to_vec(), Change::Put(b"v".to_vec()))];
        bucket.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
        bucket
    }

    fn files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    async fn export(bucket: &crate::state::Bucket) -> BucketExport {
        BucketExport::begin(bucket, ValueForm::Plain).await.unwrap()
    }

    #[tokio::test]
    async fn snapshots_at_one_version_are_each_whole_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = bucket(folder.path()).await;
        let snapshots = SnapshotFolder::of(&folder.path().join("snapshots"), bucket.service());
        let (one, other) = tokio::join!(snapshots.write(export(&bucket).await), snapshots.write(export(&bucket).await));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_ne!(one.name, other.name);
        assert!(one.name.ends_with("Z-1") && is_name(&one.name), "{}", one.name);
        assert_eq!(snapshots.list().await.unwrap().len(), 2);
        assert_eq!(fs::read(&one.path).unwrap(), fs::read(&other.path).unwrap());
        assert_eq!(files(snapshots.path()).len(), 2, "nothing else stays");
    }

    #[tokio::test]
    async fn what_is_not_whole_goes_after_an_error_and_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = bucket(folder.path()).await;
        let snapshots = SnapshotFolder::of(&folder.path().join("snapshots"), bucket.service());
        drop(PartFile::create(snapshots.path(), bucket.service()).unwrap());
        assert_eq!(files(snapshots.path()), Vec::<String>::new(), "as after an error of the disk");
        std::mem::forget(PartFile::create(snapshots.path(), bucket.service()).unwrap());
        fs::write(snapshots.path().join("import-07.tmp"), "").unwrap();
        fs::write(snapshots.path().join("of-somebody.txt"), "").unwrap();
        let whole = snapshots.write(export(&bucket).await).await.unwrap();
        SnapshotFolder::sweep(snapshots.path()).unwrap();
        let mut left = files(snapshots.path());
        left.sort();
        assert_eq!(left, ["of-somebody.txt".to_owned(), format!("users-{}.jsonl", whole.name)]);
        SnapshotFolder::sweep(&folder.path().join("none")).unwrap();
    }

    #[tokio::test]
    async fn a_name_is_a_time_and_a_version_and_never_another_path() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotFolder::of(folder.path(), &ServiceName::new("users").unwrap());
        let right = name_of(SystemTime::UNIX_EPOCH, u64::MAX);
        assert_eq!(right, "19700101T000000.000Z-18446744073709551615");
        assert!(is_name(&right));
        for wrong in ["", "812", "../x", "19700101T000000.000Z", "19700101T000000.000Z-", "19700101T000000/000Z-1"] {
            assert!(!is_name(wrong), "{wrong}");
            let refused = snapshots.open(wrong).await.unwrap_err();
            assert_eq!(refused.kind, OperationErrorKind::NoSnapshot);
        }
        let none = snapshots.open(&right).await.unwrap_err();
        assert_eq!(none.kind, OperationErrorKind::NoSnapshot);
        // Those of another service whose name begins alike are not listed.
        fs::write(folder.path().join(format!("users-old-{right}.jsonl")), "").unwrap();
        assert_eq!(snapshots.list().await.unwrap(), []);
    }
}
