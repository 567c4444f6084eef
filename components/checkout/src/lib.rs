//! The service `checkout`: the component behind the contract `shop:checkout`. The saga `checkout` of the manifest calls
//! it, and products and payments beside it; this service calls nobody.
//!
//! The modules: `checkout` implements the contract, `bindings` is generated.
//!
//! State: `order/KEY` holds the order of a checkout, or that it was cancelled.

pub mod bindings;
pub mod checkout;
