//! Implements the contract `shop:sales`.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use atoll_guest::{Failure, Platform, decode, list, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::sales::sales::{Error, FieldError, Guest, OrderPlaced, Price, Sale, SalePage};

const KIND: &str = "sale";

/// The sales, stored on the platform `P`.
#[derive(Debug)]
pub struct Sales<P>(PhantomData<P>);

/// A sale as it is stored. The id of its product is part of its key.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    sku: String,
    name: String,
    orders: u64,
    pieces: u64,
    /// The amounts by currency.
    revenue: BTreeMap<String, u64>,
}

impl Record {
    fn of_product(self, product: u64) -> Sale {
        let Self { sku, name, orders, pieces, revenue } = self;
        let revenue = revenue.into_iter().map(|(currency, amount)| Price { amount, currency }).collect();
        Sale { product, sku, name, orders, pieces, revenue }
    }
}

impl<P: Platform> Guest for Sales<P> {
    /// All lines are one commit. The host applies it once for the event, so nothing is remembered of the order here.
    async fn count(order: OrderPlaced) -> Result<(), Error> {
        transact(&P::current(), async |transaction| {
            let keys: Vec<_> = order.lines.iter().map(|line| record_key(KIND, line.product)).collect();
            let found = transaction.read_many(keys.clone()).await?;
            for ((line, key), found) in order.lines.iter().zip(keys).zip(found) {
                let before = found.map_or_else(|| Ok(Record::default()), |found| decode::<Record>(&key, &found))?;
                let pieces = u64::from(line.quantity);
                let mut revenue = before.revenue;
                let amount = revenue.entry(line.price.currency.clone()).or_default();
                *amount = amount.saturating_add(line.price.amount.saturating_mul(pieces));
                let (sku, name) = (line.sku.clone(), line.name.clone());
                let (orders, pieces) = (before.orders + 1, before.pieces.saturating_add(pieces));
                transaction.put(key, &Record { sku, name, orders, pieces, revenue });
            }
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(())
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<SalePage, Error> {
        let page = list::<Record>(&P::current(), KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(product, record)| record.of_product(product)).collect();
        Ok(SalePage { items, next_cursor: page.next_cursor })
    }
}

atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::shop::orders_events::events::OrderLine;
    use atoll_guest::memory::{Memory, interleave};

    fn price(amount: u64, currency: &str) -> Price {
        Price { amount, currency: currency.to_owned() }
    }

    fn order(lines: &[(u64, u32, u64, &str)]) -> OrderPlaced {
        let line = |(product, quantity, amount, currency): &(u64, u32, u64, &str)| OrderLine {
            product: *product,
            sku: format!("p{product}"),
            name: format!("Product {product}"),
            quantity: *quantity,
            price: price(*amount, currency),
        };
        OrderPlaced { id: 1, user: 7, lines: lines.iter().map(line).collect(), total: price(0, "EUR"), placed: 1 }
    }

    #[test]
    fn concurrent_orders_are_all_counted() {
        for seed in 0..50 {
            let _memory = Memory::fresh();
            let orders = [
                order(&[(1, 2, 100, "EUR"), (2, 1, 50, "EUR")]),
                order(&[(2, 3, 60, "EUR")]),
                order(&[(1, 1, 900, "JPY")]),
            ];
            let counted = interleave(seed, orders.map(Sales::<Memory>::count).into_iter().collect());
            assert!(counted.iter().all(Result::is_ok), "{counted:?}");
            let page = atoll_guest::memory::block_on(Sales::<Memory>::list(None, None)).expect("a page");
            let seen: Vec<_> =
                page.items.iter().map(|sale| (sale.product, sale.orders, sale.pieces, sale.revenue.clone())).collect();
            let expected = [(1, 2, 3, vec![price(200, "EUR"), price(900, "JPY")]), (2, 2, 4, vec![price(230, "EUR")])];
            assert_eq!(seen, expected, "seed {seed}");
        }
    }
}
