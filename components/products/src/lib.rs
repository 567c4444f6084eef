//! The service `products`: the component behind the contract `shop:products`.
//!
//! The modules:
//! - `products` implements the contract, with `reservations` for the stock that orders take.
//! - `rules` says which values are valid, with the currencies in `currency`.
//!
//! There is no HTTP here: the host makes HTTP from typed routes.
//!
//! State, as keys of the service's own bucket:
//! - `product/ID` holds a product.
//! - `sku/SKU` holds the id of the product that has this SKU.
//! - `reservation/KEY` holds what was taken under this key, or that it was released. It is never removed: there is no
//!   sweep yet, which is a known limit.
//!
//! Keys that belong together change in one commit: a product and its SKU; a reservation and the stock of all its
//! products.

mod currency;
pub mod products;
mod reservations;
mod rules;

atoll_guest::service!(
    products::Products<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/products"],
    world: "shop:products/service",
);
