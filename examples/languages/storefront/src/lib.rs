//! The service `storefront` in Rust: it calls `products`, which is JavaScript, and `reviews`, which is Python. By their
//! contracts, it sees no difference.

atoll_guest::service!(
    Storefront,
    path: ["../../../wit", "../../../wit/state", "../../../wit/users", "../../../wit/products",
        "../../../wit/reviews", "wit"],
    world: "shop:storefront/service",
);
atoll_guest::errors!(Error { unavailable });

use atoll_guest::both;
use bindings::exports::shop::storefront::storefront::{Error, Guest, Page};
use bindings::shop::{products::products, reviews::reviews};

struct Storefront;

impl Guest for Storefront {
    async fn show(product: u64) -> Result<Page, Error> {
        // Both calls are under way at the same time.
        let (product, rating) = both(products::get(product), reviews::summary(product)).await;
        let (product, rating) = (product?, rating?);
        Ok(Page {
            name: product.name,
            amount: product.price.amount,
            currency: product.price.currency,
            in_stock: product.stock > 0,
            reviews: rating.count,
            average: rating.average,
        })
    }
}

impl From<products::Error> for Error {
    fn from(error: products::Error) -> Self {
        match error {
            products::Error::NotFound => Self::NotFound,
            other => Self::Unavailable(format!("products: {other:?}")),
        }
    }
}

impl From<reviews::Error> for Error {
    fn from(error: reviews::Error) -> Self {
        match error {
            reviews::Error::NotFound => Self::NotFound,
            other => Self::Unavailable(format!("reviews: {other:?}")),
        }
    }
}
