//! Implements the contract `shop:checkout` with the platform's transactions.
//!
//! The state of a key only moves forward: unused, confirmed, shipped; or from unused or confirmed to cancelled, so that
//! a `confirm` which arrives after its `cancel` makes no order.

use std::marker::PhantomData;

use atoll_guest::{Platform, Transaction, decode, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::checkout::checkout::{
    Error, Guest, NewOrder, Order, Price, Progress, ReservedLine,
};

/// The largest amount that JSON carries exactly.
const MAX_AMOUNT: u64 = (1 << 53) - 1;

/// The orders, stored on the platform `P`.
#[derive(Debug)]
pub struct Checkout<P>(PhantomData<P>);

/// What is stored at a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Record {
    Ordered(StoredOrder),
    Cancelled,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredOrder {
    user: u64,
    lines: Vec<StoredLine>,
    amount: u64,
    currency: String,
    payment: String,
    shipped: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredLine {
    product: u64,
    quantity: u32,
    sku: String,
    name: String,
    amount: u64,
    currency: String,
    stock: u32,
}

impl<P: Platform> Guest for Checkout<P> {
    async fn quote(lines: Vec<ReservedLine>) -> Result<Price, Error> {
        let Some(first) = lines.first() else { return Err(Error::Conflict("there is nothing to pay".to_owned())) };
        let currency = first.price.currency.clone();
        if lines.iter().any(|line| line.price.currency != currency) {
            return Err(Error::Conflict("the prices are in several currencies".to_owned()));
        }
        let cost = |line: &ReservedLine| line.price.amount.checked_mul(u64::from(line.quantity));
        let total = lines.iter().try_fold(0_u64, |sum, line| sum.checked_add(cost(line)?));
        let amount = total.filter(|total| *total <= MAX_AMOUNT);
        let amount = amount.ok_or_else(|| Error::Conflict("it costs more than can be paid".to_owned()))?;
        Ok(Price { amount, currency })
    }

    async fn confirm(key: String, order: NewOrder) -> Result<Order, Error> {
        change::<P>(&key, |found| match found {
            Some(Record::Cancelled) => Err(Error::Conflict("the checkout was cancelled".to_owned())),
            Some(Record::Ordered(before)) => Ok((before, false)),
            None => Ok((stored(order.clone()), true)),
        })
        .await
    }

    async fn cancel(key: String) -> Result<(), Error> {
        let place = place_of(&key);
        transact(&P::current(), async |transaction| {
            if let Some(Record::Ordered(StoredOrder { shipped: true, .. })) = read(transaction, &place).await? {
                return Err(Error::Conflict("the order is shipped".to_owned()));
            }
            transaction.put(place.clone(), &Record::Cancelled);
            Ok(())
        })
        .await
    }

    async fn ship(key: String) -> Result<Order, Error> {
        change::<P>(&key, |found| match found {
            Some(Record::Ordered(order)) => Ok((StoredOrder { shipped: true, ..order }, true)),
            Some(Record::Cancelled) | None => Err(Error::NotFound),
        })
        .await
    }

    async fn get(key: String) -> Result<Order, Error> {
        change::<P>(&key, |found| match found {
            Some(Record::Ordered(order)) => Ok((order, false)),
            Some(Record::Cancelled) | None => Err(Error::NotFound),
        })
        .await
    }
}

/// Reads the record of a key, and writes the order that `decide` makes of it if it says so.
async fn change<P: Platform>(
    key: &str,
    decide: impl Fn(Option<Record>) -> Result<(StoredOrder, bool), Error>,
) -> Result<Order, Error> {
    let place = place_of(key);
    transact(&P::current(), async |transaction| {
        let (order, changed) = decide(read(transaction, &place).await?)?;
        if changed {
            transaction.put(place.clone(), &Record::Ordered(order.clone()));
        }
        Ok(shown(key, order))
    })
    .await
}

async fn read<P: Platform>(transaction: &mut Transaction<'_, P>, place: &str) -> Result<Option<Record>, Error> {
    let [found] = transaction.read([place.to_owned()]).await?;
    Ok(found.map(|found| decode(place, &found)).transpose()?)
}

fn stored(order: NewOrder) -> StoredOrder {
    let NewOrder { user, lines, total, payment } = order;
    let line = |line: ReservedLine| {
        let ReservedLine { product, quantity, sku, name, price: Price { amount, currency }, stock } = line;
        StoredLine { product, quantity, sku, name, amount, currency, stock }
    };
    let lines = lines.into_iter().map(line).collect();
    StoredOrder { user, lines, amount: total.amount, currency: total.currency, payment, shipped: false }
}

fn shown(key: &str, order: StoredOrder) -> Order {
    let StoredOrder { user, lines, amount, currency, payment, shipped } = order;
    let line = |line: StoredLine| {
        let StoredLine { product, quantity, sku, name, amount, currency, stock } = line;
        ReservedLine { product, quantity, sku, name, price: Price { amount, currency }, stock }
    };
    Order {
        key: key.to_owned(),
        user,
        lines: lines.into_iter().map(line).collect(),
        total: Price { amount, currency },
        payment,
        progress: if shipped { Progress::Shipped } else { Progress::Confirmed },
    }
}

fn place_of(key: &str) -> String {
    format!("order/{key}")
}

atoll_guest::errors!(Error { unavailable, internal });

#[cfg(test)]
mod tests {
    use atoll_guest::memory::{Memory, block_on};

    use super::*;

    type Service = Checkout<Memory>;

    fn line(quantity: u32, amount: u64, currency: &str) -> ReservedLine {
        let price = Price { amount, currency: currency.to_owned() };
        ReservedLine { product: 1, quantity, sku: "mug".into(), name: "Mug".into(), price, stock: 5 }
    }

    #[test]
    fn a_quote_is_the_sum_of_its_lines_in_one_currency() {
        let quote = |lines| block_on(Service::quote(lines));
        let total = Price { amount: 2_700, currency: "EUR".into() };
        assert_eq!(quote(vec![line(2, 1_250, "EUR"), line(1, 200, "EUR")]), Ok(total));
        for wrong in [vec![], vec![line(1, 1, "EUR"), line(1, 1, "JPY")], vec![line(2, MAX_AMOUNT, "EUR")]] {
            assert!(matches!(quote(wrong), Err(Error::Conflict(_))));
        }
    }

    #[test]
    fn a_cancelled_checkout_is_never_confirmed() {
        let _memory = Memory::fresh();
        let total = Price { amount: 100, currency: "EUR".into() };
        let order = NewOrder { user: 7, lines: vec![line(1, 100, "EUR")], total, payment: "p".into() };
        let confirm = |key: &str| block_on(Service::confirm(key.to_owned(), order.clone()));
        let cancel = |key: &str| block_on(Service::cancel(key.to_owned()));
        let first = confirm("a").expect("confirmed");
        assert_eq!((confirm("a"), first.progress), (Ok(first.clone()), Progress::Confirmed));
        assert_eq!(block_on(Service::ship("a".into())).map(|order| order.progress), Ok(Progress::Shipped));
        assert!(matches!(cancel("a"), Err(Error::Conflict(_))));
        assert_eq!((cancel("b"), cancel("b")), (Ok(()), Ok(())));
        assert!(matches!(confirm("b"), Err(Error::Conflict(_))));
        assert_eq!(block_on(Service::get("b".into())), Err(Error::NotFound));
    }
}
