//! Listings whose keys change between two pages: keys that nobody touched are listed exactly once.

use super::concurrency::store_on;
use super::{name, puts, sim_disk::SimDisk};
use crate::state::{Bucket, Change, Key, Settings, Transaction};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What happens to the keys between two pages.
#[derive(Debug, Clone)]
enum Between {
    /// The keys of the page that was listed last are deleted.
    DeletePage,
    Delete(u16),
    Add(u16),
}

/// How the pages are asked for.
#[derive(Debug, Clone, Copy)]
enum Listing {
    Scan,
    Keys,
    /// By cursors of one word.
    Cursors,
}

/// The keys that stay from the beginning to the end are even, and those that come and go are odd.
fn key(number: u16) -> Key {
    format!("key/{number:03}").into_bytes()
}

fn between() -> impl Strategy<Value = Between> {
    let odd = || (0u16..100).prop_map(|number| 2 * number + 1);
    prop_oneof![Just(Between::DeletePage), odd().prop_map(Between::Delete), odd().prop_map(Between::Add)]
}

/// One page, and what to pass as `after` for the next: its last key, or the bytes of its cursor.
async fn page(bucket: &Bucket, listing: Listing, after: Option<Key>, limit: usize) -> (Vec<Key>, Option<Key>) {
    match listing {
        Listing::Scan => {
            let page = bucket.scan(b"key/".to_vec(), after, limit).await.unwrap();
            (page.items.into_iter().map(|entry| entry.key).collect(), page.next)
        }
        Listing::Keys => {
            let page = bucket.keys(b"key/".to_vec(), after, limit).await.unwrap();
            (page.items, page.next)
        }
        Listing::Cursors => {
            let after = match after {
                Some(bytes) => {
                    let cursor = u64::from_be_bytes(bytes.try_into().unwrap());
                    Some(bucket.key_of_cursor(cursor).await.unwrap().expect("it was given"))
                }
                None => None,
            };
            let page = bucket.keys(Key::new(), after, limit).await.unwrap();
            (page.items, page.next.map(|last| bucket.cursor(&last).to_be_bytes().to_vec()))
        }
    }
}

async fn check(listing: Listing, limit: usize, steps: Vec<Vec<Between>>) {
    let store = store_on(&SimDisk::default(), &Settings::default());
    let bucket = store.bucket(&name("a"));
    let all =
        Transaction { writes: (0..200).map(|n| (key(n), Change::Put(Vec::new()))).collect(), ..Default::default() };
    bucket.commit(all).await.unwrap();

    let mut untouched: BTreeSet<Key> = (0..100).map(|n| key(2 * n)).collect();
    let (mut listed, mut after, mut steps) = (Vec::new(), None, steps.into_iter());
    loop {
        let (keys, next) = page(&bucket, listing, after, limit).await;
        let writes = steps.next().unwrap_or_default().into_iter().flat_map(|step| match step {
            Between::DeletePage => keys.iter().map(|key| (key.clone(), Change::Delete)).collect(),
            Between::Delete(number) => vec![(key(number), Change::Delete)],
            Between::Add(number) => vec![(key(number), Change::Put(Vec::new()))],
        });
        let writes: Vec<_> = writes.collect();
        listed.extend(keys);
        for (key, change) in &writes {
            if *change == Change::Delete && !listed.contains(key) {
                untouched.remove(key);
            }
        }
        bucket.commit(Transaction { writes, ..Default::default() }).await.unwrap();
        after = next;
        if after.is_none() {
            break;
        }
    }
    for key in untouched {
        assert_eq!(listed.iter().filter(|listed| **listed == key).count(), 1, "{}", key.escape_ascii());
    }
    let once: BTreeSet<_> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "no key is listed twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn keys_that_nobody_touched_are_listed_exactly_once(
        listing in prop::sample::select(vec![Listing::Scan, Listing::Keys, Listing::Cursors]),
        limit in 1..80usize,
        steps in prop::collection::vec(prop::collection::vec(between(), 0..6), 0..8),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(listing, limit, steps));
    }
}

#[tokio::test]
async fn a_cursor_of_one_word_outlives_its_handle_as_long_as_its_key_is_there() {
    let store = store_on(&SimDisk::default(), &Settings::default());
    let bucket = store.bucket(&name("a"));
    bucket.commit(puts(&[("a", ""), ("b", ""), ("c", "")])).await.unwrap();
    let cursor = bucket.cursor(&b"b".to_vec());
    assert!(cursor > 0 && cursor < 1 << 53);
    let other = store.bucket(&name("a"));
    assert_eq!(other.key_of_cursor(cursor).await, Ok(Some(b"b".to_vec())));
    assert_eq!(other.key_of_cursor(2).await, Ok(None));
    bucket.commit(Transaction { writes: vec![(b"b".to_vec(), Change::Delete)], ..Default::default() }).await.unwrap();
    assert_eq!(bucket.key_of_cursor(cursor).await, Ok(Some(b"b".to_vec())), "it is remembered");
    assert_eq!(other.key_of_cursor(cursor).await, Ok(None), "nobody can tell which keys come after it");
    store.close();
}
