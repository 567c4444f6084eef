//! The format of a database: plain, or with encrypted values; and the step from one to the other.

use super::layout::{BucketTable, FORMAT, META, table_name};
use super::sealing::{ValueCodec, WRAPPED_KEYS};
use crate::base::ServiceName;
use crate::state::state_key::{Encryption, StateKey};
use redb::{ReadableDatabase, ReadableTable, TableError, TableHandle, WriteTransaction};
use std::borrow::Cow;

/// No format of this program.
const FOREIGN: u64 = 0;
/// Values as they are.
pub(super) const PLAIN: u64 = 1;
/// Encrypted values.
pub(super) const SEALED: u64 = 2;

/// Why a database cannot be used.
pub(super) enum FormatError {
    /// It is a database of redb, but of another program.
    Foreign,
    /// A later version of this program wrote it.
    Unknown(u64),
    /// Its values are encrypted, and there is no key.
    NoKey,
    /// Its values are encrypted with another key.
    WrongKey,
    /// The storage failed.
    Storage(redb::Error),
}

/// Makes `database` ready for values under `encryption`: writes the format into a new one, encrypts the values of a
/// plain one, and wraps the keys of services again if the operator's key was replaced. Each of these steps is one
/// transaction: a crash leaves the database as it was.
pub(super) fn prepare(database: &redb::Database, encryption: Option<&Encryption>) -> Result<(), FormatError> {
    let done = match (read(database).map_err(FormatError::Storage)?, encryption) {
        (Some(FOREIGN), _) => return Err(FormatError::Foreign),
        (None, None) => begin(database),
        (Some(PLAIN), None) => Ok(()),
        (None | Some(PLAIN), Some(encryption)) => encrypt(database, &encryption.key),
        (Some(SEALED), None) => return Err(FormatError::NoKey),
        (Some(SEALED), Some(encryption)) => match admit_key(database, encryption) {
            Ok(false) => return Err(FormatError::WrongKey),
            admitted => admitted.map(|_| ()),
        },
        (Some(found), _) => return Err(FormatError::Unknown(found)),
    };
    done.map_err(FormatError::Storage)
}

/// The format; [`FOREIGN`] for a database of another program, `None` for one without a table.
fn read(database: &redb::Database) -> Result<Option<u64>, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => Ok(Some(meta.get(FORMAT)?.map_or(FOREIGN, |format| format.value()))),
        Err(TableError::TableDoesNotExist(_)) if read.list_tables()?.next().is_none() => Ok(None),
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(Some(FOREIGN)),
        Err(error) => Err(error.into()),
    }
}

/// Writes the format of a new database without encryption.
fn begin(database: &redb::Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(META)?.insert(FORMAT, PLAIN)?;
    Ok(write.commit()?)
}

/// Encrypts every value. The pages of the old values are free from then on, and keep their content until they are
/// written again: redb erases none.
fn encrypt(database: &redb::Database, key: &StateKey) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    let mut names = Vec::new();
    for table in write.list_tables()? {
        let service = table.name().strip_prefix("bucket/").and_then(|name| ServiceName::stored(name).ok());
        names.extend(service);
    }
    {
        let mut keys = write.open_table(WRAPPED_KEYS)?;
        key.mark(&mut keys)?;
        for service in &names {
            let codec = ValueCodec::Sealed(key.of_service_or_new(&mut keys, service)??);
            encrypt_table(&write, service, &codec)?;
        }
        write.open_table(META)?.insert(FORMAT, SEALED)?;
    }
    write.commit()?;
    if !names.is_empty() {
        tracing::warn!(
            services = names.len(),
            "the values in the database are encrypted now; parts of the file that are free may still hold old ones"
        );
    }
    Ok(())
}

/// How many values, and how many bytes of them, are encrypted before the next are read: they are in memory meanwhile.
const STEP: usize = 1000;
const STEP_BYTES: usize = 8 << 20;

fn encrypt_table(write: &WriteTransaction, service: &ServiceName, codec: &ValueCodec) -> Result<(), redb::Error> {
    let name = table_name(service);
    let mut table = write.open_table(BucketTable::new(&name))?;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let start = after.as_deref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let (mut step, mut bytes) = (Vec::new(), 0);
        for entry in table.range::<&[u8]>((start, std::ops::Bound::Unbounded))?.take(STEP) {
            let (key, value) = entry?;
            let (version, value) = value.value();
            bytes += value.len();
            step.push((key.value().to_vec(), version, value.to_vec()));
            if bytes > STEP_BYTES {
                break;
            }
        }
        let Some((last, ..)) = step.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, version, value) in step {
            let sealed = codec.encode(&key, version, Cow::Owned(value));
            table.insert(key.as_slice(), (version, sealed.as_ref()))?;
        }
    }
}

/// Whether the key is the right one, or the previous one is: then the keys of the services are wrapped again.
fn admit_key(database: &redb::Database, encryption: &Encryption) -> Result<bool, redb::Error> {
    let keys = database.begin_read()?.open_table(WRAPPED_KEYS)?;
    if encryption.key.fits(&keys)? {
        return Ok(true);
    }
    let Some(previous) = &encryption.previous else { return Ok(false) };
    if !previous.fits(&keys)? {
        return Ok(false);
    }
    drop(keys);
    let write = database.begin_write()?;
    encryption.key.rewrap(previous, &mut write.open_table(WRAPPED_KEYS)?)?;
    write.commit()?;
    tracing::warn!("the key of the database was replaced: `previous` can be taken out of the manifest");
    Ok(true)
}
