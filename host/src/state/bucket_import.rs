//! The data of a file on their way into a service's bucket, batch by batch.

use super::error::StateError;
use super::store::Bucket;
use super::transaction::{Change, Entry, Key, Transaction, Versioned};

/// How often a batch is tried that replaces what the service changes at the same time.
const TRIES: usize = 10;

/// Puts entries into a bucket. An entry that is there already, with the same value, is left as it is: so an import that
/// broke off can be made again.
pub struct BucketImport {
    bucket: Bucket,
    /// Whether a key that is there with another value gets the new one.
    replaces: bool,
}

/// What became of some entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Entries that were written.
    pub written: u64,
    /// Entries that were there already.
    pub same: u64,
}

impl BucketImport {
    /// An import into `bucket`.
    pub fn new(bucket: Bucket, replaces: bool) -> Self {
        Self { bucket, replaces }
    }

    /// The first key that is there with another value, unless such a key would be replaced.
    ///
    /// # Errors
    /// The store's.
    pub async fn obstacle(&self, entries: &[Entry]) -> Result<Option<Key>, StateError> {
        if self.replaces {
            return Ok(None);
        }
        let found = self.found(entries).await?;
        let other = |(entry, found): &(&Entry, &Option<Versioned>)| {
            found.as_ref().is_some_and(|found| found.value != entry.value.value)
        };
        Ok(entries.iter().zip(&found).find(other).map(|(entry, _)| entry.key.clone()))
    }

    /// Puts the entries of one batch into the bucket, in one commit.
    ///
    /// # Errors
    /// [`StateError::Conflict`]: the service has written one of the keys meanwhile; or the store's. Nothing of the
    /// batch was applied then.
    pub async fn apply(&self, entries: &[Entry]) -> Result<ImportCounts, StateError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply_once(entries).await {
                Err(StateError::Conflict { .. }) if self.replaces && tries < TRIES => {}
                outcome => return outcome,
            }
        }
    }

    async fn apply_once(&self, entries: &[Entry]) -> Result<ImportCounts, StateError> {
        let found = self.found(entries).await?;
        let (mut counts, mut transaction) = (ImportCounts::default(), Transaction::default());
        for (Entry { key, value }, found) in entries.iter().zip(found) {
            match found {
                Some(found) if found.value == value.value => counts.same += 1,
                Some(_) if !self.replaces => return Err(StateError::Conflict { key: key.clone() }),
                found => {
                    counts.written += 1;
                    transaction.checks.push((key.clone(), found.map_or(0, |found| found.version)));
                    transaction.writes.push((key.clone(), Change::Put(value.value.clone())));
                }
            }
        }
        if counts.written > 0 {
            self.bucket.commit(transaction).await?;
        }
        Ok(counts)
    }

    /// What is there under the keys of the entries.
    async fn found(&self, entries: &[Entry]) -> Result<Vec<Option<Versioned>>, StateError> {
        let keys: Vec<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
        match self.bucket.get(keys).await {
            // Small values may stand where there were large ones.
            Err(StateError::TooLarge { .. }) => {
                let mut all = Vec::with_capacity(entries.len());
                for entry in entries {
                    all.extend(self.bucket.get(vec![entry.key.clone()]).await?);
                }
                Ok(all)
            }
            found => found,
        }
    }
}
