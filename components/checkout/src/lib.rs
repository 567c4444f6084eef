//! The service `checkout`: the component behind the contract `shop:checkout`. The saga `checkout` of the manifest calls
//! it, and products and payments beside it; this service calls nobody.
//!
//! State: `order/KEY` holds the order of a checkout, or that it was cancelled.

pub mod checkout;

atoll_guest::service!(
    checkout::Checkout<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/checkout"],
    world: "shop:checkout/service",
);
