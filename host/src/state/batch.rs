//! Many transactions in one redb transaction, so that they share its sync; and what the tables look like.
//!
//! A service has a table of its own, rather than a prefix in a shared one: a handle on a table cannot reach another's keys whatever range
//! it asks for, and a service's data can be measured or dropped as one thing. A table costs one page and one look-up a batch.

use super::error::StateError;
use super::transaction::{Change, Committed, Key, Transaction};
use crate::base::ServiceName;
use redb::{Durability, ReadableTable, Table, TableDefinition};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A bucket's table: key to version and value.
pub(super) type BucketTable<'a> = TableDefinition<'a, &'static [u8], (u64, &'static [u8])>;

/// A bucket's table, open for writing.
type OpenTable<'a> = Table<'a, &'static [u8], (u64, &'static [u8])>;

/// What is known about the database itself.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// In [`META`]: the format of everything else.
pub(super) const FORMAT: &str = "format";
/// In [`META`]: the version of the latest commit.
pub(super) const VERSION: &str = "version";

/// The name of a service's table; `meta` is no such name.
pub(super) fn table_name(bucket: &ServiceName) -> String {
    format!("bucket/{bucket}")
}

/// What became of a batch.
pub(super) struct BatchOutcome {
    /// The version of its last commit; that of the latest before it if there was none.
    pub(super) version: u64,
    /// One answer for each transaction.
    pub(super) answers: Vec<Result<Committed, StateError>>,
}

/// Applies each transaction in turn on top of those before it. One that is refused leaves nothing behind and does not touch the others.
/// Returns when all of it is on disk; an error means that none of it may be acknowledged.
///
/// Versions go on from the database's or from `latest`, whichever is larger.
pub(super) fn apply(
    database: &redb::Database,
    latest: u64,
    batch: &[(ServiceName, Transaction)],
) -> Result<BatchOutcome, redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    let mut meta = write.open_table(META)?;
    let before = meta.get(VERSION)?.map_or(0, |version| version.value()).max(latest);
    let names: BTreeMap<&ServiceName, String> = batch.iter().map(|(bucket, _)| (bucket, table_name(bucket))).collect();
    let mut tables: BTreeMap<&ServiceName, OpenTable> = BTreeMap::new();
    for (bucket, name) in &names {
        tables.insert(bucket, write.open_table(BucketTable::new(name))?);
    }
    let mut version = before;
    let mut answers = Vec::with_capacity(batch.len());
    for (bucket, transaction) in batch {
        let table = tables.get_mut(bucket).expect("every bucket of the batch has its table");
        let answer = apply_one(table, version, transaction)?;
        version = answer.as_ref().map_or(version, |committed| committed.version);
        answers.push(answer);
    }
    drop(tables);
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

/// The inner result is the transaction's; the outer one fails the batch.
fn apply_one(
    table: &mut OpenTable,
    latest: u64,
    transaction: &Transaction,
) -> Result<Result<Committed, StateError>, redb::Error> {
    for (key, version) in &transaction.checks {
        let found = table.get(key.as_slice())?.map_or(0, |entry| entry.value().0);
        if found != *version {
            return Ok(Err(StateError::Conflict { key: key.clone() }));
        }
    }
    if transaction.writes.is_empty() {
        return Ok(Ok(Committed { version: latest, sums: Vec::new() }));
    }
    // Everything that can be refused is refused before the first write.
    let (values, sums) = match resolve(table, &transaction.writes)? {
        Ok(resolved) => resolved,
        Err(refused) => return Ok(Err(refused)),
    };
    let version = latest + 1;
    for (key, value) in values {
        match value {
            Some(value) => drop(table.insert(key, (version, value.as_ref()))?),
            None => drop(table.remove(key)?),
        }
    }
    Ok(Ok(Committed { version, sums }))
}

/// What each key holds in the end (`None`: nothing), and the sums on the way.
type Resolved<'a> = (BTreeMap<&'a [u8], Option<Cow<'a, [u8]>>>, Vec<u64>);

fn resolve<'a>(
    table: &OpenTable,
    writes: &'a [(Key, Change)],
) -> Result<Result<Resolved<'a>, StateError>, redb::Error> {
    let mut values: BTreeMap<&[u8], Option<Cow<'a, [u8]>>> = BTreeMap::new();
    let mut sums = Vec::new();
    for (key, change) in writes {
        let value = match change {
            Change::Put(value) => Some(Cow::Borrowed(value.as_slice())),
            Change::Delete => None,
            Change::Add(delta) => {
                let sum = match values.get(key.as_slice()) {
                    Some(value) => add(value.as_deref(), *delta),
                    None => add(table.get(key.as_slice())?.as_ref().map(|entry| entry.value().1), *delta),
                };
                let Some(sum) = sum else { return Ok(Err(StateError::NotANumber { key: key.clone() })) };
                sums.push(sum);
                Some(Cow::Owned(sum.to_string().into_bytes()))
            }
        };
        values.insert(key, value);
    }
    Ok(Ok((values, sums)))
}

fn add(value: Option<&[u8]>, delta: u64) -> Option<u64> {
    let number = value.map_or(Some(0), |value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    number?.checked_add(delta)
}
