//! The service `orders`: the component behind the contract `shop:orders`.
//!
//! The modules, in reading order:
//! - `orders` implements the contract.
//! - `rules` says what an order may be and what it costs.
//! - `placement` places an order in steps, and argues why no stock is lost or sold twice.
//! - `order_placed` is the event of an order, which is published in the commit that stores it.
//! - `pending` undoes a placement that did not finish.
//! - `dependencies` are the services that orders calls.
//!
//! There is no HTTP here: the host makes HTTP from typed routes.
//!
//! State, as keys of the service's own bucket:
//! - `order/ID` holds an order.
//! - `key/KEY` holds the id of the order, or of the placement, that used the caller's key.
//! - `pending/ID` holds a reservation that has no order.
//!
//! `placement` says how these keys change together.
//!
//! Known limit: while products do not answer, each order that is refused for that reason leaves a pending record, and
//! nothing bounds their number. Once products answer again, every call that places or lists orders ends up to four of
//! them.

pub mod dependencies;
#[cfg(test)]
mod fault_injection;
mod order_placed;
pub mod orders;
mod pending;
mod placement;
mod rules;
#[cfg(test)]
mod tests;

atoll_guest::service!(
    orders::Orders<atoll_guest::Host, dependencies::LinkedServices>,
    path: ["../../wit", "../../wit/state", "../../wit/users", "../../wit/products", "../../wit/orders-1.1"],
    world: "shop:orders/service",
);
