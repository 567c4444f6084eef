//! A batch: many transactions in one redb transaction, so that they share its sync.

use super::layout::{BucketTable, META, VERSION, table_name};
use super::sealing::{ValueCodec, WRAPPED_KEYS};
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::state_key::StateKey;
use crate::state::transaction::{Beside, Change, Committed, Key, Transaction, sequence_key};
use redb::{Durability, ReadableTable, StorageError, Table};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// A bucket's table, open for writing.
type OpenTable<'a> = Table<'a, &'static [u8], (u64, &'static [u8])>;

/// A bucket's table, and how values are written there.
struct CodedTable<'a> {
    table: OpenTable<'a>,
    codec: ValueCodec,
    path: &'a Path,
}

/// The outcome of a batch.
pub(super) struct BatchOutcome {
    /// The version of the last commit in the batch; if there was none, the version of the latest commit before it.
    pub(super) version: u64,
    /// One answer for each transaction, in their order.
    pub(super) answers: Vec<Result<Committed, StateError>>,
}

/// Applies the transactions one after the other, each on top of those before it. A refused transaction changes nothing
/// and does not affect the others. Returns when the whole batch is on disk. An error means that no commit of the batch
/// may be acknowledged.
///
/// Versions continue from the latest version in the database or from `latest`, whichever is larger. With `key`, values
/// are encrypted; a value that is damaged, or a service's key that is, refuses its transactions and no others. `path`
/// is the database's name in messages.
pub(super) fn apply(
    database: &redb::Database,
    latest: u64,
    batch: &[(ServiceName, Transaction)],
    key: Option<&StateKey>,
    path: &Path,
) -> Result<BatchOutcome, redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    let mut meta = write.open_table(META)?;
    let before = meta.get(VERSION)?.map_or(0, |version| version.value()).max(latest);
    let buckets = batch.iter().flat_map(|(bucket, transaction)| parts(bucket, transaction).map(|part| part.bucket));
    let names: BTreeMap<&ServiceName, String> = buckets.map(|bucket| (bucket, table_name(bucket))).collect();
    let mut tables = OpenTables::new();
    let mut keys = key.map(|_| write.open_table(WRAPPED_KEYS)).transpose()?;
    for (bucket, name) in &names {
        let codec = match (key, &mut keys) {
            (Some(key), Some(keys)) => key.of_service_or_new(keys, bucket)?.map(ValueCodec::Sealed),
            _ => Ok(ValueCodec::Plain),
        };
        let table = match codec {
            Ok(codec) => Ok(CodedTable { table: write.open_table(BucketTable::new(name))?, codec, path }),
            Err(error) => Err(damaged(path, error)?),
        };
        tables.insert(bucket, table);
    }
    drop(keys);
    let mut version = before;
    let mut answers = Vec::with_capacity(batch.len());
    for (bucket, transaction) in batch {
        let answer = apply_one(&mut tables, version, bucket, transaction)?;
        version = answer.as_ref().map_or(version, |committed| committed.version);
        answers.push(answer);
    }
    drop(tables);
    debug_assert!(version - before <= batch.len() as u64, "each commit takes one version");
    debug_assert_eq!(answers.len(), batch.len(), "each transaction has an answer");
    if version > before {
        meta.insert(VERSION, version)?;
        drop(meta);
        write.commit()?;
    } else {
        drop(meta);
        write.abort()?;
    }
    Ok(BatchOutcome { version, answers })
}

/// The tables of a batch; an error for a table whose key is damaged.
type OpenTables<'a, 't> = BTreeMap<&'a ServiceName, Result<CodedTable<'t>, StateError>>;

/// A transaction's part in one bucket.
struct TransactionPart<'a> {
    bucket: &'a ServiceName,
    checks: &'a [(Key, u64)],
    writes: &'a [(Key, Change)],
    /// Whether it is one of [`Transaction::beside`].
    beside: bool,
}

/// The parts of a transaction: its own, and those beside.
fn parts<'a>(bucket: &'a ServiceName, transaction: &'a Transaction) -> impl Iterator<Item = TransactionPart<'a>> {
    let Transaction { checks, writes, beside } = transaction;
    let own = TransactionPart { bucket, checks, writes, beside: false };
    std::iter::once(own).chain(beside.iter().map(|beside| {
        let Beside { bucket, checks, writes } = beside;
        TransactionPart { bucket, checks, writes, beside: true }
    }))
}

/// Applies one transaction. The inner result is the answer to the transaction; an outer error fails the batch.
fn apply_one(
    tables: &mut OpenTables<'_, '_>,
    latest: u64,
    bucket: &ServiceName,
    transaction: &Transaction,
) -> Result<Result<Committed, StateError>, redb::Error> {
    for TransactionPart { bucket, checks, beside, .. } in parts(bucket, transaction) {
        let open = match &tables[bucket] {
            Ok(open) => open,
            Err(damaged) => return Ok(Err(damaged.clone())),
        };
        for (key, version) in checks {
            let found = open.table.get(key.as_slice())?.map_or(0, |entry| entry.value().0);
            if found != *version {
                let key = key.clone();
                return Ok(Err(if beside {
                    StateError::ConflictBeside { key, version: found }
                } else {
                    StateError::Conflict { key }
                }));
            }
        }
    }
    if transaction.is_empty() {
        return Ok(Ok(Committed { version: latest, sums: Vec::new() }));
    }
    // All reasons to refuse come before the first write, so a refused transaction leaves nothing behind.
    let mut resolved = Vec::new();
    for TransactionPart { bucket, writes, .. } in parts(bucket, transaction) {
        let Ok(open) = &tables[bucket] else { continue };
        match resolve(open, writes)? {
            Ok(part) => resolved.push((bucket, part)),
            Err(refused) => return Ok(Err(refused)),
        }
    }
    let version = latest + 1;
    let mut sums = Vec::new();
    for (bucket, part) in resolved {
        let Some(Ok(open)) = tables.get_mut(bucket) else { continue };
        sums.extend(part.sums);
        for (key, value) in part.values {
            match value {
                Some(value) => {
                    let stored = open.codec.encode(&key, version, value);
                    drop(open.table.insert(&*key, (version, stored.as_ref()))?);
                }
                None => drop(open.table.remove(&*key)?),
            }
        }
    }
    Ok(Ok(Committed { version, sums }))
}

/// The result of a transaction's changes in one bucket.
struct Resolved<'a> {
    /// The final value of each key; `None`: the key is deleted.
    values: BTreeMap<Cow<'a, [u8]>, Option<Cow<'a, [u8]>>>,
    /// The sum of each [`Change::Add`] and the number of each [`Change::Append`], in the order of the changes.
    sums: Vec<u64>,
}

/// Computes what `writes` leave in the table, without writing. The inner error refuses the transaction; the outer one
/// fails the batch.
fn resolve<'a>(
    open: &CodedTable,
    writes: &'a [(Key, Change)],
) -> Result<Result<Resolved<'a>, StateError>, redb::Error> {
    let mut values: BTreeMap<Cow<[u8]>, Option<Cow<[u8]>>> = BTreeMap::new();
    let mut sums = Vec::new();
    for (key, change) in writes {
        let value = match change {
            Change::Put(value) => Some(Cow::Borrowed(value.as_slice())),
            Change::Delete => None,
            Change::Add(_) | Change::Append(_) => {
                let delta = if let Change::Add(delta) = change { *delta } else { 1 };
                let sum = match values.get(key.as_slice()) {
                    Some(value) => add(value.as_deref(), delta),
                    None => match read(open, key)? {
                        Ok(value) => add(value.as_deref(), delta),
                        Err(damaged) => return Ok(Err(damaged)),
                    },
                };
                let Some(sum) = sum else { return Ok(Err(StateError::NotANumber { key: key.clone() })) };
                sums.push(sum);
                if let Change::Append(value) = change {
                    values.insert(Cow::Owned(sequence_key(key, sum)), Some(Cow::Borrowed(value.as_slice())));
                }
                Some(Cow::Owned(sum.to_string().into_bytes()))
            }
        };
        values.insert(Cow::Borrowed(key.as_slice()), value);
    }
    Ok(Ok(Resolved { values, sums }))
}

/// The value of a key before the batch's transaction. The inner error refuses the transaction.
fn read(open: &CodedTable, key: &[u8]) -> Result<Result<Option<Vec<u8>>, StateError>, redb::Error> {
    let Some(entry) = open.table.get(key)? else { return Ok(Ok(None)) };
    let (version, stored) = entry.value();
    match open.codec.decode(key, version, stored) {
        Ok(value) => Ok(Ok(Some(value.into_owned()))),
        Err(error) => damaged(open.path, error).map(Err),
    }
}

/// The answer to a transaction that meets damaged data: the data of one service must not fail a batch of all.
///
/// # Errors
/// Any other error of the storage.
fn damaged(path: &Path, error: StorageError) -> Result<StateError, redb::Error> {
    match error {
        StorageError::Corrupted(detail) => Ok(StateError::Corrupt { path: path.into(), detail }),
        other => Err(other.into()),
    }
}

/// The sum of a counter's decimal text and `delta`; `None` if the text is no number or the sum does not fit in 64 bits.
fn add(value: Option<&[u8]>, delta: u64) -> Option<u64> {
    let number = value.map_or(Some(0), |value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    number?.checked_add(delta)
}
