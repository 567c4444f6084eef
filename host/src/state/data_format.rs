//! The number of the format that a migration has given the data of a service: a note of the host's own, beside the
//! data.

use super::error::StateError;
use super::frozen_bucket::FrozenBucket;
use super::store::Bucket;
use super::transaction::{Beside, Change, Key, Transaction};

/// Where the number is.
const NOTE: &[u8] = b"format";

/// The note of one service.
pub struct DataFormat {
    bucket: Bucket,
}

/// The note at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedFormat {
    /// The number; `None`: no migration has run.
    pub format: Option<u32>,
    /// The oldest format that the data may have yet: calls of a revision before were under way when they were migrated,
    /// and nobody has migrated since what these have written. `None`: all data have the format.
    pub sweep_from: Option<u32>,
    /// The version of the note, for [`DataFormat::change`].
    version: u64,
}

impl DataFormat {
    /// The note of the service whose data are in `data`.
    pub fn of(data: &Bucket) -> Self {
        Self { bucket: data.of_host("data-format") }
    }

    /// The number at the moment of `data`, which are those of the service.
    ///
    /// # Errors
    /// As [`DataFormat::read`].
    pub(super) async fn at(&self, data: &dyn FrozenBucket) -> Result<Option<u32>, StateError> {
        let notes = data.beside(self.bucket.service()).await?;
        let found = notes.get(vec![NOTE.to_vec()]).await?.pop().flatten();
        Ok(found.and_then(|found| found.value.first_chunk::<4>().map(|number| u32::from_be_bytes(*number))))
    }

    /// The note as it is now.
    ///
    /// # Errors
    /// The store is closed, or the disk's.
    pub async fn read(&self) -> Result<NotedFormat, StateError> {
        let found = self.bucket.get(vec![NOTE.to_vec()]).await?.pop().flatten();
        let number = |at: usize| {
            let bytes = found.as_ref()?.value.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let (format, sweep_from) = (number(0), number(4));
        Ok(NotedFormat { format, sweep_from, version: found.map_or(0, |found| found.version) })
    }

    /// What a commit of the service's data does beside, to have `format` from then on; refused if the note is not as it
    /// was at `before`. `sweep_from`: as in [`NotedFormat`].
    pub fn change(&self, before: NotedFormat, format: Option<u32>, sweep_from: Option<u32>) -> Beside {
        let key: Key = NOTE.to_vec();
        let number = |number: u32| number.to_be_bytes().to_vec();
        let noted = |format| [number(format), sweep_from.map(number).unwrap_or_default()].concat();
        let change = format.map_or(Change::Delete, |format| Change::Put(noted(format)));
        let checks = vec![(key.clone(), before.version)];
        Beside { bucket: self.bucket.service().clone(), checks, writes: vec![(key, change)] }
    }

    /// Writes the note alone.
    ///
    /// # Errors
    /// [`StateError::ConflictBeside`]: it has changed; or the store's.
    pub async fn write(
        &self,
        before: NotedFormat,
        format: Option<u32>,
        sweep_from: Option<u32>,
    ) -> Result<(), StateError> {
        let beside = vec![self.change(before, format, sweep_from)];
        self.bucket.commit(Transaction { beside, ..Transaction::default() }).await.map(drop)
    }
}
