//! The service `mailer`: the component behind the contract `shop:mailer`. It subscribes to `orders.placed`.
//!
//! State, as keys of the service's own bucket: `mail/ID` holds the mail about the order of this id.

pub mod bindings;
pub mod mailer;
