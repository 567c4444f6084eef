//! The service `payments`: the component behind the contract `shop:payments`. It stands for a provider of payments, and
//! can be told to behave like a bad one.
//!
//! State, as keys of the service's own bucket:
//! - `payment/KEY` holds what was charged under this key, or that it was refunded. It is never removed.
//! - `behaviour` holds how charges fare.

pub mod payments;

atoll_guest::service!(
    payments::Payments<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/payments"],
    world: "shop:payments/service",
);
