//! What an operator orders for the data of services: to erase those of one, and to replace the key of all.

use super::database::{Access, Database};
use super::layout::{BucketTable, table_name};
use super::sealing::{Encryption, WRAPPED_KEYS};
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::state_key::StateKey;
use redb::Durability;
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

    /// Wraps the keys of all services with `key` instead of the one before, in one transaction. Returns false if it is
    /// the key already. It must not run beside [`Database::write`].
    ///
    /// # Errors
    /// [`StateError::NotEncrypted`]; or the disk's: then the database has the key before or this one, and is opened
    /// with either as long as the other is given as `previous`.
    pub(crate) fn replace_key(&self, key: &StateKey) -> Result<bool, StateError> {
        let Some(before) = self.encryption.load_full() else {
            return Err(StateError::NotEncrypted { path: self.path.clone() });
        };
        if before.key == *key {
            return Ok(false);
        }
        // A snapshot that is taken beside the commit has the keys of either side of it (see `KeyedSnapshot`).
        let both = |key: &StateKey, previous: &StateKey| {
            self.encryption.store(Some(Arc::new(Encryption { key: key.clone(), previous: Some(previous.clone()) })));
        };
        both(&before.key, key);
        self.with(Access::Write, |database| {
            let mut write = database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            key.rewrap(&before.key, &mut write.open_table(WRAPPED_KEYS)?)?;
            write.commit()?;
            Ok(())
        })?;
        both(key, &before.key);
        Ok(true)
    }
}
