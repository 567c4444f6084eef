//! What a host notes of a bridge, in a bucket of its own:
//! - `position`: how far it is, see [`BridgePosition`];
//! - `between`: what it is between, as [`BridgeNotes::begin`] was told. A position is one of that alone;
//! - `name`: what the ids of its outgoing events begin with, 16 random digits;
//! - `seen/ID` and `order/NUMBER`: the ids of the latest events that have come in, and the order in which they came.
//!
//! The bucket `bridges:host` has `origin`, which names this host's data for all bridges, for ever.

use crate::base::ServiceName;
use crate::state::{Bucket, Change, Key, StateError, Store, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const POSITION: &[u8] = b"position";
const BETWEEN: &[u8] = b"between";
const NAME: &[u8] = b"name";
const SEEN: &[u8] = b"seen/";
const ORDER: &[u8] = b"order/";
const ORIGIN: &[u8] = b"origin";
/// How many ids are remembered.
pub(super) const REMEMBERED: u64 = 10_000;
/// The longest id that is remembered: that of a key, less what stands before it.
const LONGEST_ID: usize = 1_000;

/// How far a bridge is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BridgePosition {
    /// The number in its source up to which all is copied.
    pub(super) after: u64,
    /// Of one to a broker: a number of the broker's log. What stands up to it need not be looked through again.
    #[serde(default)]
    pub(super) mark: u64,
    /// Of one from a broker: how many ids it has remembered.
    #[serde(default)]
    pub(super) ids: u64,
}

/// The notes of one bridge.
#[derive(Debug, Clone)]
pub(super) struct BridgeNotes(Bucket);

impl BridgeNotes {
    pub(super) fn new(store: &Store, name: &str) -> Self {
        Self(store.bucket(&ServiceName::of_host_part("bridge", name)))
    }

    pub(super) fn bucket(&self) -> &ServiceName {
        self.0.service()
    }

    /// The bridge is between these places now. `true`: it was between others, so that it begins anew. It remembers the
    /// ids that have come in, and its own events get new ones: the old ones may be those of other events.
    pub(super) async fn begin(&self, between: &str) -> Result<bool, StateError> {
        let found = self.0.get(vec![BETWEEN.to_vec()]).await?.into_iter().flatten().next();
        if found.as_ref().is_some_and(|found| found.value == between.as_bytes()) {
            return Ok(false);
        }
        let mut writes = vec![(BETWEEN.to_vec(), Change::Put(between.as_bytes().to_vec()))];
        if found.is_some() {
            let ids = self.position().await?.ids;
            writes.push(at(BridgePosition { ids, ..BridgePosition::default() }));
            writes.push((NAME.to_vec(), Change::Delete));
        }
        self.0.commit(Transaction { writes, ..Transaction::default() }).await?;
        Ok(found.is_some())
    }

    /// What names this host's data for all bridges.
    pub(super) async fn host_origin(store: &Store) -> Result<String, StateError> {
        random_name(&store.bucket(&ServiceName::of_host_part("bridges", "host")), ORIGIN).await
    }

    /// What the ids of its outgoing events begin with.
    pub(super) async fn outgoing_name(&self) -> Result<String, StateError> {
        random_name(&self.0, NAME).await
    }

    pub(super) async fn position(&self) -> Result<BridgePosition, StateError> {
        let found = self.0.get(vec![POSITION.to_vec()]).await?.into_iter().flatten().next();
        Ok(found.and_then(|found| serde_json::from_slice(&found.value).ok()).unwrap_or_default())
    }

    /// The bridge is there now.
    pub(super) async fn move_to(&self, position: BridgePosition) -> Result<(), StateError> {
        let writes = vec![at(position)];
        self.0.commit(Transaction { writes, ..Transaction::default() }).await.map(drop)
    }

    /// Those of the ids that are remembered.
    pub(super) async fn known<'a>(&self, ids: &[&'a str]) -> Result<BTreeSet<&'a str>, StateError> {
        let found = self.0.get(ids.iter().map(|id| seen(id)).collect()).await?;
        Ok(ids.iter().zip(found).filter(|(_, found)| found.is_some()).map(|(id, _)| *id).collect())
    }

    /// The writes that move the bridge to `position` and remember `ids`. The oldest ids are forgotten.
    pub(super) async fn arrival(
        &self,
        mut position: BridgePosition,
        ids: &[&str],
    ) -> Result<Vec<(Key, Change)>, StateError> {
        let numbers: Vec<u64> = (position.ids..).take(ids.len()).collect();
        let old: Vec<_> = numbers.iter().filter_map(|number| number.checked_sub(REMEMBERED)).map(order).collect();
        let mut writes = Vec::new();
        for (key, found) in old.iter().zip(self.0.get(old.clone()).await?) {
            if let Some(found) = found {
                writes.push((key.clone(), Change::Delete));
                writes.push(([SEEN, &found.value].concat(), Change::Delete));
            }
        }
        for (number, id) in numbers.iter().zip(ids) {
            // After those that go: an id may be the same.
            writes.push((order(*number), Change::Put(shortened(id).to_vec())));
            writes.push((seen(id), Change::Put(Vec::new())));
        }
        position.ids += ids.len() as u64;
        writes.push(at(position));
        Ok(writes)
    }
}

fn at(position: BridgePosition) -> (Key, Change) {
    (POSITION.to_vec(), Change::Put(serde_json::to_vec(&position).expect("numbers are JSON")))
}

fn seen(id: &str) -> Key {
    [SEEN, shortened(id)].concat()
}

fn order(number: impl std::borrow::Borrow<u64>) -> Key {
    [ORDER, &number.borrow().to_be_bytes()].concat()
}

/// An id is somebody's text of any length.
fn shortened(id: &str) -> &[u8] {
    &id.as_bytes()[..id.len().min(LONGEST_ID)]
}

/// The random text at a key, which is made once.
async fn random_name(bucket: &Bucket, key: &[u8]) -> Result<String, StateError> {
    if let Some(found) = bucket.get(vec![key.to_vec()]).await?.into_iter().flatten().next() {
        return Ok(String::from_utf8_lossy(&found.value).into_owned());
    }
    let name = format!("{:016x}", rand::random::<u64>());
    let writes = vec![(key.to_vec(), Change::Put(name.clone().into_bytes()))];
    bucket.commit(Transaction { writes, ..Transaction::default() }).await?;
    Ok(name)
}
