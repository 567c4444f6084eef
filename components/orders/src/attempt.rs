//! One attempt to place an order: what is written before stock is taken, and how it ends.
//!
//! State and stock are two stores, and nothing commits to both. So an attempt writes down what it is going to reserve
//! before it reserves it, and each way out is one commit that only one can win:
//!
//! ```text
//! nothing ─ begin ─▶ key/KEY is ID, pending/ID ─┬─ keep ────▶ key/KEY is ID, order/ID          the stock stays taken
//!                                               └─ give up ─▶ pending/NEW ─ release ─▶ nothing
//! ```
//!
//! What always holds: where `key/KEY` names an id, there is either its pending record or its order. A reservation that was
//! ever asked for has a pending record or an order, or it was released. So no stock is lost; and because both ways out
//! remove the same pending record, a reservation that is released never has an order, and no piece is sold twice. An
//! instance may die between any two steps: what it leaves behind is one of these states, and a sweep goes on from there.
//!
//! Here is the way down the upper line; `pending` has giving up and the sweep.

use std::time::Duration;

use platform::{Platform, decode, new_id, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::orders::orders::{Error, Order, OrderId, Price};
use crate::bindings::shop::products::products::ReservedLine;
use crate::neighbours::Neighbours;
use crate::orders::{Line, Record, order_key};
use crate::pending::{Pending, pending_key, sweep_after};
use crate::rules::{self, Wanted};

/// How long a call waits between its looks at another one with the same key: most are done within a few milliseconds, and
/// after 1.3 s of them all it is better that the caller asks again.
const PAUSES_MS: [u64; 8] = [5, 10, 20, 40, 80, 160, 320, 640];

/// Where one request places orders: what it runs on, and whom it asks.
#[derive(Debug)]
pub(crate) struct Desk<P, N> {
    pub(crate) platform: P,
    pub(crate) neighbours: N,
    /// In milliseconds.
    pub(crate) sweep_after: u64,
}

/// What is stored at a caller's key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Of the attempt, and then of the order.
    pub(crate) id: OrderId,
    pub(crate) wanted: Wanted,
}

/// What was found at a caller's key.
enum Found {
    Nothing,
    Attempt { id: OrderId, stale: bool },
    Order(Order),
}

/// An attempt of this request, whose pending record is stored.
struct Attempt<'d> {
    id: OrderId,
    key: &'d str,
    wanted: &'d Wanted,
    /// Of products: the key of the reservation. It is new for each attempt, because a released one can never be used again.
    reservation: String,
}

impl<P: Platform, N: Neighbours> Desk<P, N> {
    /// The desk of this request.
    pub(crate) fn open() -> Result<Self, Error> {
        let platform = P::current();
        let sweep_after = sweep_after(&platform)?;
        Ok(Self { platform, neighbours: N::current(), sweep_after })
    }

    /// Places the order that is wanted, or finds the one that was placed under this key.
    pub(crate) async fn place(&self, key: &str, wanted: &Wanted) -> Result<Order, Error> {
        for pause in PAUSES_MS {
            match self.look(key, wanted).await? {
                Found::Order(order) => return Ok(order),
                // Nobody works on it any more, or so slowly that it loses: its `keep` and this `give_up` cannot both commit.
                // Its key is free then, even if its stock has to wait for a sweep.
                Found::Attempt { id, stale: true } => _ = self.give_up_in_time(id).await,
                Found::Attempt { stale: false, .. } => self.platform.wait(Duration::from_millis(pause)).await,
                Found::Nothing => {
                    // Before anything is written, so that an order of nobody costs nothing.
                    self.neighbours.check_user(wanted.user).await?;
                    if let Some(attempt) = self.begin(key, wanted).await? {
                        return self.run(&attempt).await;
                    }
                }
            }
        }
        Err(Error::Unavailable("an earlier call with this key is still under way".to_owned()))
    }

    async fn look(&self, key: &str, wanted: &Wanted) -> Result<Found, Error> {
        transact(&self.platform, async |transaction| {
            let key = key_key(key);
            let [holder] = transaction.read([key.clone()]).await?;
            let Some(holder) = holder else { return Ok(Found::Nothing) };
            let Holder { id, wanted: held } = decode(&key, &holder)?;
            if held != *wanted {
                return Err(Error::Conflict("the key was used for another order".to_owned()));
            }
            let [order, pending] = transaction.read([order_key(id), pending_key(id)]).await?;
            if let Some(order) = order {
                return Ok(Found::Order(decode::<Record>(&order_key(id), &order)?.with_id(id)));
            }
            // With neither, the attempt was given up after the first read. The next look sees what came of that.
            let pending = pending.map(|pending| decode::<Pending>(&pending_key(id), &pending)).transpose()?;
            Ok(Found::Attempt { id, stale: pending.is_some_and(|pending| self.is_stale(&pending)) })
        })
        .await
    }

    /// Writes down what is going to be reserved; nothing if another call with the key was quicker.
    ///
    /// Of two calls with one key only one begins, for both demand that the key is free when they commit. If this commit is
    /// applied and its answer lost, there is an attempt without anybody who works on it, as after a crash.
    async fn begin<'d>(&self, key: &'d str, wanted: &'d Wanted) -> Result<Option<Attempt<'d>>, Error> {
        transact(&self.platform, async |transaction| {
            let [holder] = transaction.read([key_key(key)]).await?;
            if holder.is_some() {
                return Ok(None);
            }
            let id = new_id(&self.platform);
            // The id alone might come twice if the clock is set back, and then its reservation could be a released one.
            let reservation = format!("orders/{id}-{:016x}", self.platform.random());
            transaction.claim(order_key(id));
            transaction.put(key_key(key), &Holder { id, wanted: wanted.clone() });
            let pending = Pending { key: key.to_owned(), reservation: reservation.clone(), since: self.platform.now() };
            pending.add(transaction, id);
            Ok(Some(Attempt { id, key, wanted, reservation }))
        })
        .await
    }

    async fn run(&self, attempt: &Attempt<'_>) -> Result<Order, Error> {
        match self.fill(attempt).await {
            Ok(order) => Ok(order),
            Err(error) => self.fail(attempt, error).await,
        }
    }

    async fn fill(&self, attempt: &Attempt<'_>) -> Result<Order, Error> {
        let reserved = self.neighbours.reserve(attempt.reservation.clone(), attempt.wanted.lines()).await?;
        let total = rules::total(&reserved)?;
        self.keep(attempt, reserved, total).await
    }

    /// Ends a failed attempt, and says what came of it.
    async fn fail(&self, attempt: &Attempt<'_>, error: Error) -> Result<Order, Error> {
        match self.give_up_in_time(attempt.id).await {
            // There is no pending record. Either a sweep has given this attempt up, and then the error may be no more than
            // that; or `keep` was applied and its answer lost, and then the order stands and is the answer. (So might
            // that of another call with the key, after the sweep: it has placed the order that this call wants.)
            Ok(false) => match self.look(attempt.key, attempt.wanted).await? {
                Found::Order(order) => Ok(order),
                _ => Err(given_up()),
            },
            // Whether giving up succeeded or is left to a sweep: no order will come of this attempt. If the state is
            // what fails, it is possible that `keep` was applied, and then the error is `unavailable`, which says so.
            _ => Err(error),
        }
    }

    /// Keeps the order for which everything is reserved.
    ///
    /// Here the race between an attempt and whoever gives it up is decided. This commit demands that the pending record is
    /// still there, and `give_up` removes it before it releases anything. So if this commit is applied, the reservation was
    /// not released before, and nobody finds a pending record to release it after. The key is this attempt's as long as its
    /// pending record is there, for `give_up` frees it in that same commit. All this holds for a commit that is applied late
    /// as well, after its `unavailable`: the version that it demands never comes back.
    async fn keep(&self, attempt: &Attempt<'_>, reserved: Vec<ReservedLine>, total: Price) -> Result<Order, Error> {
        let Attempt { id, wanted, reservation, .. } = attempt;
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
            Ok(record.clone().with_id(*id))
        })
        .await
    }
}

fn given_up() -> Error {
    Error::Unavailable("the call took so long that another one has given it up".to_owned())
}

pub(crate) fn key_key(key: &str) -> String {
    format!("key/{key}")
}
