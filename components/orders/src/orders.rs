//! The orders: the contract `shop:orders` on top of the platform's transactions and of the services next door.

use std::marker::PhantomData;

use platform::{Failure, Platform, both, find_many, list, record_key};
use serde::{Deserialize, Serialize};

use crate::attempt::Desk;
use crate::bindings::exports::shop::orders::orders::{
    Error, FieldError, Guest, NewOrder, Order, OrderDetails, OrderId, OrderLine, OrderPage, Price,
};
use crate::bindings::shop::products::products::ReservedLine;
use crate::neighbours::Neighbours;
use crate::rules;

const KIND: &str = "order";

/// The orders kept on the platform `P`, for the users and of the products of `N`.
#[derive(Debug)]
pub struct Orders<P, N>(PhantomData<(P, N)>);

/// An order as it is stored; its id is in its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) user: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) placed: u64,
    /// The key of the reservation that holds its pieces.
    pub(crate) reservation: String,
}

/// One line of an order; its currency is the order's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) product: u64,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    pub(crate) amount: u64,
}

impl Record {
    pub(crate) fn with_id(self, id: OrderId) -> Order {
        let price = |amount| Price { amount, currency: self.currency.clone() };
        let line = |line: Line| {
            let Line { product, sku, name, quantity, amount } = line;
            OrderLine { product, sku, name, quantity, price: price(amount) }
        };
        Order {
            id,
            user: self.user,
            total: price(self.amount),
            placed: self.placed,
            lines: self.lines.into_iter().map(line).collect(),
        }
    }
}

impl From<ReservedLine> for Line {
    fn from(reserved: ReservedLine) -> Self {
        let ReservedLine { product, quantity, sku, name, price, .. } = reserved;
        Self { product, sku, name, quantity, amount: price.amount }
    }
}

/// To place and to list sweeps first: an order that takes the last pieces finds those that a crash has left reserved. To read
/// one order does not, for it need not scan.
impl<P: Platform, N: Neighbours> Guest for Orders<P, N> {
    async fn place(key: String, order: NewOrder) -> Result<Order, Error> {
        let wanted = rules::accept(&key, &order)?;
        let desk = Desk::<P, N>::open()?;
        desk.sweep().await;
        desk.place(&key, &wanted).await
    }

    async fn get(id: OrderId) -> Result<Order, Error> {
        let mut found = find_many::<Record>(&P::current(), KIND, &[id]).await?;
        let record = found.pop().flatten().ok_or(Error::NotFound)?;
        Ok(record.with_id(id))
    }

    async fn details(id: OrderId) -> Result<OrderDetails, Error> {
        let order = Self::get(id).await?;
        let neighbours = N::current();
        let ids = order.lines.iter().map(|line| line.product).collect();
        let (user, products) = both(neighbours.find_user(order.user), neighbours.find_products(ids)).await;
        Ok(OrderDetails { order, user: user?, products: products? })
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<OrderPage, Error> {
        let desk = Desk::<P, N>::open()?;
        desk.sweep().await;
        let page = list::<Record>(&desk.platform, KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(id, record)| record.with_id(id)).collect();
        Ok(OrderPage { items, next_cursor: page.next_cursor })
    }
}

pub(crate) fn order_key(id: OrderId) -> String {
    record_key(KIND, id)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid { pointer, detail } => {
                Self::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
            }
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::Internal(text) => Self::Internal(text),
        }
    }
}
