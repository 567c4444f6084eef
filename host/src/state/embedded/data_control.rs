//! What an operator orders for the data of services: to erase those of one, and to replace the key of all.

use super::database::{Access, Database};
use super::layout::{BucketTable, table_name};
use super::sealing::WRAPPED_KEYS;
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::state_key::{Encryption, StateKey};
use redb::{Durability, ReadableDatabase};
use std::sync::Arc;

impl Database {
    /// Deletes all values of a service, and its key if values are encrypted. It is on disk when this returns. Returns
    /// whether the service had anything. It must not run beside [`Database::write`].
    ///
    /// redb erases no page: what was there stays in free pages of the file until they are written again. Encrypted, it
    /// cannot be read there without the service's key, whose wrapped form may stay in such a page too, until the
    /// operator's key is replaced.
    pub(super) fn erase(&self, bucket: &ServiceName) -> Result<bool, StateError> {
        let encrypted = self.encryption.load().is_some();
        self.with(Access::Write, |database| {
            let mut write = database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            let mut existed = write.delete_table(BucketTable::new(&table_name(bucket)))?;
            if encrypted {
                existed |= write.open_table(WRAPPED_KEYS)?.remove(bucket.as_str())?.is_some();
            }
            write.commit()?;
            Ok(existed)
        })
    }

    /// Wraps the keys of all services with the key of `next` instead of the one before, in one transaction. Returns
    /// false if it is the key already. It must not run beside [`Database::write`].
    ///
    /// # Errors
    /// [`StateError::NotEncrypted`]; [`StateError::NotPrevious`] if the one before is not the `previous` of `next`: a
    /// crash would leave a database that it might not open. Or the disk's: then the database has the one key or the
    /// other, and `next` opens it.
    pub(crate) fn replace_key(&self, next: &Encryption) -> Result<bool, StateError> {
        let Encryption { key, previous } = next;
        let Some(before) = self.encryption.load_full() else {
            return Err(StateError::NotEncrypted { path: self.path.clone() });
        };
        // A commit that failed may have reached the disk: then the key before last is the one that is held.
        let held = self.with(Access::Read, |database| {
            let keys = database.begin_read()?.open_table(WRAPPED_KEYS)?;
            Ok(if before.key.fits(&keys)? { Some(&before.key) } else { before.previous.as_ref() })
        })?;
        if held == Some(key) {
            return Ok(false);
        }
        let Some(held) = held.filter(|held| previous.as_ref() == Some(held)) else {
            return Err(StateError::NotPrevious { path: self.path.clone() });
        };
        // A snapshot that is taken beside the commit has the keys of either side of it (see `KeyedSnapshot`).
        let both = |key: &StateKey, previous: &StateKey| {
            self.encryption.store(Some(Arc::new(Encryption { key: key.clone(), previous: Some(previous.clone()) })));
        };
        both(held, key);
        self.with(Access::Write, |database| {
            let mut write = database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            key.rewrap(held, &mut write.open_table(WRAPPED_KEYS)?)?;
            write.commit()?;
            Ok(())
        })?;
        both(key, held);
        Ok(true)
    }
}
