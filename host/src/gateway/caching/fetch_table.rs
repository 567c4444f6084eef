//! One fetch for many: who fetches an answer now, and who waits for it.

use super::spool::Spool;
use crate::cache::{CacheKey, KeptAnswer, KeyDigest, Selection};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What requests that wait for one fetch have in common.
pub(super) type FetchKey = (CacheKey, KeyDigest, Option<Selection>);

/// How a fetch ended, for those who waited.
#[derive(Clone)]
pub(super) enum FetchEnd {
    /// It is under way.
    Open,
    /// Its answer is on its way to the disk, and can be read along.
    Spooling(SpoolingAnswer),
    /// Its answer is kept.
    Kept,
    /// Its answer is not kept, or there was none: each has to ask for itself.
    NotKept,
    /// Its client has gone: another one has to fetch.
    GivenUp,
}

/// An answer on its way to the disk.
#[derive(Clone)]
pub(super) struct SpoolingAnswer {
    pub(super) kept: Arc<KeptAnswer>,
    pub(super) spool: Arc<Spool>,
    /// The invalidations before the fetch.
    pub(super) begun: u64,
}

/// The fetches under way: at most one for each request that leads one.
#[derive(Default)]
pub(super) struct FetchTable(Mutex<HashMap<FetchKey, watch::Receiver<FetchEnd>>>);

/// What a request is to a fetch.
pub(super) enum FetchRole {
    /// It fetches.
    Leads(FetchLead),
    /// Another one does.
    Waits(watch::Receiver<FetchEnd>),
}

/// The fetch that a request leads. If it is dropped, the fetch is given up.
pub(super) struct FetchLead {
    table: Arc<FetchTable>,
    key: FetchKey,
    end: watch::Sender<FetchEnd>,
}

impl FetchTable {
    /// Begins a fetch, or finds the one that is under way.
    pub(super) fn join(self: &Arc<Self>, key: FetchKey) -> FetchRole {
        match self.lock().entry(key) {
            Entry::Occupied(open) => FetchRole::Waits(open.get().clone()),
            Entry::Vacant(none) => {
                let (end, waiting) = watch::channel(FetchEnd::Open);
                let key = none.key().clone();
                none.insert(waiting);
                FetchRole::Leads(FetchLead { table: Arc::clone(self), key, end })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FetchKey, watch::Receiver<FetchEnd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchLead {
    /// Tells those who wait how the fetch ended.
    pub(super) fn end(self, end: FetchEnd) {
        self.tell(end);
    }

    /// Tells those who wait, and those who come as long as the lead is held.
    pub(super) fn tell(&self, end: FetchEnd) {
        self.end.send_replace(end);
    }
}

impl Drop for FetchLead {
    fn drop(&mut self) {
        // First out of the table: who comes now must not wait for a fetch that is over.
        self.table.lock().remove(&self.key);
        self.end.send_if_modified(|end| {
            let open = matches!(end, FetchEnd::Open);
            if open {
                *end = FetchEnd::GivenUp;
            }
            open
        });
    }
}

/// Waits for the end of a fetch that another request leads.
pub(super) async fn ended(mut waiting: watch::Receiver<FetchEnd>) -> FetchEnd {
    let end = waiting.wait_for(|end| !matches!(end, FetchEnd::Open)).await;
    end.map_or(FetchEnd::GivenUp, |end| end.clone())
}
