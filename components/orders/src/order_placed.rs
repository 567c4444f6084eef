//! The event `orders.placed`, as JSON of `shop:orders-events/events#order-placed`.

use serde::Serialize;

use crate::bindings::exports::shop::orders::orders::OrderId;
use crate::orders::Record;

/// The topic.
pub(crate) const TOPIC: &str = "orders.placed";

/// The payload. Whole numbers are strings: JSON's own numbers end at 2^53 - 1, and an id does not.
#[derive(Debug, Serialize)]
pub(crate) struct OrderPlaced<'a> {
    id: String,
    user: String,
    lines: Vec<PlacedLine<'a>>,
    total: Amount<'a>,
    placed: String,
}

#[derive(Debug, Serialize)]
struct PlacedLine<'a> {
    product: String,
    sku: &'a str,
    name: &'a str,
    quantity: u32,
    price: Amount<'a>,
}

#[derive(Debug, Serialize)]
struct Amount<'a> {
    amount: u64,
    currency: &'a str,
}

impl<'a> OrderPlaced<'a> {
    /// The event of the order `id`.
    pub(crate) fn of(id: OrderId, record: &'a Record) -> Self {
        let price = |amount| Amount { amount, currency: &record.currency };
        let lines = record.lines.iter().map(|line| PlacedLine {
            product: line.product.to_string(),
            sku: &line.sku,
            name: &line.name,
            quantity: line.quantity,
            price: price(line.amount),
        });
        Self {
            id: id.to_string(),
            user: record.user.to_string(),
            lines: lines.collect(),
            total: price(record.amount),
            placed: record.placed.to_string(),
        }
    }
}
