//! Records by id. The key is `kind/` and the id with leading zeros, so that a scan lists records in the order of
//! their ids.

use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::platform::Platform;
use crate::transaction::decode;

/// The most records in one page, and in one call by ids.
pub const MAX_RECORDS: u32 = 100;
/// The setting for the number of records in a page, and its default.
const PAGE_SIZE: (&str, u32) = ("page_size", 50);

/// A part of a list, in the order of the ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The ids and their records.
    pub items: Vec<(u64, T)>,
    /// The cursor of the next page; `None` on the last page.
    pub next_cursor: Option<String>,
}

/// The key of the record of this kind and id.
pub fn record_key(kind: &str, id: u64) -> String {
    format!("{kind}/{id:020}")
}

/// The records with these ids in one snapshot, in the order of the ids.
pub async fn find_many<T: DeserializeOwned>(
    platform: &impl Platform,
    kind: &str,
    ids: &[u64],
) -> Result<Vec<Option<T>>, Failure> {
    if ids.len() > MAX_RECORDS as usize {
        return Err(Failure::invalid("/ids", format!("must be at most {MAX_RECORDS} ids")));
    }
    let keys: Vec<_> = ids.iter().map(|id| record_key(kind, *id)).collect();
    let found = platform.get_many(keys.clone()).await?;
    let decoded =
        found.into_iter().zip(&keys).map(|(found, key)| found.map(|found| decode(key, &found.value)).transpose());
    decoded.collect()
}

/// A page of the records of this kind. Without `limit`, the service's setting `page_size` applies.
pub async fn list<T: DeserializeOwned>(
    platform: &impl Platform,
    kind: &str,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Listing<T>, Failure> {
    let limit = limit.map_or_else(|| page_size(platform), Ok)?;
    if !(1..=MAX_RECORDS).contains(&limit) {
        let detail = format!("must be a whole number from 1 to {MAX_RECORDS}");
        return Err(Failure::invalid("/limit", detail));
    }
    let after = cursor.map(|cursor| parse_cursor(cursor).map(|id| record_key(kind, id))).transpose()?;
    let prefix = format!("{kind}/");
    let page = platform.scan(prefix.clone(), after, limit).await?;
    let id_of = |key: &str| {
        let id = key.strip_prefix(&prefix).and_then(|digits| digits.parse::<u64>().ok());
        id.ok_or_else(|| Failure::Internal(format!("{key} has no id")))
    };
    let item = |entry: &crate::transactions::Entry| Ok((id_of(&entry.key)?, decode(&entry.key, &entry.value)?));
    Ok(Listing {
        items: page.entries.iter().map(item).collect::<Result<_, Failure>>()?,
        next_cursor: page.next.map(|key| id_of(&key)).transpose()?.map(|id| id.to_string()),
    })
}

fn page_size(platform: &impl Platform) -> Result<u32, Failure> {
    let (key, default) = PAGE_SIZE;
    let Some(text) = platform.setting(key).map_err(Failure::Unavailable)? else {
        return Ok(default);
    };
    let size = text.parse().ok().filter(|size| (1..=MAX_RECORDS).contains(size));
    size.ok_or_else(|| Failure::Internal(format!("the setting {key} must be 1 to {MAX_RECORDS}, and is {text:?}")))
}

fn parse_cursor(cursor: &str) -> Result<u64, Failure> {
    let id = cursor.parse().ok().filter(|_| cursor.bytes().all(|byte| byte.is_ascii_digit()));
    id.ok_or_else(|| Failure::invalid("/cursor", "is not a cursor of this list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, block_on};

    fn with_records(count: u64) -> Memory {
        let memory = Memory::fresh();
        for id in 1..=count {
            memory.put(&record_key("item", id), id.to_string().as_bytes());
        }
        memory.put("items/1", b"another kind");
        memory
    }

    #[test]
    fn pages_give_every_record_once_and_in_order() {
        let memory = with_records(205);
        for limit in [Some(1), Some(7), Some(41), Some(100), None] {
            let (mut ids, mut cursor) = (Vec::new(), None);
            loop {
                let page: Listing<u64> = block_on(list(&memory, "item", limit, cursor.as_deref())).expect("a page");
                assert!(!page.items.is_empty(), "no page is empty");
                ids.extend(page.items.iter().map(|(id, record)| (*id, *record)));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(ids, (1..=205).map(|id| (id, id)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn records_that_nobody_touched_are_listed_once_while_the_pages_are_deleted_and_others_come() {
        let memory = with_records(205);
        let (mut ids, mut cursor) = (Vec::new(), None);
        for added in 1_000.. {
            let page: Listing<u64> = block_on(list(&memory, "item", Some(40), cursor.as_deref())).expect("a page");
            for (id, _) in &page.items {
                let delete = crate::transactions::Write::Delete(record_key("item", *id));
                block_on(memory.commit(Vec::new(), vec![delete], Vec::new())).expect("it is deleted");
                ids.push(*id);
            }
            memory.put(&record_key("item", 0), b"0");
            memory.put(&record_key("item", added), b"0");
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        ids.retain(|id| *id < 1_000);
        assert_eq!(ids, (1..=205).collect::<Vec<_>>());
    }

    #[test]
    fn page_size_is_the_default_limit_and_must_be_valid() {
        let memory = with_records(60);
        let count = || block_on(list::<u64>(&memory, "item", None, None)).map(|page| page.items.len());
        assert_eq!(count(), Ok(50));
        memory.set("page_size", "3");
        assert_eq!(count(), Ok(3));
        for wrong in ["0", "101", "many"] {
            memory.set("page_size", wrong);
            assert!(matches!(count(), Err(Failure::Internal(_))), "{wrong}");
        }
    }

    #[test]
    fn limits_cursors_and_id_counts_out_of_bounds_are_refused() {
        let memory = with_records(1);
        let refused = |limit, cursor| match block_on(list::<u64>(&memory, "item", limit, cursor)) {
            Err(Failure::Invalid(errors)) => errors[0].pointer.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Some(0), None), "/limit");
        assert_eq!(refused(Some(101), None), "/limit");
        for cursor in ["", "x", "+1", "99999999999999999999"] {
            assert_eq!(refused(None, Some(cursor)), "/cursor");
        }
        let found = block_on(find_many::<u64>(&memory, "item", &[2, 1, 1]));
        assert_eq!(found, Ok(vec![None, Some(1), Some(1)]));
        assert!(matches!(block_on(find_many::<u64>(&memory, "item", &[1; 101])), Err(Failure::Invalid(_))));
    }
}
