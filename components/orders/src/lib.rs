//! The service `orders`: the component behind the contract `shop:orders`.
//!
//! `orders` implements the contract; `attempt` is the way of an order and argues why no stock is lost or sold twice, and
//! `pending` the way back; `rules` says what an order may be and what it costs; `neighbours` are the services that it calls;
//! `bindings` is generated. There is no HTTP here: the host makes it from typed routes.
//!
//! State: `order/ID` holds an order, `key/KEY` which order or attempt has the caller's key, `pending/ID` a reservation that
//! no order stands behind. `attempt` says how they change together.
//!
//! Known limit: while products do not answer, each order that is refused for that leaves a pending record, and nothing
//! bounds their number. Once products are back, every call that places or lists orders ends up to four of them.

mod attempt;
pub mod bindings;
#[cfg(test)]
mod faults;
pub mod neighbours;
pub mod orders;
mod pending;
mod rules;
#[cfg(test)]
mod tests;
