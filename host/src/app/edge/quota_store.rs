//! Where the counts of quotas are kept: in the database, under a name that no service has.

use crate::base::ServiceName;
use crate::gateway::{KeepQuota, SavedFuture};
use crate::limit::{QuotaEntry, QuotaTable};
use crate::state::{Bucket, Change, Key, StateError, Store, Transaction, limit};
use ring::hmac;
use std::time::Duration;

/// The counts of quotas on disk.
///
/// An entry's key is `quota/`, the limit's name, a zero byte, the window's length and number, and the hash of the key
/// that it counts; its value is the count. The hash is keyed by a secret of this database, so that the addresses of
/// clients are not on disk, and nobody outside can foresee which keys share a count.
#[derive(Debug, Clone)]
pub(in crate::app) struct QuotaStore {
    bucket: Bucket,
    hasher: hmac::Key,
}

/// Where the secret of the hash is.
const SECRET: &[u8] = b"quota-secret";
/// What the keys of counts begin with.
const COUNTS: &[u8] = b"quota/";

impl QuotaStore {
    /// The counts in `store`. The first time, it makes the secret of their keys.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn open(store: &Store) -> Result<Self, StateError> {
        let bucket = store.bucket(&ServiceName::of_host());
        let found = bucket.get(vec![SECRET.to_vec()]).await?.pop().flatten();
        let secret = match found {
            Some(found) => found.value,
            None => {
                let secret: [u8; 32] = rand::random();
                let put = vec![(SECRET.to_vec(), Change::Put(secret.to_vec()))];
                bucket
                    .commit(Transaction { checks: vec![(SECRET.to_vec(), 0)], writes: put, ..Transaction::default() })
                    .await?;
                secret.to_vec()
            }
        };
        Ok(Self { bucket, hasher: hmac::Key::new(hmac::HMAC_SHA256, &secret) })
    }

    /// Reads the counts of the limit `name` in the window of this number, calls `with` for each of them, and deletes
    /// those of other windows, also of windows of another length.
    pub(super) async fn walk(
        &self,
        name: &str,
        window: Duration,
        current: u64,
        with: impl Fn(QuotaEntry),
    ) -> Result<(), StateError> {
        let (prefix, place) = (prefix(name), place(window, current));
        let mut after = None;
        loop {
            let page = self.bucket.scan(prefix.clone(), after, limit::PAGE).await?;
            let mut old = Vec::new();
            for entry in page.items {
                let rest = &entry.key[prefix.len()..];
                let key = rest.strip_prefix(&place).and_then(|key| Some(u64::from_be_bytes(key.try_into().ok()?)));
                let count = entry.value.value.as_slice().try_into().ok().map(u32::from_be_bytes);
                match (key, count) {
                    (Some(key), Some(count)) => with(QuotaEntry { window: current, key, count }),
                    _ => old.push((entry.key, Change::Delete)),
                }
            }
            if !old.is_empty() {
                self.bucket.commit(Transaction { checks: Vec::new(), writes: old, ..Transaction::default() }).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

impl KeepQuota for QuotaStore {
    fn key(&self, bytes: &[u8]) -> u64 {
        let tag = hmac::sign(&self.hasher, bytes);
        let first = tag.as_ref().first_chunk().expect("a tag has 32 bytes");
        u64::from_be_bytes(*first).max(QuotaTable::SHARED + 1)
    }

    fn save<'a>(&'a self, name: &'a str, window: Duration, entry: QuotaEntry) -> SavedFuture<'a> {
        let key = [prefix(name).as_slice(), &place(window, entry.window), &entry.key.to_be_bytes()].concat();
        let put = Change::Put(entry.count.to_be_bytes().to_vec());
        Box::pin(async move {
            let committed = self
                .bucket
                .commit(Transaction { checks: Vec::new(), writes: vec![(key, put)], ..Transaction::default() })
                .await;
            committed.map(drop).map_err(|error| error.with_causes())
        })
    }
}

fn prefix(name: &str) -> Key {
    [COUNTS, name.as_bytes(), &[0]].concat()
}

fn place(window: Duration, number: u64) -> [u8; 16] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&window.as_secs().to_be_bytes());
    place[8..].copy_from_slice(&number.to_be_bytes());
    place
}
