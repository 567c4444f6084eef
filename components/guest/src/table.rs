//! A table: records of one kind by key, changed one by one in transactions of their own.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::host::Host;
use crate::id::new_id;
use crate::platform::Platform;
use crate::records::{Listing, find_many, list, record_key};
use crate::transaction::{decode, transact};

/// What names a record of a [`Table`]: an id, or a text. A table has records of one of the two.
pub trait TableKey {
    /// The key as a part of the store's key.
    fn text(&self) -> String;
}

impl TableKey for u64 {
    /// With leading zeros, so that the store's order is that of the ids.
    fn text(&self) -> String {
        format!("{self:020}")
    }
}

impl TableKey for &str {
    fn text(&self) -> String {
        (*self).to_owned()
    }
}

impl TableKey for String {
    fn text(&self) -> String {
        self.clone()
    }
}

/// The records of one kind. What is changed together with other keys is changed by [`transact`], with [`Table::key`].
///
/// ```no_run
/// # use atoll_guest::{Failure, Table};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Link { target: String, visits: u64 }
/// const LINKS: Table<Link> = Table::new("link");
///
/// # async fn example() -> Result<(), Failure> {
/// let is_new = LINKS.insert_new("rust", &Link { target: "https://rust-lang.org".into(), visits: 0 }).await?;
/// let visited = LINKS.update("rust", |link| link.visits += 1).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Table<T, P = Host> {
    kind: &'static str,
    types: PhantomData<fn() -> (T, P)>,
}

impl<T: Serialize + DeserializeOwned, P: Platform> Table<T, P> {
    /// The table of the records of this kind. The kind begins each of their keys in the store: `kind/`.
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, types: PhantomData }
    }

    /// The key of a record in the store.
    pub fn key(&self, key: impl TableKey) -> String {
        format!("{}/{}", self.kind, key.text())
    }

    /// Stores a record under a new id, which is greater than those of earlier milliseconds.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub async fn insert(&self, record: &T) -> Result<u64, Failure> {
        let platform = P::current();
        transact(&platform, async |transaction| {
            let id = new_id(&platform);
            let key = record_key(self.kind, id);
            transaction.claim(key.clone());
            transaction.put(key, record);
            Ok(id)
        })
        .await
    }

    /// Stores a record if there is none of this key, and says whether it did.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub async fn insert_new(&self, key: impl TableKey, record: &T) -> Result<bool, Failure> {
        let key = self.key(key);
        transact(&P::current(), async |transaction| {
            let [found] = transaction.read([key.clone()]).await?;
            if found.is_none() {
                transaction.put(key.clone(), record);
            }
            Ok(found.is_none())
        })
        .await
    }

    /// The record of this key.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub async fn get(&self, key: impl TableKey) -> Result<Option<T>, Failure> {
        let key = self.key(key);
        let found = P::current().get_many(vec![key.clone()]).await?;
        found.into_iter().next().flatten().map(|found| decode(&key, &found.value)).transpose()
    }

    /// The records of these ids in one snapshot, at most 100, in the order of the ids.
    ///
    /// # Errors
    /// [`Failure`] of the store; `Invalid` for `/ids` if there are more.
    pub async fn get_many(&self, ids: &[u64]) -> Result<Vec<Option<T>>, Failure> {
        find_many(&P::current(), self.kind, ids).await
    }

    /// Changes the record of this key, and returns it as it now is; `None` if there is none. `change` runs again if
    /// another request was faster.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub async fn update(&self, key: impl TableKey, change: impl Fn(&mut T)) -> Result<Option<T>, Failure> {
        self.try_update(key, |record| {
            change(record);
            Ok(())
        })
        .await
    }

    /// [`Table::update`] with a change that may refuse: then nothing is stored.
    ///
    /// # Errors
    /// Those of `change` and of the store.
    pub async fn try_update<E: From<Failure>>(
        &self,
        key: impl TableKey,
        change: impl Fn(&mut T) -> Result<(), E>,
    ) -> Result<Option<T>, E> {
        let key = self.key(key);
        transact(&P::current(), async |transaction| {
            let [found] = transaction.read([key.clone()]).await?;
            let Some(found) = found else { return Ok(None) };
            let mut record: T = decode(&key, &found)?;
            change(&mut record)?;
            transaction.put(key.clone(), &record);
            Ok(Some(record))
        })
        .await
    }

    /// Removes the record of this key, and returns it; `None` if there was none.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub async fn remove(&self, key: impl TableKey) -> Result<Option<T>, Failure> {
        let key = self.key(key);
        transact(&P::current(), async |transaction| {
            let [found] = transaction.read([key.clone()]).await?;
            let Some(found) = found else { return Ok(None) };
            transaction.delete(key.clone());
            decode(&key, &found).map(Some)
        })
        .await
    }

    /// A page of the records that have ids, in the order of their ids: 1 to 100, without `limit` the service's setting
    /// `page_size`, which is 50 by default. `cursor` is what the page before gave.
    ///
    /// # Errors
    /// [`Failure`] of the store; `Invalid` for `/limit` or `/cursor`.
    pub async fn page(&self, limit: Option<u32>, cursor: Option<&str>) -> Result<Listing<T>, Failure> {
        list(&P::current(), self.kind, limit, cursor).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, block_on, interleave};

    const COUNTS: Table<u64, Memory> = Table::new("count");

    #[test]
    fn a_record_is_inserted_once_changed_and_removed() {
        let memory = Memory::fresh();
        assert_eq!(block_on(COUNTS.insert_new("a", &1)), Ok(true));
        assert_eq!(block_on(COUNTS.insert_new("a", &2)), Ok(false));
        assert_eq!(block_on(COUNTS.get("a")), Ok(Some(1)));
        assert_eq!(block_on(COUNTS.update("a", |count| *count += 1)), Ok(Some(2)));
        assert_eq!(block_on(COUNTS.update("b", |count| *count += 1)), Ok(None));
        assert_eq!(memory.keys(), ["count/a"]);
        assert_eq!(block_on(COUNTS.remove("a")), Ok(Some(2)));
        assert_eq!(block_on(COUNTS.remove("a")), Ok(None));
        assert_eq!(memory.keys(), [""; 0]);
    }

    #[test]
    fn a_change_that_refuses_stores_nothing() {
        let _memory = Memory::fresh();
        assert_eq!(block_on(COUNTS.insert_new("a", &1)), Ok(true));
        let refused = block_on(COUNTS.try_update("a", |count| {
            *count = 9;
            Err(Failure::invalid("/count", "is never good"))
        }));
        assert_eq!(refused, Err(Failure::invalid("/count", "is never good")));
        assert_eq!(block_on(COUNTS.get("a")), Ok(Some(1)));
    }

    #[test]
    fn inserted_records_are_paged_in_the_order_of_their_ids() {
        let memory = Memory::fresh();
        let ids: Vec<u64> = (0..5)
            .map(|number| {
                memory.set_now(1_800_000_000_000 + number);
                block_on(COUNTS.insert(&number)).expect("inserted")
            })
            .collect();
        assert!(ids.is_sorted());
        let first = block_on(COUNTS.page(Some(3), None)).expect("a page");
        assert_eq!(first.items, [(ids[0], 0), (ids[1], 1), (ids[2], 2)]);
        let rest = block_on(COUNTS.page(None, first.next_cursor.as_deref())).expect("a page");
        assert_eq!((rest.items.len(), rest.next_cursor), (2, None));
        assert_eq!(block_on(COUNTS.get_many(&[ids[4], 1])), Ok(vec![Some(4), None]));
    }

    #[test]
    fn of_many_requests_at_once_one_inserts_and_all_updates_count() {
        for seed in 0..100 {
            let _memory = Memory::fresh();
            let inserts = interleave(seed, (0..6).map(|number| COUNTS.insert_new("a", number_of(number))).collect());
            assert_eq!(inserts.iter().filter(|made| **made == Ok(true)).count(), 1, "seed {seed}");
            let before = block_on(COUNTS.get("a")).expect("read").expect("stored");
            interleave(seed, (0..6).map(|_| COUNTS.update("a", |count| *count += 1)).collect());
            assert_eq!(block_on(COUNTS.get("a")), Ok(Some(before + 6)), "seed {seed}");
        }
    }

    /// A record that lives as long as the test.
    fn number_of(number: usize) -> &'static u64 {
        &[10, 20, 30, 40, 50, 60][number]
    }
}
