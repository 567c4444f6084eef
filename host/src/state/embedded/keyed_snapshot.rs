//! A snapshot of the database, with the operator's keys that fit it.

use super::layout::{BucketTable, table_name};
use super::sealing::{ValueCodec, WRAPPED_KEYS, damaged_key};
use super::snapshot::BucketSnapshot;
use crate::base::ServiceName;
use crate::state::state_key::Encryption;
use arc_swap::ArcSwapOption;
use redb::{ReadTransaction, TableError, TransactionError};
use std::sync::Arc;

/// The database as of one moment, with the keys of that moment.
pub(super) struct KeyedSnapshot {
    pub(super) read: ReadTransaction,
    /// `None`: values are not encrypted.
    encryption: Option<Arc<Encryption>>,
}

impl KeyedSnapshot {
    /// Takes the snapshot that `begin` begins. The keys are those before it and after it, or it is taken again: a key
    /// that is replaced is known beside the one before it, but two that are replaced meanwhile are one too many.
    pub(super) fn take(
        keys: &ArcSwapOption<Encryption>,
        mut begin: impl FnMut() -> Result<ReadTransaction, TransactionError>,
    ) -> Result<Self, TransactionError> {
        loop {
            let before = keys.load_full();
            let read = begin()?;
            // By address: while `before` is held, no later keys have it.
            if before.as_ref().map(Arc::as_ptr) == keys.load().as_ref().map(Arc::as_ptr) {
                return Ok(Self { read, encryption: before });
            }
        }
    }

    /// The bucket's table, and how its values are read. The table is `None` if nothing was ever written to the bucket.
    pub(super) fn table(&self, bucket: &ServiceName) -> Result<(Option<BucketSnapshot>, ValueCodec), redb::Error> {
        let table = match self.read.open_table(BucketTable::new(&table_name(bucket))) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok((None, ValueCodec::Plain)),
            Err(error) => return Err(error.into()),
        };
        let Some(encryption) = &self.encryption else { return Ok((Some(table), ValueCodec::Plain)) };
        let key = encryption.of_service(&self.read.open_table(WRAPPED_KEYS)?, bucket)?;
        Ok((Some(table), ValueCodec::Sealed(key.map_err(|_| damaged_key(bucket))?)))
    }
}
