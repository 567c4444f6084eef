//! Reservations that no order stands behind: giving them up, at once or in a sweep.

use std::time::Duration;

use platform::{Failure, Platform, Transaction, decode, new_id, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::attempt::{Desk, Holder, key_key};
use crate::bindings::exports::shop::orders::orders::{Error, OrderId};
use crate::neighbours::Neighbours;

const KIND: &str = "pending";
/// The setting for how old a pending record is, in milliseconds, when others may give it up, and its default. That no
/// stock is lost or sold twice does not rest on it. It should be more than the time limits of the calls to products
/// and to the state together: below that, orders that are merely slow are refused as `unavailable`.
const SWEEP_AFTER: (&str, u64) = ("sweep_after", 10_000);
/// How many pending records one call looks at.
const SWEEP: u32 = 4;
/// How much longer a call may take for giving up: a caller who wants to list orders should not have to wait until
/// products answer again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A reservation that was or will be asked for, and has no order.
///
/// It is stored at an id that grows with time, so a scan gives the oldest first. Until it is given up that is the id of its
/// attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The caller's key.
    pub(crate) key: String,
    /// The key of the reservation.
    pub(crate) reservation: String,
    /// When it was written, in milliseconds since 1970.
    pub(crate) since: u64,
}

impl Pending {
    /// Writes the record at an id that must be free.
    pub(crate) fn add<P: Platform>(&self, transaction: &mut Transaction<'_, P>, id: OrderId) {
        transaction.claim(pending_key(id));
        transaction.put(pending_key(id), self);
    }
}

impl<P: Platform, N: Neighbours> Desk<P, N> {
    /// Gives up some of the oldest pending records that nobody can still be working on.
    ///
    /// It helps others, so it costs the caller at most [`PATIENCE`], and what fails here is left for another sweep. Mostly there
    /// is nothing to do, and it is one read.
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
                // One that cannot be given up now must not keep the others from it.
                _ = self.give_up(id).await;
            }
        };
        _ = self.platform.within(PATIENCE, give_up_all).await;
    }

    /// Whether nobody works on it any more, as far as one can tell by a clock. Also if it is from the future: a clock that
    /// was set back must not keep stock from being sold until it has caught up.
    pub(crate) fn is_stale(&self, pending: &Pending) -> bool {
        self.platform.now().abs_diff(pending.since) >= self.sweep_after
    }

    /// [`Desk::give_up`] for at most [`PATIENCE`]; what is not done by then is done by a sweep.
    pub(crate) async fn give_up_in_time(&self, id: OrderId) -> Result<bool, Error> {
        let late = || Err(Error::Unavailable("releasing a reservation takes too long".to_owned()));
        self.platform.within(PATIENCE, self.give_up(id)).await.unwrap_or_else(late)
    }

    /// Releases the reservation of the pending record with this id; `false` if there is no such record, so that its attempt
    /// has succeeded or somebody else has given it up.
    ///
    /// It is released even if products have refused to reserve: the mesh may have sent the request twice, and the one
    /// whose answer was lost may come late. After the release it takes nothing.
    async fn give_up(&self, id: OrderId) -> Result<bool, Error> {
        let Some((id, pending)) = self.take_over(id).await? else { return Ok(false) };
        // From here on no order can be kept for it. To die here, or below, leaves a record for which the next sweep does this
        // again: a release can be repeated.
        self.neighbours.release(pending.reservation).await?;
        transact(&self.platform, async |transaction| {
            transaction.delete(pending_key(id));
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(true)
    }

    /// Takes the pending record away from its attempt, or from a sweep that was too slow, by moving it to a new id; and
    /// frees the caller's key, for which there will be no order now.
    ///
    /// Only one can move it, for the commit demands that it is still there; and `keep` demands the same, so after this commit
    /// the attempt fails. The new id is the youngest: a reservation that cannot be released, because products are down or
    /// have no room for the pieces, goes to the end of the line and waits there for `sweep_after`.
    async fn take_over(&self, id: OrderId) -> Result<Option<(OrderId, Pending)>, Error> {
        transact(&self.platform, async |transaction| {
            let [found] = transaction.read([pending_key(id)]).await?;
            let Some(found) = found else { return Ok(None) };
            let mut pending: Pending = decode(&pending_key(id), &found)?;
            let key = key_key(&pending.key);
            let [holder] = transaction.read([key.clone()]).await?;
            let holder = holder.map(|holder| decode::<Holder>(&key, &holder)).transpose()?;
            // Once it was moved, the key may be that of a later attempt, which goes on.
            if holder.is_some_and(|holder| holder.id == id) {
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

/// The setting, in milliseconds.
pub(crate) fn sweep_after(platform: &impl Platform) -> Result<u64, Failure> {
    let (key, default) = SWEEP_AFTER;
    let Some(text) = platform.setting(key).map_err(Failure::Unavailable)? else { return Ok(default) };
    text.parse().map_err(|_| Failure::Internal(format!("the setting {key} must be milliseconds, and is {text:?}")))
}
