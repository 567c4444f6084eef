//! The JSON of the native services, between each other and to the outside. It equals the JSON that the host makes
//! from the contracts of the shop.

use serde::{Deserialize, Serialize};

/// An id in JSON: a string of digits, because JavaScript's numbers cannot hold it.
pub(super) mod digits {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;

    pub(in super::super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text: Cow<'de, str> = Cow::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct User {
    #[serde(with = "digits")]
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) email: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NewUser {
    pub(super) name: String,
    pub(super) email: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Price {
    pub(super) amount: u64,
    pub(super) currency: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Product {
    #[serde(with = "digits")]
    pub(super) id: u64,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) price: Price,
    pub(super) stock: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NewProduct {
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) price: Price,
    pub(super) stock: u32,
}

/// A quantity of one product that is wanted.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Line {
    #[serde(with = "digits")]
    pub(super) product: u64,
    pub(super) quantity: u32,
}

/// A quantity of one product that is reserved, and the product as it was at that moment.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct ReservedLine {
    #[serde(with = "digits")]
    pub(super) product: u64,
    pub(super) quantity: u32,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) price: Price,
    pub(super) stock: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NewOrder {
    #[serde(with = "digits")]
    pub(super) user: u64,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct OrderLine {
    #[serde(with = "digits")]
    pub(super) product: u64,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) quantity: u32,
    pub(super) price: Price,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Order {
    #[serde(with = "digits")]
    pub(super) id: u64,
    #[serde(with = "digits")]
    pub(super) user: u64,
    pub(super) lines: Vec<OrderLine>,
    pub(super) total: Price,
    pub(super) placed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct OrderDetails {
    pub(super) order: Order,
    pub(super) user: Option<User>,
    pub(super) products: Vec<Option<Product>>,
}
