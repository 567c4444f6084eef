//! Places an order in steps, so that a crash between any two steps loses no stock and sells none twice.
//!
//! The orders' state and the products' stock are two databases, and no commit covers both. So a placement first
//! stores what it is going to reserve (`pending/ID`). After that it can end in two ways. Each way is one commit, and
//! only one of the two commits can succeed:
//!
//! ```text
//! nothing ─ begin ─▶ key/KEY is ID, pending/ID ─┬─ keep ────▶ key/KEY is ID, order/ID          the stock stays taken
//!                                               └─ give up ─▶ pending/NEW ─ release ─▶ nothing
//! ```
//!
//! What always holds: if `key/KEY` names an id, then either the pending record or the order of that id exists. A
//! reservation that was ever requested has a pending record or an order, or it was released. So no stock is lost.
//! Both ways out remove the same pending record, so a released reservation never has an order, and no stock is sold
//! twice. An instance may die between any two steps: what it leaves behind is one of these states, and a sweep
//! continues from there.
//!
//! This file has the upper line of the drawing. `pending` has giving up and the sweep.

use std::time::Duration;

use atoll_guest::{Platform, decode, new_id, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::orders::orders::{Error, Order, OrderId, Price};
use crate::bindings::shop::products::products::ReservedLine;
use crate::dependencies::Dependencies;
use crate::order_placed::{OrderPlaced, TOPIC};
use crate::orders::{Line, Record, order_key};
use crate::pending::{Pending, pending_key, sweep_after};
use crate::rules::{self, Wanted};

/// How long a call waits between two checks of another call with the same key, in milliseconds. Most calls end within
/// a few milliseconds. After 1.3 s in all, it is better that the caller sends the request again.
const PAUSES_MS: [u64; 8] = [5, 10, 20, 40, 80, 160, 320, 640];

/// What one request works with: the platform, and the services that orders calls.
#[derive(Debug)]
pub(crate) struct Workflow<P, N> {
    pub(crate) platform: P,
    pub(crate) dependencies: N,
    /// How old a pending record must be before others may give it up, in milliseconds.
    pub(crate) sweep_after: u64,
}

/// What is stored at a caller's key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// The id of the placement, which becomes the id of its order.
    pub(crate) id: OrderId,
    pub(crate) wanted: Wanted,
}

/// The state of a caller's key.
enum KeyState {
    Unused,
    UnderWay { id: OrderId, stale: bool },
    Ordered(Order),
}

/// A placement of this request. Its pending record is stored.
struct Placement<'d> {
    id: OrderId,
    key: &'d str,
    wanted: &'d Wanted,
    /// The key of the reservation at products. It is new for each placement, because a released key can never be used
    /// again.
    reservation: String,
}

impl<P: Platform, N: Dependencies> Workflow<P, N> {
    /// The workflow of the current request.
    pub(crate) fn for_this_request() -> Result<Self, Error> {
        let platform = P::current();
        let sweep_after = sweep_after(&platform)?;
        Ok(Self { platform, dependencies: N::current(), sweep_after })
    }

    /// Places the wanted order, or returns the order that was placed earlier under this key.
    pub(crate) async fn place(&self, key: &str, wanted: &Wanted) -> Result<Order, Error> {
        for pause in PAUSES_MS {
            match self.find_by_key(key, wanted).await? {
                KeyState::Ordered(order) => return Ok(order),
                // The other call has died, or is so slow that it loses: its `keep` and this `give_up` cannot both
                // commit. After this the key is free, even if releasing the stock is left to a sweep.
                KeyState::UnderWay { id, stale: true } => _ = self.give_up_in_time(id).await,
                KeyState::UnderWay { stale: false, .. } => self.platform.wait(Duration::from_millis(pause)).await,
                KeyState::Unused => {
                    // This comes before the first write, so that an order of an unknown user costs nothing.
                    self.dependencies.check_user(wanted.user).await?;
                    if let Some(placement) = self.begin(key, wanted).await? {
                        return self.run(&placement).await;
                    }
                }
            }
        }
        Err(Error::Unavailable("an earlier call with this key is still under way".to_owned()))
    }

    async fn find_by_key(&self, key: &str, wanted: &Wanted) -> Result<KeyState, Error> {
        transact(&self.platform, async |transaction| {
            let key = caller_key(key);
            let [record_at_key] = transaction.read([key.clone()]).await?;
            let Some(record_at_key) = record_at_key else { return Ok(KeyState::Unused) };
            let KeyRecord { id, wanted: held } = decode(&key, &record_at_key)?;
            if held != *wanted {
                return Err(Error::Conflict("the key was used for another order".to_owned()));
            }
            let [order, pending] = transaction.read([order_key(id), pending_key(id)]).await?;
            if let Some(order) = order {
                return Ok(KeyState::Ordered(decode::<Record>(&order_key(id), &order)?.with_id(id)));
            }
            // With neither, the placement was given up after the first read. The next check sees the result.
            let pending = pending.map(|pending| decode::<Pending>(&pending_key(id), &pending)).transpose()?;
            Ok(KeyState::UnderWay { id, stale: pending.is_some_and(|pending| self.is_stale(&pending)) })
        })
        .await
    }

    /// Stores what is going to be reserved. `None` if another call with the same key was faster.
    ///
    /// Of two calls with one key only one begins, because both commits demand that the key is free. If this commit is
    /// applied and its answer is lost, there is a pending record that no call works on, as after a crash.
    async fn begin<'d>(&self, key: &'d str, wanted: &'d Wanted) -> Result<Option<Placement<'d>>, Error> {
        transact(&self.platform, async |transaction| {
            let [record_at_key] = transaction.read([caller_key(key)]).await?;
            if record_at_key.is_some() {
                return Ok(None);
            }
            let id = new_id(&self.platform);
            // The id alone could repeat if the clock is set back, and then its reservation key could be a released
            // one.
            let reservation = format!("orders/{id}-{:016x}", self.platform.random());
            transaction.claim(order_key(id));
            transaction.put(caller_key(key), &KeyRecord { id, wanted: wanted.clone() });
            let pending = Pending { key: key.to_owned(), reservation: reservation.clone(), since: self.platform.now() };
            pending.add(transaction, id);
            Ok(Some(Placement { id, key, wanted, reservation }))
        })
        .await
    }

    async fn run(&self, placement: &Placement<'_>) -> Result<Order, Error> {
        match self.reserve_and_keep(placement).await {
            Ok(order) => Ok(order),
            Err(error) => self.end_failed(placement, error).await,
        }
    }

    async fn reserve_and_keep(&self, placement: &Placement<'_>) -> Result<Order, Error> {
        let reserved = self.dependencies.reserve(placement.reservation.clone(), placement.wanted.lines()).await?;
        let total = rules::total(&reserved)?;
        self.keep(placement, reserved, total).await
    }

    /// Ends a failed placement, and returns what became of it.
    async fn end_failed(&self, placement: &Placement<'_>, error: Error) -> Result<Order, Error> {
        match self.give_up_in_time(placement.id).await {
            // There is no pending record. Either a sweep has given this placement up, and then `error` may be only a
            // consequence. Or `keep` was applied and its answer was lost, and then the order exists and is the
            // answer. (The order may also be that of another call with this key, placed after the sweep. It is the
            // order that this call wants.)
            Ok(false) => match self.find_by_key(placement.key, placement.wanted).await? {
                KeyState::Ordered(order) => Ok(order),
                _ => Err(given_up()),
            },
            // Giving up has succeeded or is left to a sweep: this placement gets no order. Only if the state itself
            // fails, `keep` may have been applied all the same. Then the error is `unavailable`, which says so.
            _ => Err(error),
        }
    }

    /// Stores the order whose stock is reserved, and publishes it in the same commit.
    ///
    /// Here the race between [`Workflow::keep`] and [`Workflow::give_up`] is decided. This commit demands that the
    /// pending record still exists, and `give_up` removes the record before it releases anything. So if this commit
    /// is applied, the reservation was not released before, and nothing can find a pending record to release it
    /// afterwards. The key belongs to this placement as long as its pending record exists, because `give_up` frees
    /// the key in the same commit. All this also holds for a commit that is applied late, after its `unavailable`:
    /// the version that it demands never returns.
    async fn keep(&self, placement: &Placement<'_>, reserved: Vec<ReservedLine>, total: Price) -> Result<Order, Error> {
        let Placement { id, wanted, reservation, .. } = placement;
        let record = Record {
            user: wanted.user,
            lines: reserved.into_iter().map(Line::from).collect(),
            amount: total.amount,
            currency: total.currency,
            placed: self.platform.now(),
            reservation: reservation.clone(),
        };
        transact(&self.platform, async |transaction| {
            let [pending] = transaction.read([pending_key(*id)]).await?;
            let pending = pending.map(|pending| decode::<Pending>(&pending_key(*id), &pending)).transpose()?;
            if pending.is_none_or(|pending| pending.reservation != *reservation) {
                return Err(given_up());
            }
            transaction.claim(order_key(*id));
            transaction.put(order_key(*id), &record);
            transaction.delete(pending_key(*id));
            transaction.publish(TOPIC, Some(id.to_string()), &OrderPlaced::of(*id, &record));
            Ok(record.clone().with_id(*id))
        })
        .await
    }
}

fn given_up() -> Error {
    Error::Unavailable("the call took so long that another one has given it up".to_owned())
}

pub(crate) fn caller_key(key: &str) -> String {
    format!("key/{key}")
}
