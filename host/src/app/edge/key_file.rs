//! The file of the API keys: what is kept of them, never the keys.

use crate::admin::KeyView;
use crate::gateway::SharedKeyRing;
use crate::identity::{ApiKey, KeyHash, KeyRecord, KeyRing};
use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The most keys. Each start reads them, and each change writes them all.
const MOST: usize = 10_000;

/// The file and the ring that is made of it, for the policies of one manifest. Its methods write to the disk, and
/// return when the change is there: so it survives the end of the host, and the next request sees it.
pub(in crate::app) struct KeyFile {
    /// The policies of API keys.
    policies: Vec<String>,
    kept: Arc<KeptKeys>,
}

/// What is kept of the keys of one file: once in a process, whatever manifests it serves. While one manifest takes the
/// place of another both answer requests, and a key that is revoked through one of them must be gone for both.
struct KeptKeys {
    path: PathBuf,
    ring: Arc<SharedKeyRing>,
    records: Mutex<Vec<KeyRecord>>,
}

/// Why a change of the keys failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum KeyFileError {
    #[error("there is no policy of the kind `api-key` with the name `{0}`")]
    NoPolicy(String),
    #[error("several policies have API keys: name the one that the key is for, of {0}")]
    WhichPolicy(String),
    #[error("there is no key `{0}`: `atoll key list` lists them")]
    NoKey(String),
    #[error("there are {MOST} keys already: revoke some of them")]
    Full,
    #[error("the key file {} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the operating system has no random bits")]
    Random,
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyList {
    version: u32,
    keys: Vec<KeyEntry>,
}

/// The form of this version.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: String,
    name: String,
    policy: String,
    scopes: BTreeSet<String>,
    /// In seconds since 1970, as is the next.
    created: u64,
    expires: Option<u64>,
    sha256: String,
}

/// A new key that an operator orders.
pub(in crate::app) struct KeyWish {
    pub(in crate::app) name: String,
    pub(in crate::app) policy: Option<String>,
    pub(in crate::app) scopes: BTreeSet<String>,
    pub(in crate::app) lasts: Option<Duration>,
}

impl KeyFile {
    /// Reads the file at `path`; there are no keys if it does not exist. The ring gets them.
    ///
    /// # Errors
    /// It cannot be read, or is no file of keys. Without the keys nobody could call, so that is no detail.
    pub(super) fn open(path: PathBuf, policies: Vec<String>) -> anyhow::Result<Self> {
        let kept = KeptKeys { path, ring: Arc::default(), records: Mutex::default() };
        kept.read_again()?;
        Ok(Self { policies, kept: Arc::new(kept) })
    }

    /// The same keys for the policies of the manifest that comes next; its file is the same, for `gateway.keys` changes
    /// with a restart alone. The file is read again: another host may have changed it.
    ///
    /// # Errors
    /// As [`KeyFile::open`].
    pub(super) fn succeeded(&self, policies: Vec<String>) -> anyhow::Result<Self> {
        self.kept.read_again()?;
        Ok(Self { policies, kept: Arc::clone(&self.kept) })
    }

    /// What requests are checked by.
    pub(super) fn ring(&self) -> &Arc<SharedKeyRing> {
        &self.kept.ring
    }

    /// All keys, in the order in which they were created.
    pub(in crate::app) fn records(&self) -> Vec<KeyRecord> {
        self.kept.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Creates a key, which is shown once, and what is kept of it.
    pub(in crate::app) fn create(&self, wish: KeyWish) -> Result<(ApiKey, KeyRecord), KeyFileError> {
        let policy = match (&wish.policy, &self.policies[..]) {
            (Some(policy), all) if all.contains(policy) => policy.clone(),
            (Some(policy), _) => return Err(KeyFileError::NoPolicy(policy.clone())),
            (None, [only]) => only.clone(),
            (None, all) => return Err(KeyFileError::WhichPolicy(format!("`{}`", all.join("`, `")))),
        };
        let (mut bits, mut id) = ([0; 32], [0; 6]);
        let random = SystemRandom::new();
        random.fill(&mut bits).and_then(|()| random.fill(&mut id)).map_err(|_| KeyFileError::Random)?;
        let key = ApiKey::from_random(bits);
        let now = now();
        let record = KeyRecord {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            name: wish.name,
            policy,
            scopes: wish.scopes,
            created: now,
            expires: wish.lasts.map(|lasts| now.saturating_add(lasts.as_secs())),
            hash: key.hash(),
        };
        let added = self.kept.change(|records| {
            if records.len() >= MOST {
                return Err(KeyFileError::Full);
            }
            records.push(record.clone());
            Ok(record)
        });
        added.map(|record| (key, record))
    }

    /// Removes the key `id`. The next request with it is refused.
    pub(in crate::app) fn revoke(&self, id: &str) -> Result<KeyRecord, KeyFileError> {
        self.kept.change(|records| {
            let at = records.iter().position(|record| record.id == id);
            at.map(|at| records.remove(at)).ok_or_else(|| KeyFileError::NoKey(id.to_owned()))
        })
    }
}

impl KeptKeys {
    /// Takes the keys that are in the file. No change of this process comes between the reading and the ring.
    fn read_again(&self) -> anyhow::Result<()> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        *records = read(&self.path).with_context(|| format!("the key file {}", self.path.display()))?;
        self.ring.replace(KeyRing::new(&*records));
        Ok(())
    }

    /// Changes the keys on the disk, then in memory. One change at a time, also among hosts: one that drains may still
    /// run beside the next one, and neither must undo what the other has changed. Each of them sees a key of the other
    /// after its next start or change.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| KeyFileError::Write { path: self.path.clone(), source };
        let _among_hosts = lock(&self.path).map_err(failed)?;
        let mut changed = read(&self.path).map_err(|error| failed(io::Error::other(format!("{error:#}"))))?;
        let outcome = change(&mut changed)?;
        write(&self.path, &changed).map_err(failed)?;
        self.ring.replace(KeyRing::new(&changed));
        *records = changed;
        Ok(outcome)
    }
}

/// The time in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(in crate::app) fn read(path: &Path) -> anyhow::Result<Vec<KeyRecord>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("it cannot be read"),
    };
    let KeyList { version, keys } =
        serde_json::from_reader(io::BufReader::new(file)).context("it is no list of keys")?;
    anyhow::ensure!(version == VERSION, "it is of version {version}, and this host reads version {VERSION}");
    let record = |entry: KeyEntry| {
        let KeyEntry { id, name, policy, scopes, created, expires, sha256 } = entry;
        let hash = KeyHash::from_hex(&sha256).with_context(|| format!("the hash of key `{id}` is none"))?;
        Ok(KeyRecord { id, name, policy, scopes, created, expires, hash })
    };
    keys.into_iter().map(record).collect()
}

/// Waits until no other host changes the file. The lock ends with what is returned.
fn lock(path: &Path) -> io::Result<File> {
    make_folder(path)?;
    let lock = path.with_extension("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
    file.lock()?;
    Ok(file)
}

/// The folder of the file, which is made if it is not there.
fn make_folder(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}

/// Replaces the file as a whole: a host that ends in between leaves the old one.
fn write(path: &Path, records: &[KeyRecord]) -> io::Result<()> {
    let entry = |record: &KeyRecord| {
        let KeyRecord { id, name, policy, scopes, created, expires, hash } = record.clone();
        KeyEntry { id, name, policy, scopes, created, expires, sha256: hash.to_hex() }
    };
    let list = KeyList { version: VERSION, keys: records.iter().map(entry).collect() };
    let folder = make_folder(path)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(&list)?)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    // The name is in the folder, which has to reach the disk too.
    File::open(folder)?.sync_all()
}

/// A key as the admin shows it.
pub(in crate::app) fn view(record: KeyRecord) -> KeyView {
    let KeyRecord { id, name, policy, scopes, created, expires, .. } = record;
    let expired = expires.is_some_and(|end| end <= now());
    KeyView { id, name, policy, scopes: scopes.into_iter().collect(), created, expires, expired }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> anyhow::Result<KeyFile> {
        KeyFile::open(path.into(), vec!["partner".into()])
    }

    fn wish(policy: Option<&str>) -> KeyWish {
        let (name, policy, lasts) = ("acme".into(), policy.map(str::to_owned), Some(Duration::from_secs(60)));
        KeyWish { name, policy, scopes: BTreeSet::from(["a".to_owned()]), lasts }
    }

    #[test]
    fn two_hosts_undo_no_change_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let old = open(&path).unwrap();
        let (_, revoked) = old.create(wish(None)).unwrap();
        let new = open(&path).unwrap();
        new.revoke(&revoked.id).unwrap();
        let (_, late) = old.create(wish(None)).unwrap();
        let (_, later) = new.create(wish(None)).unwrap();
        assert_eq!(open(&path).unwrap().records(), [late, later]);
    }

    #[test]
    fn a_key_that_is_revoked_while_another_manifest_takes_over_is_gone_for_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let before = open(&path).unwrap();
        let (_, record) = before.create(wish(None)).unwrap();
        let next = before.succeeded(vec!["partner".into(), "staff".into()]).unwrap();
        assert!(Arc::ptr_eq(before.ring(), next.ring()), "requests of both are checked by the same keys");
        before.revoke(&record.id).unwrap();
        assert!(next.records().is_empty());
        next.create(wish(Some("staff"))).unwrap();
        assert!(matches!(before.create(wish(Some("staff"))), Err(KeyFileError::NoPolicy(_))));
        assert_eq!(before.records(), next.records());
        std::fs::write(&path, "{}").unwrap();
        assert!(next.succeeded(Vec::new()).is_err());
    }

    #[test]
    fn keys_are_there_again_after_a_restart_and_their_text_is_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/keys.json");
        let file = open(&path).unwrap();
        let (key, record) = file.create(wish(None)).unwrap();
        let (_, second) = file.create(wish(Some("partner"))).unwrap();
        assert_eq!(record.expires, Some(record.created + 60));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&key.text()[6..]) && text.contains(&key.hash().to_hex()), "{text}");
        assert_eq!(open(&path).unwrap().records(), [record.clone(), second.clone()]);
        assert_eq!(file.revoke(&record.id).unwrap(), record);
        assert!(matches!(file.revoke(&record.id), Err(KeyFileError::NoKey(_))));
        assert_eq!(open(&path).unwrap().records(), [second]);
        assert!(matches!(file.create(wish(Some("staff"))), Err(KeyFileError::NoPolicy(_))));
    }

    #[test]
    fn a_file_that_is_none_of_keys_is_an_error_and_a_failed_change_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        for wrong in ["", "{}", r#"{"version":2,"keys":[]}"#, r#"{"version":1,"keys":[{"id":"a"}]}"#] {
            std::fs::write(&path, wrong).unwrap();
            assert!(open(&path).is_err(), "{wrong}");
        }
        std::fs::remove_file(&path).unwrap();
        let file = open(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(file.create(wish(None)), Err(KeyFileError::Write { .. })));
        assert!(file.records().is_empty());
    }
}
