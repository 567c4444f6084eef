//! The journals of all sagas on disk.
//!
//! Keys of their bucket, with numbers as bytes in big-endian order:
//! - `secret`: what ids are made with of the keys of starts, 32 random bytes;
//! - `definition/DIGEST`: a definition that a saga was started with;
//! - `journal/ID/NUMBER`: an entry of a saga that has not ended, the first is 0;
//! - `turned/ID`: the tombstone of a saga that has turned, as long as the saga is remembered;
//! - `ended/ID`: what became of a saga that has ended;
//! - `forget/TIME/ID`: when it is forgotten.

use super::error::SagaError;
use super::event_inbox::EventInbox;
use super::status::SagaStatus;
use crate::base::{CommitGuard, ServiceName};
use crate::saga::{JournalEntry, SagaDefinition};
use crate::state::{self, Beside, Bucket, Change, Key, StateError, Store, Transaction, limit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECRET: &[u8] = b"secret";
const DEFINITION: &[u8] = b"definition/";
const JOURNAL: &[u8] = b"journal/";
const TURNED: &[u8] = b"turned/";
const ENDED: &[u8] = b"ended/";
const FORGET: &[u8] = b"forget/";

/// The most entries that the commit of an end removes; further ones are removed at the next start.
const MOST_REMOVED: usize = limit::KEYS / 2;
/// How many ended sagas are forgotten in one commit.
const MOST_FORGOTTEN: usize = limit::KEYS / 4;

/// The journals of all sagas.
#[derive(Clone)]
pub struct SagaJournal {
    store: Store,
    bucket: Bucket,
}

/// What has become of the beginning of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalStart {
    /// It is on disk.
    Begun,
    /// There is, or was, one with this id.
    Exists,
    /// The event has begun its saga before.
    Handled,
}

/// The entries of one saga, in their order.
pub(super) type SagaEntries = Vec<JournalEntry>;

/// What was on disk at the start.
#[derive(Default)]
pub(super) struct SavedSagas {
    /// The entries of each saga that has not ended, with their bytes.
    pub(super) live: BTreeMap<String, (SagaEntries, usize)>,
    /// Sagas with a damaged entry: they are left as they are.
    pub(super) damaged: Vec<String>,
}

impl SagaJournal {
    /// The journals in `store`.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), bucket: store.bucket(&Self::name()) }
    }

    fn name() -> ServiceName {
        ServiceName::of_host_part("saga", "journal")
    }

    /// The definitions of the sagas that have not ended.
    ///
    /// # Errors
    /// The journal cannot be read, or a definition is damaged.
    pub async fn definitions(&self) -> Result<Vec<SagaDefinition>, SagaError> {
        let saved = self.load().await?;
        let used = saved.live.values().filter_map(|(entries, _)| match entries.first() {
            Some(JournalEntry::Started { definition, .. }) => Some(definition.clone()),
            _ => None,
        });
        let mut definitions = Vec::new();
        for digest in used.collect::<BTreeSet<_>>() {
            let found = self.get(key_of(DEFINITION, &digest)).await?;
            let text = found.ok_or_else(|| SagaError::Unknown(format!("definition {digest} of a saga is lost")))?;
            let definition = SagaDefinition::from_text(&String::from_utf8_lossy(&text));
            definitions.push(definition.map_err(|damaged| SagaError::Unknown(damaged.to_string()))?);
        }
        Ok(definitions)
    }

    /// Every saga that has not ended.
    pub(super) async fn load(&self) -> Result<SavedSagas, StateError> {
        self.load_under(JOURNAL.to_vec()).await
    }

    /// The saga `id`, if it is there and has not ended.
    pub(super) async fn load_one(&self, id: &str) -> Result<SavedSagas, StateError> {
        self.load_under([JOURNAL, id.as_bytes(), b"/"].concat()).await
    }

    /// The sagas whose keys begin with `prefix`.
    async fn load_under(&self, prefix: Key) -> Result<SavedSagas, StateError> {
        let (mut raw, mut after) = (BTreeMap::<String, Vec<(u32, Vec<u8>)>>::new(), None);
        loop {
            let page = self.bucket.scan(prefix.clone(), after, limit::PAGE).await?;
            for state::Entry { key, value } in page.items {
                if let Some((id, number)) = place_of(&key) {
                    raw.entry(id).or_default().push((number, value.value));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut saved = SavedSagas::default();
        for (id, entries) in raw {
            if entries.first().is_none_or(|(number, _)| *number != 0) {
                // The commit of its end has removed as many entries as it could.
                self.remove(&id, entries.iter().map(|(number, _)| *number)).await?;
                continue;
            }
            let bytes = entries.iter().map(|(_, bytes)| bytes.len()).sum();
            let is_whole = entries.iter().zip(0..).all(|((number, _), at)| *number == at);
            let decoded: Result<Vec<_>, _> = entries.iter().map(|(_, bytes)| JournalEntry::decode(bytes)).collect();
            match decoded {
                Ok(entries) if is_whole => drop(saved.live.insert(id, (entries, bytes))),
                _ => saved.damaged.push(id),
            }
        }
        Ok(saved)
    }

    async fn remove(&self, id: &str, numbers: impl Iterator<Item = u32>) -> Result<(), StateError> {
        let gone: Vec<_> = numbers.map(|number| (entry_key(id, number), Change::Delete)).collect();
        for writes in gone.chunks(MOST_REMOVED) {
            self.commit(Vec::new(), writes.to_vec()).await?;
        }
        Ok(())
    }

    /// What ids are made with. It is made once for a database.
    pub(super) async fn secret(&self) -> Result<Vec<u8>, StateError> {
        if let Some(secret) = self.get(SECRET.to_vec()).await? {
            return Ok(secret);
        }
        let secret = rand::random::<[u8; 32]>().to_vec();
        self.commit(vec![(SECRET.to_vec(), 0)], vec![(SECRET.to_vec(), Change::Put(secret.clone()))]).await?;
        Ok(secret)
    }

    /// Keeps a definition.
    pub(super) async fn keep(&self, definition: &SagaDefinition) -> Result<(), StateError> {
        let key = key_of(DEFINITION, &definition.digest());
        self.commit(Vec::new(), vec![(key, Change::Put(definition.to_text().into_bytes()))]).await
    }

    /// Begins the journal of a saga. With an event the note that it was handled is in the same commit.
    pub(super) async fn begin(
        &self,
        id: &str,
        entries: &[JournalEntry],
        inbox: Option<&EventInbox>,
    ) -> Result<JournalStart, StateError> {
        let checks = vec![(entry_key(id, 0), 0), (key_of(ENDED, id), 0)];
        let writes = entries.iter().zip(0..).map(|(entry, at)| (entry_key(id, at), Change::Put(entry.encode())));
        let Some(inbox) = inbox else {
            return match self.commit(checks, writes.collect()).await {
                Ok(()) => Ok(JournalStart::Begun),
                Err(StateError::Conflict { .. }) => Ok(JournalStart::Exists),
                Err(error) => Err(error),
            };
        };
        let journal = Beside { bucket: Self::name(), checks, writes: writes.collect() };
        // The note first: an event that was handled says so, also where its saga is forgotten.
        let beside = vec![inbox.note(), journal];
        // By the lane of the subscription, so that the notes which settle the event come behind it.
        match self.store.bucket(&inbox.lane).commit(Transaction { beside, ..Transaction::default() }).await {
            Ok(_) => Ok(JournalStart::Begun),
            Err(StateError::ConflictBeside { key, .. }) if key == inbox.key => Ok(JournalStart::Handled),
            Err(StateError::ConflictBeside { .. }) => Ok(JournalStart::Exists),
            Err(error) => Err(error),
        }
    }

    /// Adds entries to a journal that has `length` already. To do it twice is the same as once.
    pub(super) async fn append(&self, id: &str, length: u32, entries: &[JournalEntry]) -> Result<(), StateError> {
        let put = |(entry, at): (&JournalEntry, u32)| (entry_key(id, at), Change::Put(entry.encode()));
        let mut writes: Vec<_> = entries.iter().zip(length..).map(put).collect();
        if entries.iter().any(|entry| matches!(entry, JournalEntry::Turned { .. })) {
            writes.push((key_of(TURNED, id), Change::Put(Vec::new())));
        }
        self.commit(Vec::new(), writes).await
    }

    /// Ends a journal of `length` entries, and remembers what became of the saga until `forget`, in milliseconds since
    /// 1970. To do it twice is the same as once.
    pub(super) async fn end(&self, status: &SagaStatus, length: u32, forget: u64) -> Result<(), StateError> {
        let id = &status.id;
        let removed = (0..length).take(MOST_REMOVED).map(|number| (entry_key(id, number), Change::Delete));
        let mut writes: Vec<_> = removed.collect();
        writes.push((key_of(ENDED, id), Change::Put(status.encode())));
        writes.push((forget_key(forget, id), Change::Put(Vec::new())));
        self.commit(Vec::new(), writes).await
    }

    /// What became of a saga that has ended and is not forgotten.
    pub(super) async fn ended(&self, id: &str) -> Result<Option<SagaStatus>, StateError> {
        Ok(self.get(key_of(ENDED, id)).await?.and_then(|bytes| SagaStatus::decode(&bytes)))
    }

    /// At most `most` sagas that have ended, in the order of their ids, with ids after `after`.
    pub(super) async fn all_ended(&self, after: Option<&str>, most: usize) -> Result<Vec<SagaStatus>, StateError> {
        let after = after.map(|id| key_of(ENDED, id));
        let page = self.bucket.scan(ENDED.to_vec(), after, most).await?;
        Ok(page.items.iter().filter_map(|entry| SagaStatus::decode(&entry.value.value)).collect())
    }

    /// The input of a saga that has not ended.
    pub(super) async fn input(&self, id: &str) -> Result<Option<String>, StateError> {
        let found = self.get(entry_key(id, 0)).await?;
        Ok(found.and_then(|bytes| match JournalEntry::decode(&bytes) {
            Ok(JournalEntry::Started { input, .. }) => Some(input),
            _ => None,
        }))
    }

    /// Forgets the sagas whose time was up at `now`, with their tombstones. `true`: there may be more.
    pub(super) async fn forget(&self, now: u64) -> Result<bool, StateError> {
        let page = self.bucket.keys(FORGET.to_vec(), None, MOST_FORGOTTEN).await?;
        let mut writes = Vec::new();
        for key in page.items {
            let Some((time, id)) = key[FORGET.len()..].split_first_chunk::<8>() else { continue };
            if u64::from_be_bytes(*time) > now {
                break;
            }
            let id = String::from_utf8_lossy(id.get(1..).unwrap_or_default()).into_owned();
            let gone = [key_of(ENDED, &id), key_of(TURNED, &id), key];
            writes.extend(gone.into_iter().map(|key| (key, Change::Delete)));
        }
        let is_full = writes.len() >= MOST_FORGOTTEN * 3;
        if !writes.is_empty() {
            self.commit(Vec::new(), writes).await?;
        }
        Ok(is_full)
    }

    /// What refuses the commits of the saga's actions once it has turned.
    pub(super) fn guard(id: &str) -> Arc<CommitGuard> {
        Arc::new(CommitGuard { bucket: Self::name(), key: key_of(TURNED, id) })
    }

    async fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.bucket.get(vec![key]).await?.into_iter().flatten().next().map(|found| found.value))
    }

    async fn commit(&self, checks: Vec<(Key, u64)>, writes: Vec<(Key, Change)>) -> Result<(), StateError> {
        self.bucket.commit(Transaction { checks, writes, beside: Vec::new() }).await.map(drop)
    }
}

fn key_of(prefix: &[u8], id: &str) -> Key {
    [prefix, id.as_bytes()].concat()
}

fn entry_key(id: &str, number: u32) -> Key {
    [JOURNAL, id.as_bytes(), b"/", &number.to_be_bytes()].concat()
}

fn forget_key(time: u64, id: &str) -> Key {
    [FORGET, &time.to_be_bytes(), b"/", id.as_bytes()].concat()
}

fn place_of(key: &[u8]) -> Option<(String, u32)> {
    let (rest, number) = key.strip_prefix(JOURNAL)?.split_last_chunk::<4>()?;
    let id = String::from_utf8(rest.strip_suffix(b"/")?.to_vec()).ok()?;
    Some((id, u32::from_be_bytes(*number)))
}
