//! The snapshots of one service's data: files beside the database.

use super::spooled_data::{failed, on_disk};
use crate::admin::{OperationError, OperationErrorKind, SnapshotView};
use crate::base::ServiceName;
use crate::state::BucketExport;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most snapshots of one service: whoever makes them also takes them away.
const MOST: usize = 100;
const ENDING: &str = ".jsonl";

/// The folder, for one service. A snapshot's name is the version of the database when it was made.
pub(super) struct SnapshotFolder {
    path: PathBuf,
    service: ServiceName,
}

impl SnapshotFolder {
    /// The snapshots of `service` in the folder `path`.
    pub(super) fn of(path: &Path, service: &ServiceName) -> Self {
        Self { path: path.to_owned(), service: service.clone() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{}-{name}{ENDING}", self.service))
    }

    /// Opens a snapshot.
    pub(super) async fn open(&self, name: &str) -> Result<File, OperationError> {
        let path = self.file(name);
        let none = || {
            let message = format!("`{}` has no snapshot `{name}`: `atoll state snapshots` lists them", self.service);
            OperationError::new(OperationErrorKind::Conflict, message)
        };
        if !is_name(name) || !path.exists() {
            return Err(none());
        }
        on_disk(move || File::open(path)).await
    }

    /// The snapshots, the oldest first.
    pub(super) async fn list(&self) -> Result<Vec<SnapshotView>, OperationError> {
        let (folder, prefix) = (self.path.clone(), format!("{}-", self.service));
        on_disk(move || listed(&folder, &prefix)).await
    }

    /// Writes a snapshot: whole under its name, or not at all.
    pub(super) async fn write(&self, mut export: BucketExport) -> Result<SnapshotView, OperationError> {
        let name = export.header().version.to_string();
        let path = self.file(&name);
        let before = self.list().await?;
        // Nothing was committed since, so it has the same data.
        if let Some(same) = before.iter().find(|one| one.name == name) {
            return Ok(same.clone());
        }
        if before.len() >= MOST {
            let message =
                format!("there are {MOST} snapshots of `{}`: remove files of {}", self.service, self.path.display());
            return Err(OperationError::new(OperationErrorKind::Conflict, message));
        }
        let (aside, folder) = (path.with_extension("part"), self.path.clone());
        let mut file = {
            let aside = aside.clone();
            on_disk(move || begin(&folder, &aside)).await?
        };
        let mut bytes = 0;
        while let Some(piece) = export.next().await.map_err(failed)? {
            bytes += piece.len() as u64;
            file = on_disk(move || file.write_all(&piece).map(|()| file)).await?;
        }
        let (target, folder) = (path.clone(), self.path.clone());
        on_disk(move || {
            file.sync_all()?;
            fs::rename(&aside, &target)?;
            File::open(&folder)?.sync_all()
        })
        .await?;
        tracing::info!(service = %self.service, path = %path.display(), bytes, "a snapshot of the data was made");
        Ok(SnapshotView { name, path: path.display().to_string(), bytes })
    }
}

fn begin(folder: &Path, aside: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside)
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
    found.sort_by_key(|snapshot| snapshot.name.parse::<u64>().unwrap_or_default());
    Ok(found)
}

/// A version of the database: nothing that could be another path.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_digit())
}
