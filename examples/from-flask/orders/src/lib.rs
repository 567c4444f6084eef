//! The service `orders`. It calls users and products by their contracts, and keeps its orders in the host's database.

atoll_guest::service!(Orders, path: "../wit", world: "orders-service");
atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });

use atoll_guest::{Failure, Table, Validation, both};
use bindings::example::shop::{products, users};
use bindings::exports::example::shop::orders::{Error, FieldError, Guest, NewOrder, Order};
use serde::{Deserialize, Serialize};

struct Orders;

const ORDERS: Table<Record> = Table::new("order");

#[derive(Serialize, Deserialize)]
struct Record {
    user: String,
    product: String,
    total: u64,
}

impl Guest for Orders {
    async fn place(order: NewOrder) -> Result<Order, Error> {
        Validation::new().check(order.quantity > 0, "/quantity", "must be at least 1").finish()?;
        // Both calls are under way at the same time.
        let (user, product) = both(users::get(order.user), products::get(order.product)).await;
        let (user, product) = (user?, product?);
        let total = u64::from(product.price) * u64::from(order.quantity);
        let record = Record { user: user.name, product: product.name, total };
        let id = ORDERS.insert(&record).await?;
        Ok(shown(id, record))
    }

    async fn get(id: u64) -> Result<Order, Error> {
        let record = ORDERS.get(id).await?.ok_or(Error::NotFound)?;
        Ok(shown(id, record))
    }
}

fn shown(id: u64, Record { user, product, total }: Record) -> Order {
    Order { id, user, product, total }
}

impl From<users::Error> for Error {
    fn from(error: users::Error) -> Self {
        match error {
            users::Error::NotFound => Failure::invalid("/user", "must be the id of a user").into(),
            users::Error::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<products::Error> for Error {
    fn from(error: products::Error) -> Self {
        match error {
            products::Error::NotFound => Failure::invalid("/product", "must be the id of a product").into(),
            products::Error::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
