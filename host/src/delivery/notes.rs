//! What a subscription has on disk: how far it is, what has failed, and its dead letters.
//!
//! Keys of its bucket, with numbers as 8 bytes in big-endian order:
//! - `progress`: which events are settled;
//! - `failed/NUMBER`: the failed tries of an event that is not settled;
//! - `dead/NUMBER`: a dead letter;
//! - `applied/NUMBER/COMMIT`: a commit that a handler has made for an event which is not settled, or is a dead letter.

use super::dead_letter::{DeadLetter, FailureHistory};
use super::subscription::Subscription;
use crate::base::{HandledEvent, ServiceName};
use crate::events::Progress;
use crate::state::{Beside, Bucket, Change, Entry, Key, StateError, Store, Transaction, limit};
use std::collections::BTreeMap;

const FAILED: &[u8] = b"failed/";
const DEAD: &[u8] = b"dead/";
const APPLIED: &[u8] = b"applied/";

/// The most fates of one commit: an outcome is two writes, and some notes of its commits.
pub(super) const MOST_FATES: usize = 100;
/// The most bytes of dead letters of one commit.
const MOST_BYTES: usize = limit::BYTES / 2;

/// The notes of one subscription.
#[derive(Clone)]
pub(super) struct Notes {
    /// The data of the service. Notes are committed by its lane of the store, behind the commits of its handlers.
    service: Bucket,
    bucket: Bucket,
}

/// What was on disk at the start.
#[derive(Default)]
pub(super) struct SavedNotes {
    /// `None`: the subscription is new.
    pub(super) progress: Option<Progress>,
    pub(super) failed: BTreeMap<u64, FailureHistory>,
    pub(super) dead: usize,
}

/// What has become of an event.
#[derive(Debug, Clone)]
pub(super) enum EventFate {
    /// It was handled.
    Handled,
    /// It has failed, and is tried again.
    Failed(FailureHistory),
    /// It is given up. The record is the bytes of the log.
    Dead(FailureHistory, Vec<u8>),
    /// A dead letter that was sent again was handled.
    Revived,
}

impl Notes {
    /// The key of the progress.
    pub(super) const PROGRESS: &[u8] = b"progress";

    pub(super) fn new(store: &Store, subscription: &Subscription) -> Self {
        Self::of(store, &subscription.service, &subscription.notes())
    }

    /// The notes of `service` in the bucket `notes`.
    pub(super) fn of(store: &Store, service: &ServiceName, notes: &ServiceName) -> Self {
        Self { service: store.bucket(service), bucket: store.bucket(notes) }
    }

    /// The progress on disk, if there is one that can be read.
    pub(super) async fn progress(&self) -> Result<Option<Progress>, StateError> {
        let found = self.bucket.get(vec![Self::PROGRESS.to_vec()]).await?;
        Ok(found.into_iter().flatten().next().and_then(|found| Progress::decode(&found.value)))
    }

    /// Removes everything but the progress and the dead letters up to the number `last`. Returns how many these are.
    /// `applied`: the notes of their commits stay too, since what was committed does.
    pub(super) async fn clear(&self, last: u64, applied: bool) -> Result<usize, StateError> {
        let (mut after, mut kept) = (None, 0);
        loop {
            let page = self.bucket.keys(Vec::new(), after, MOST_FATES).await?;
            let mut writes = Vec::new();
            for key in page.items {
                let stays = |prefix| number_after(prefix, &key).is_some_and(|number| number <= last);
                if stays(DEAD) {
                    kept += 1;
                } else if key != Self::PROGRESS && !(applied && stays(APPLIED)) {
                    writes.push((key, Change::Delete));
                }
            }
            if !writes.is_empty() {
                self.commit(writes).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(kept);
            }
        }
    }

    /// Writes a progress that was cut at the number `last`, and removes what is noted of the tries and the commits of
    /// events above it. Dead letters stay. Returns how many these are.
    pub(super) async fn cut(&self, progress: &Progress, last: u64) -> Result<usize, StateError> {
        let mut dead = 0;
        self.each(DEAD, |_, _| dead += 1).await?;
        for prefix in [FAILED, APPLIED] {
            // The first key that may go comes after this one, which is a beginning of it.
            let mut before = key_of(prefix, last.saturating_add(1));
            before.pop();
            let mut after = Some(before);
            while after.is_some() {
                let page = self.bucket.keys(prefix.to_vec(), after, MOST_FATES).await?;
                let above = |key: &Key| number_after(prefix, key).is_some_and(|number| number > last);
                let writes: Vec<_> = page.items.into_iter().filter(above).map(|key| (key, Change::Delete)).collect();
                if !writes.is_empty() {
                    self.commit(writes).await?;
                }
                after = page.next;
            }
        }
        self.commit(vec![(Self::PROGRESS.to_vec(), Change::Put(progress.encode()))]).await?;
        Ok(dead)
    }

    /// Reads what is on disk, and clears notes of commits that nothing needs any more.
    pub(super) async fn load(&self) -> Result<SavedNotes, StateError> {
        let found = self.bucket.get(vec![Self::PROGRESS.to_vec()]).await?;
        let progress = found.into_iter().flatten().next().map(|found| {
            Progress::decode(&found.value).unwrap_or_else(|| {
                // Better twice than never.
                let what = "the progress is damaged: all events are delivered again";
                tracing::error!(target: "delivery", subscription = %self.bucket.service(), "{what}");
                Progress::default()
            })
        });
        let (mut failed, mut dead) = (BTreeMap::new(), Vec::new());
        self.each(FAILED, |number, value| {
            drop(failed.insert(number, FailureHistory::decode(&value).unwrap_or_default()))
        })
        .await?;
        self.each(DEAD, |number, _| dead.push(number)).await?;
        if let Some(progress) = &progress {
            self.clear_applied(progress, &dead).await?;
        }
        Ok(SavedNotes { progress, failed, dead: dead.len() })
    }

    /// Calls `f` with each entry under `prefix`.
    async fn each(&self, prefix: &[u8], mut f: impl FnMut(u64, Vec<u8>)) -> Result<(), StateError> {
        let mut after = None;
        loop {
            let page = self.bucket.scan(prefix.to_vec(), after, limit::PAGE).await?;
            for Entry { key, value } in page.items {
                if let Some(number) = number_after(prefix, &key) {
                    f(number, value.value);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// A crash may come between the commit that settles an event and the read of its notes: those of settled events go.
    async fn clear_applied(&self, progress: &Progress, dead: &[u64]) -> Result<(), StateError> {
        let mut after = None;
        loop {
            let page = self.bucket.keys(APPLIED.to_vec(), after, MOST_FATES).await?;
            let gone = |key: &Key| {
                let number = number_after(APPLIED, key);
                number.is_none_or(|number| progress.is_settled(number) && !dead.contains(&number))
            };
            let writes: Vec<_> = page.items.into_iter().filter(gone).map(|key| (key, Change::Delete)).collect();
            if !writes.is_empty() {
                self.commit(writes).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Saves the fates of events and the progress that they leave, in one commit. Returns how many of the
    /// fates were saved: not all of them if they are large.
    pub(super) async fn save(&self, mut progress: Progress, fates: &[(u64, EventFate)]) -> Result<usize, StateError> {
        let (mut writes, mut bytes, mut saved) = (Vec::new(), 0, 0);
        for (number, outcome) in fates.iter().take(MOST_FATES) {
            let failed = key_of(FAILED, *number);
            match outcome {
                EventFate::Handled => {
                    progress.settle(*number, *number);
                    writes.push((failed, Change::Delete));
                    writes.extend(self.applied(*number).await?);
                }
                EventFate::Failed(history) => writes.push((failed, Change::Put(history.encode()))),
                EventFate::Dead(history, record) => {
                    let letter = DeadLetter::encode(history, record);
                    bytes += letter.len();
                    progress.settle(*number, *number);
                    writes.push((failed, Change::Delete));
                    writes.push((key_of(DEAD, *number), Change::Put(letter)));
                }
                EventFate::Revived => {
                    writes.push((key_of(DEAD, *number), Change::Delete));
                    writes.extend(self.applied(*number).await?);
                }
            }
            saved += 1;
            if bytes > MOST_BYTES || writes.len() > limit::KEYS / 2 {
                break;
            }
        }
        writes.push((Self::PROGRESS.to_vec(), Change::Put(progress.encode())));
        self.commit(writes).await?;
        Ok(saved)
    }

    /// The removal of the notes of an event's commits, of all its tries.
    async fn applied(&self, number: u64) -> Result<Vec<(Key, Change)>, StateError> {
        let page = self.bucket.keys(HandledEvent::notes_of(number), None, limit::KEYS / 4).await?;
        Ok(page.items.into_iter().map(|key| (key, Change::Delete)).collect())
    }

    async fn commit(&self, writes: Vec<(Key, Change)>) -> Result<(), StateError> {
        let beside = vec![Beside { bucket: self.bucket.service().clone(), checks: Vec::new(), writes }];
        self.service.commit(Transaction { beside, ..Transaction::default() }).await.map(drop)
    }

    /// The dead letter `number`.
    pub(super) async fn dead_letter(&self, number: u64) -> Result<Option<DeadLetter>, StateError> {
        let found = self.bucket.get(vec![key_of(DEAD, number)]).await?;
        Ok(found.into_iter().flatten().next().map(|found| DeadLetter::decode(number, &found.value)))
    }

    /// At most `most` dead letters whose numbers are above `after`.
    pub(super) async fn dead_letters(&self, after: u64, most: usize) -> Result<Vec<DeadLetter>, StateError> {
        let page = self.bucket.scan(DEAD.to_vec(), Some(key_of(DEAD, after)), most).await?;
        let letter = |entry: Entry| Some(DeadLetter::decode(number_after(DEAD, &entry.key)?, &entry.value.value));
        Ok(page.items.into_iter().filter_map(letter).collect())
    }
}

fn key_of(prefix: &[u8], number: u64) -> Key {
    [prefix, &number.to_be_bytes()].concat()
}

fn number_after(prefix: &[u8], key: &[u8]) -> Option<u64> {
    let (number, _) = key.strip_prefix(prefix)?.split_first_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}
