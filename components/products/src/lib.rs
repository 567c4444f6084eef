//! The service `products`: the component behind the contract `shop:products`.
//!
//! `products` and `reservations` are the domain and implement the contract; `rules` says what its values may be, with
//! the currencies in `currency`; `bindings` is generated. There is no HTTP here: the host makes it from typed routes.
//!
//! State: `product/ID` holds a product, `sku/SKU` the id of the product that has it, `reservation/KEY` what was taken
//! under that key, or that it was released; it is never removed (a known limit: there is no sweep yet). What belongs
//! together changes in one commit: a product and its SKU, a reservation and the stock of all of its products.

pub mod bindings;
mod currency;
pub mod products;
mod reservations;
mod rules;
