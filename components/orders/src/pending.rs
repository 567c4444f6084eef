//! Reservations without an order: giving them up, at once or in a sweep.

use std::time::Duration;

use atoll_guest::{Failure, Platform, Transaction, decode, new_id, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::orders::orders::{Error, OrderId};
use crate::dependencies::Dependencies;
use crate::placement::{KeyRecord, Workflow, caller_key};

const KIND: &str = "pending";
/// The setting for how old a pending record must be before others may give it up, in milliseconds, and its default.
/// The setting does not affect correctness: no stock is lost or sold twice, whatever its value. It should be longer
/// than the timeouts of the calls to products and to the state together. If it is shorter, slow orders are refused as
/// `unavailable`.
const SWEEP_AFTER: (&str, u64) = ("sweep_after", 10_000);
/// How many pending records one sweep handles at most.
const SWEEP: u32 = 4;
/// How long a call may spend on giving up: a caller that wants to list orders should not wait until products answer
/// again.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// A reservation that was requested, or will be, and has no order.
///
/// It is stored under an id that grows with time, so a scan returns the oldest first. Until it is given up, this is
/// the id of its placement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The caller's key.
    pub(crate) key: String,
    /// The key of the reservation.
    pub(crate) reservation: String,
    /// When the record was written, in milliseconds since 1970.
    pub(crate) since: u64,
}

impl Pending {
    /// Writes the record under an id that must be unused.
    pub(crate) fn add<P: Platform>(&self, transaction: &mut Transaction<'_, P>, id: OrderId) {
        transaction.claim(pending_key(id));
        transaction.put(pending_key(id), self);
    }
}

impl<P: Platform, N: Dependencies> Workflow<P, N> {
    /// Gives up some of the oldest pending records that no call can still be working on.
    ///
    /// The sweep helps other callers, so it costs this caller at most [`GIVE_UP_TIMEOUT`]. What fails here is left to
    /// another sweep. Usually there is nothing to do, and the sweep is one read.
    pub(crate) async fn sweep(&self) {
        let Ok(page) = self.platform.scan(format!("{KIND}/"), None, SWEEP).await else { return };
        let stale = page
            .entries
            .iter()
            .filter(|entry| decode::<Pending>(&entry.key, &entry.value).is_ok_and(|pending| self.is_stale(&pending)));
        let id_of = |key: &str| key.strip_prefix(KIND)?.strip_prefix('/')?.parse::<OrderId>().ok();
        let ids: Vec<_> = stale.filter_map(|entry| id_of(&entry.key)).collect();
        if ids.is_empty() {
            return;
        }
        let give_up_all = async {
            for id in ids {
                // A record that cannot be given up now must not stop the others.
                _ = self.give_up(id).await;
            }
        };
        _ = self.platform.within(GIVE_UP_TIMEOUT, give_up_all).await;
    }

    /// Whether, by the clock, no call can still be working on the record. A record from the future counts as stale
    /// too: a clock that was set back must not keep stock from being sold until it has caught up.
    pub(crate) fn is_stale(&self, pending: &Pending) -> bool {
        self.platform.now().abs_diff(pending.since) >= self.sweep_after
    }

    /// [`Workflow::give_up`] for at most [`GIVE_UP_TIMEOUT`]. A sweep does what is not done by then.
    pub(crate) async fn give_up_in_time(&self, id: OrderId) -> Result<bool, Error> {
        let late = || Err(Error::Unavailable("releasing a reservation takes too long".to_owned()));
        self.platform.within(GIVE_UP_TIMEOUT, self.give_up(id)).await.unwrap_or_else(late)
    }

    /// Releases the reservation of the pending record with this id. `false` if there is no such record: then its
    /// placement has succeeded, or another call has given it up.
    ///
    /// The reservation is released even if products has refused it: the mesh may have sent the request twice, and the
    /// one whose answer was lost may arrive late. After the release it takes nothing.
    async fn give_up(&self, id: OrderId) -> Result<bool, Error> {
        let Some((id, pending)) = self.take_over(id).await? else { return Ok(false) };
        // From here on no order can be stored for this reservation. An instance that dies here or below leaves a
        // record, and the next sweep does this again: a release can be repeated.
        self.dependencies.release(pending.reservation).await?;
        transact(&self.platform, async |transaction| {
            transaction.delete(pending_key(id));
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(true)
    }

    /// Takes the pending record away from its placement, or from a sweep that was too slow, by moving it to a new id.
    /// Also frees the caller's key, which gets no order from this placement any more.
    ///
    /// Only one call can move the record, because the commit demands that it still exists. `keep` demands the same,
    /// so after this commit the placement fails. The new id is the youngest. So a reservation that cannot be
    /// released, because products is down or has no room for the stock, goes to the end of the queue and waits there
    /// for `sweep_after`.
    async fn take_over(&self, id: OrderId) -> Result<Option<(OrderId, Pending)>, Error> {
        transact(&self.platform, async |transaction| {
            let [found] = transaction.read([pending_key(id)]).await?;
            let Some(found) = found else { return Ok(None) };
            let mut pending: Pending = decode(&pending_key(id), &found)?;
            let key = caller_key(&pending.key);
            let [record_at_key] = transaction.read([key.clone()]).await?;
            let record_at_key =
                record_at_key.map(|record_at_key| decode::<KeyRecord>(&key, &record_at_key)).transpose()?;
            // After an earlier move, the key may belong to a later placement, which must continue.
            if record_at_key.is_some_and(|record_at_key| record_at_key.id == id) {
                transaction.delete(key);
            }
            transaction.delete(pending_key(id));
            let moved = new_id(&self.platform);
            pending.since = self.platform.now();
            pending.add(transaction, moved);
            Ok(Some((moved, pending)))
        })
        .await
    }
}

pub(crate) fn pending_key(id: OrderId) -> String {
    record_key(KIND, id)
}

/// The value of the setting, in milliseconds.
pub(crate) fn sweep_after(platform: &impl Platform) -> Result<u64, Failure> {
    let (key, default) = SWEEP_AFTER;
    let Some(text) = platform.setting(key).map_err(Failure::Unavailable)? else { return Ok(default) };
    text.parse().map_err(|_| Failure::Internal(format!("the setting {key} must be milliseconds, and is {text:?}")))
}
