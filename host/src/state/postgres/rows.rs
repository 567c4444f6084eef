//! Rows of the server as entries, and the ranges of keys that it is asked for.

use crate::state::error::StateError;
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use tokio_postgres::{Error, Row};

/// Longer than any key, and after all of them.
const LAST: [u8; 2 * limit::KEY] = [0xFF; 2 * limit::KEY];

/// A version as the server has it.
pub(super) fn stored(version: u64) -> i64 {
    i64::try_from(version).expect("no database sees 2^63 commits")
}

/// A version that the server has.
pub(super) fn version(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// How many rows are asked for, to know whether more than `limit` follow.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The first key of a listing, and the key before which it ends.
pub(super) fn range(prefix: &[u8], after: Option<&[u8]>) -> (Key, Key) {
    let from = match after {
        // The next key in the order of bytes.
        Some(after) if after >= prefix => [after, &[0]].concat(),
        _ => prefix.to_vec(),
    };
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (from, end);
        }
    }
    (from, LAST.to_vec())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_exactly_the_keys_of_its_prefix_that_come_after() {
        let all: Vec<Key> = [&b"a"[..], b"a\0", b"a\xFF", b"a\xFF\xFF", b"b", b"\xFF", b"\xFF\xFF", b"\xFF\xFF\x01"]
            .map(Key::from)
            .to_vec();
        for prefix in [&b""[..], b"a", b"a\xFF", b"\xFF", b"\xFF\xFF", b"c"] {
            for after in [None, Some(&b"a"[..]), Some(b"a\xFF"), Some(b"\xFF"), Some(b"z")] {
                let (from, end) = range(prefix, after);
                let found: Vec<_> = all.iter().filter(|key| **key >= from && **key < end).collect();
                let wanted = |key: &&Key| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after);
                assert_eq!(found, all.iter().filter(wanted).collect::<Vec<_>>(), "{prefix:?} {after:?}");
            }
        }
    }
}
