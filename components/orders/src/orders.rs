//! Implements the contract `shop:orders` with the platform's transactions and the services that orders depends on.

use std::marker::PhantomData;

use atoll_guest::{Platform, both, find_many, list, record_key};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::orders::orders::{
    Error, FieldError, Guest, NewOrder, Order, OrderDetails, OrderId, OrderLine, OrderPage, Price,
};
use crate::bindings::shop::products::products::ReservedLine;
use crate::dependencies::Dependencies;
use crate::placement::Workflow;
use crate::rules;

const KIND: &str = "order";

/// The orders, stored on the platform `P`. `N` are the services that orders calls: users and products.
#[derive(Debug)]
pub struct Orders<P, N>(PhantomData<(P, N)>);

/// An order as it is stored. Its id is part of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) user: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) placed: u64,
    /// The key of the reservation that holds the order's stock.
    pub(crate) reservation: String,
}

/// One line of an order. Its currency is the currency of the order.
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

/// `place` and `list` sweep first, so that stock which a crash has left reserved can be sold. `get` does not sweep: a
/// scan would cost more than the read itself.
impl<P: Platform, N: Dependencies> Guest for Orders<P, N> {
    async fn place(key: String, order: NewOrder) -> Result<Order, Error> {
        let wanted = rules::accept(&key, &order)?;
        let workflow = Workflow::<P, N>::for_this_request()?;
        workflow.sweep().await;
        workflow.place(&key, &wanted).await
    }

    async fn get(id: OrderId) -> Result<Order, Error> {
        let mut found = find_many::<Record>(&P::current(), KIND, &[id]).await?;
        let record = found.pop().flatten().ok_or(Error::NotFound)?;
        Ok(record.with_id(id))
    }

    async fn details(id: OrderId) -> Result<OrderDetails, Error> {
        let order = Self::get(id).await?;
        let dependencies = N::current();
        let ids = order.lines.iter().map(|line| line.product).collect();
        let (user, products) = both(dependencies.find_user(order.user), dependencies.find_products(ids)).await;
        Ok(OrderDetails { order, user: user?, products: products? })
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<OrderPage, Error> {
        let workflow = Workflow::<P, N>::for_this_request()?;
        workflow.sweep().await;
        let page = list::<Record>(&workflow.platform, KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(id, record)| record.with_id(id)).collect();
        Ok(OrderPage { items, next_cursor: page.next_cursor })
    }
}

pub(crate) fn order_key(id: OrderId) -> String {
    record_key(KIND, id)
}

atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });
