//! The folder of the history.

use super::error::ArchiveError;
use super::service_record::ServiceRecord;
use crate::base::{Digest, ServiceName};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the history is, and how much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder; it is created if it is not there.
    pub path: PathBuf,
    /// The most revisions of a service that are kept: 1 to 1,000. Default 10.
    pub revisions: usize,
    /// How long a revision is kept that is not in use: 1 min to 10 years. Default 7 days.
    pub age: Duration,
}

/// What is called at each moment of each write: before it, with half of it on the disk, and right after it.
pub struct WriteHook(Box<dyn Fn() + Send + Sync>);

/// The history of all services of a host.
#[derive(Debug)]
pub struct Archive {
    settings: Settings,
    /// As they are on the disk. The lock is held while a file is written: two changes of one record cannot be written
    /// in the wrong order.
    records: Mutex<BTreeMap<ServiceName, ServiceRecord>>,
    /// What was kept and no record has named yet: a component is kept before its rollout is written down, and the end
    /// of another rollout must not remove it in between.
    unnamed: Mutex<BTreeSet<Digest>>,
    hook: WriteHook,
    /// Held as long as the host runs.
    _lock: File,
}

/// Where the components lie, and where the records lie, in the folder.
const COMPONENTS: &str = "components";
const SERVICES: &str = "services";

impl WriteHook {
    /// Calls `hook`.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(hook))
    }
}

impl Default for WriteHook {
    /// Nobody looks on.
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl fmt::Debug for WriteHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteHook")
    }
}

impl Archive {
    /// Opens the folder, and reads the records in it.
    ///
    /// # Errors
    /// It cannot be read or written, another host has it, or a record is damaged.
    pub fn open(settings: &Settings) -> Result<Self, ArchiveError> {
        Self::open_watched(settings, WriteHook::default())
    }

    /// As [`Archive::open`], for a test that looks on at the writes.
    ///
    /// # Errors
    /// As there.
    pub fn open_watched(settings: &Settings, hook: WriteHook) -> Result<Self, ArchiveError> {
        let path = settings.path.as_path();
        for folder in [COMPONENTS, SERVICES] {
            fs::create_dir_all(path.join(folder)).map_err(|source| failed(&path.join(folder), source))?;
        }
        let lock = path.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(|source| failed(&lock, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::InUse(path.into())),
            Err(TryLockError::Error(source)) => return Err(failed(&lock, source)),
        }
        let records = Mutex::new(read_records(&path.join(SERVICES))?);
        Ok(Self { settings: settings.clone(), records, unnamed: Mutex::default(), hook, _lock: file })
    }

    /// The record of a service; an empty one if there is none.
    pub fn record(&self, service: &ServiceName) -> ServiceRecord {
        self.records().get(service).cloned().unwrap_or_default()
    }

    /// Changes the record of a service, and returns when it is on the disk.
    ///
    /// # Errors
    /// It could not be written. Then it is as it was.
    pub fn change<T>(
        &self,
        service: &ServiceName,
        change: impl FnOnce(&mut ServiceRecord) -> T,
    ) -> Result<T, ArchiveError> {
        let mut records = self.records();
        let mut record = records.get(service).cloned().unwrap_or_default();
        let result = change(&mut record);
        record.prune(self.settings.revisions, seconds(SystemTime::now()).saturating_sub(self.settings.age.as_secs()));
        let path = self.settings.path.join(SERVICES).join(format!("{service}.json"));
        let text = serde_json::to_vec_pretty(&record).expect("texts and numbers are JSON");
        self.write_whole(&path, &text)?;
        self.unnamed().retain(|digest| !record.names(&digest.to_string()));
        records.insert(service.clone(), record);
        Ok(result)
    }

    /// Keeps a component, and returns when it is on the disk.
    ///
    /// # Errors
    /// It could not be written.
    pub fn keep(&self, component: &[u8]) -> Result<Digest, ArchiveError> {
        let digest = Digest::of(component);
        let path = self.file(&digest);
        // Before its file is there: see `sweep`.
        self.unnamed().insert(digest);
        // A file that was damaged is written anew.
        let is_kept = fs::read(&path).is_ok_and(|kept| Digest::of(&kept) == digest);
        if !is_kept {
            self.write_whole(&path, component)?;
        }
        Ok(digest)
    }

    /// A component that was kept.
    ///
    /// # Errors
    /// It is not there, it cannot be read, or it is not what its name says.
    pub fn load(&self, digest: &Digest) -> Result<Bytes, ArchiveError> {
        let path = self.file(digest);
        match fs::read(&path) {
            Ok(component) if Digest::of(&component) == *digest => Ok(component.into()),
            Ok(_) => Err(ArchiveError::Damaged(*digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ArchiveError::Gone(*digest)),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// The file of a component.
    pub fn file(&self, digest: &Digest) -> PathBuf {
        self.settings.path.join(COMPONENTS).join(format!("{digest}.wasm"))
    }

    /// The digest that a service's history has for its first digits, at least 6 of them; `None` if it has none, or
    /// several.
    pub fn find(&self, service: &ServiceName, digits: &str) -> Option<String> {
        let record = self.record(service);
        let known = record.entries.iter().map(|entry| entry.digest.as_str()).chain(record.in_use());
        let digits = digits.trim_end_matches('…').to_ascii_lowercase();
        let found: BTreeSet<&str> = known.filter(|digest| digits.len() >= 6 && digest.starts_with(&digits)).collect();
        if found.len() == 1 { found.first().map(|digest| (*digest).to_owned()) } else { None }
    }

    /// Removes the components that no record names, unless one may name them yet. `also`: digests that are in use.
    pub fn sweep(&self, also: &[Digest]) {
        let records = self.records();
        let entries = records.values().flat_map(|record| record.entries.iter().map(|entry| entry.digest.clone()));
        let used =
            records.values().flat_map(|record| record.in_use().into_iter().map(str::to_owned).collect::<Vec<_>>());
        let unnamed = self.unnamed();
        let also = also.iter().chain(&*unnamed).map(ToString::to_string);
        let named: BTreeSet<String> = entries.chain(used).chain(also).collect();
        let Ok(files) = fs::read_dir(self.settings.path.join(COMPONENTS)) else { return };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let is_named = name.strip_suffix(".wasm").is_some_and(|digest| named.contains(digest));
            if !is_named && let Err(error) = fs::remove_file(file.path()) {
                tracing::warn!(file = name, %error, "a component that nobody needs stays in the history");
            }
        }
    }

    /// Writes a file so that there is the old one or the whole new one after a crash.
    fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), ArchiveError> {
        let aside = path.with_extension("tmp");
        let write = || {
            (self.hook.0)();
            let mut file = File::create(&aside)?;
            let (half, rest) = content.split_at(content.len() / 2);
            file.write_all(half)?;
            (self.hook.0)();
            file.write_all(rest)?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            (self.hook.0)();
            // The name is in the folder, which has to reach the disk too.
            let folder = path.parent().unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| failed(path, source))
    }

    fn unnamed(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.unnamed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<ServiceName, ServiceRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_records(folder: &Path) -> Result<BTreeMap<ServiceName, ServiceRecord>, ArchiveError> {
    let mut records = BTreeMap::new();
    for file in fs::read_dir(folder).map_err(|source| failed(folder, source))?.flatten() {
        let path = file.path();
        // What a crash left half written has another ending.
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) else { continue };
        let Ok(name) = ServiceName::new(name) else { continue };
        let text = fs::read(&path).map_err(|source| failed(&path, source))?;
        let unreadable = |error: serde_json::Error| ArchiveError::Unreadable {
            path: path.clone(),
            reason: format!("{error}: repair it, or move it away to begin anew"),
        };
        records.insert(name, serde_json::from_slice(&text).map_err(unreadable)?);
    }
    Ok(records)
}

fn failed(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Io { path: path.into(), source }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
