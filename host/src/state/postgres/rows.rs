//! Rows of the server as entries.

use crate::state::error::StateError;
use crate::state::remote::{ListedRange, key_range};
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

/// The most bytes of values that a read of keys has, and a page.
const VALUE_BYTES: i64 = limit::BYTES as i64;
const PAGE_BYTES: i64 = limit::PAGE_BYTES as i64;

/// A version as the server has it.
pub(super) fn stored(version: u64) -> i64 {
    i64::try_from(version).expect("no database sees 2^63 commits")
}

/// A version that the server has.
pub(super) fn version(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// The parameters of a read of some keys.
pub(super) fn get_params<'a>(bucket: &'a &str, keys: &'a &[Key]) -> [&'a (dyn ToSql + Sync); 3] {
    [bucket, keys, &VALUE_BYTES]
}

/// The parameters of a listing.
pub(super) struct RowRange {
    from: Key,
    end: Key,
    /// One more than is wanted, to know whether more follow.
    most: i64,
}

impl RowRange {
    pub(super) fn of(ListedRange { prefix, after, limit }: ListedRange<'_>) -> Self {
        let (from, end) = key_range(prefix, after);
        Self { from, end, most: i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1) }
    }

    pub(super) fn keys_params<'a>(&'a self, bucket: &'a &str) -> [&'a (dyn ToSql + Sync); 4] {
        [bucket, &self.from, &self.end, &self.most]
    }

    pub(super) fn scan_params<'a>(&'a self, bucket: &'a &str) -> [&'a (dyn ToSql + Sync); 5] {
        [bucket, &self.from, &self.end, &self.most, &PAGE_BYTES]
    }
}

/// The values of `count` keys, from rows of their places, which begin at 1.
pub(super) fn values(rows: &[Row], count: usize) -> Result<Result<Vec<Option<Versioned>>, StateError>, Error> {
    let mut values = vec![None; count];
    for row in rows {
        let (at, number): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let Some(value) = row.try_get::<_, Option<Vec<u8>>>(2)? else {
            let too_large = StateError::TooLarge { what: "the values of one read", limit: limit::BYTES, unit: "bytes" };
            return Ok(Err(too_large));
        };
        let slot = usize::try_from(at - 1).ok().and_then(|at| values.get_mut(at));
        if let Some(slot) = slot {
            *slot = Some(Versioned { value, version: version(number) });
        }
    }
    Ok(Ok(values))
}

/// A page of entries.
pub(super) fn entries(rows: &[Row]) -> Result<Page<Entry>, Error> {
    let entry = |row: &Row| {
        let value = Versioned { value: row.try_get(2)?, version: version(row.try_get(1)?) };
        Ok(Entry { key: row.try_get(0)?, value })
    };
    let items: Vec<Entry> = rows.iter().map(entry).collect::<Result<_, Error>>()?;
    let listed: i64 = rows.last().map_or(Ok(0), |row| row.try_get(3))?;
    let more = usize::try_from(listed).unwrap_or(0) > items.len();
    let next = items.last().filter(|_| more).map(|entry| entry.key.clone());
    Ok(Page { items, next })
}

/// A page of at most `limit` keys, where one more was asked for.
pub(super) fn keys(rows: &[Row], limit: usize) -> Result<Page<Key>, Error> {
    let mut items: Vec<Key> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).cloned();
    Ok(Page { items, next })
}
