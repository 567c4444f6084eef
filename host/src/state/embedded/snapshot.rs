//! A snapshot: one bucket, read as of one moment.

use super::sealing::ValueCodec;
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use redb::{ReadOnlyTable, StorageError};
use std::ops::Bound;

/// A bucket's table as of one moment. A bucket that was never written has no table.
pub(super) type BucketSnapshot = ReadOnlyTable<&'static [u8], (u64, &'static [u8])>;

/// The values of `keys` in their order; `None` if the values have more than [`limit::BYTES`] together.
pub(super) fn values(
    table: Option<&BucketSnapshot>,
    codec: &ValueCodec,
    keys: &[Key],
) -> Result<Option<Vec<Option<Versioned>>>, StorageError> {
    let Some(table) = table else { return Ok(Some(vec![None; keys.len()])) };
    let mut values = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        let entry = table.get(key.as_slice())?;
        let value = entry.map(|entry| versioned(codec, key, entry.value())).transpose()?;
        bytes += value.as_ref().map_or(0, |found| found.value.len());
        if bytes > limit::BYTES {
            return Ok(None);
        }
        values.push(value);
    }
    Ok(Some(values))
}

/// A page of at most `most` entries.
pub(super) fn entries(
    table: Option<&BucketSnapshot>,
    codec: &ValueCodec,
    prefix: &[u8],
    after: Option<&[u8]>,
    most: usize,
) -> Result<Page<Entry>, StorageError> {
    let entry = |key: &[u8], value: (u64, &[u8])| Ok(Entry { key: key.into(), value: versioned(codec, key, value)? });
    walk(table, prefix, after, PageBounds { items: most, bytes: limit::PAGE_BYTES }, entry)
}

/// A page of at most `most` keys.
pub(super) fn keys(
    table: Option<&BucketSnapshot>,
    prefix: &[u8],
    after: Option<&[u8]>,
    most: usize,
) -> Result<Page<Key>, StorageError> {
    walk(table, prefix, after, PageBounds { items: most, bytes: limit::WALK_BYTES }, |key, _| Ok(key.into()))
}

/// The bounds of one page.
struct PageBounds {
    /// The most items.
    items: usize,
    /// The most bytes of keys and values that are read for it, unless the first item alone has more.
    bytes: usize,
}

/// The items after `after` whose keys start with `prefix`, within `bounds`.
fn walk<T>(
    table: Option<&BucketSnapshot>,
    prefix: &[u8],
    after: Option<&[u8]>,
    bounds: PageBounds,
    item: impl Fn(&[u8], (u64, &[u8])) -> Result<T, StorageError>,
) -> Result<Page<T>, StorageError> {
    let mut page = Page { items: Vec::new(), next: None };
    let Some(table) = table else { return Ok(page) };
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let mut bytes = 0;
    let mut last = None;
    for entry in table.range::<&[u8]>((start, Bound::Unbounded))? {
        let (key, value) = entry?;
        // The keys of a prefix are neighbours, so the first key without the prefix ends the page.
        if !key.value().starts_with(prefix) {
            break;
        }
        bytes += key.value().len() + value.value().1.len();
        let full = page.items.len() == bounds.items || bytes > bounds.bytes;
        if full && last.is_some() {
            page.next = last.map(|key: redb::AccessGuard<&[u8]>| key.value().to_vec());
            break;
        }
        page.items.push(item(key.value(), value.value())?);
        last = Some(key);
    }
    Ok(page)
}

fn versioned(codec: &ValueCodec, key: &[u8], (version, stored): (u64, &[u8])) -> Result<Versioned, StorageError> {
    debug_assert!(version > 0, "version 0 means absent");
    Ok(Versioned { value: codec.decode(key, version, stored)?.into_owned(), version })
}
