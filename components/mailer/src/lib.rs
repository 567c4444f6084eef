//! The service `mailer`: the component behind the contract `shop:mailer`. It subscribes to `orders.placed`.
//!
//! State, as keys of the service's own bucket: `mail/ID` holds the mail about the order of this id.

pub mod mailer;

atoll_guest::service!(
    mailer::Mailer<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/orders-events", "../../wit/mailer"],
    world: "shop:mailer/service",
);
