//! The service `sales`: the component behind the contract `shop:sales`. It subscribes to `orders.placed`.
//!
//! State, as keys of the service's own bucket: `sale/ID` holds what was sold of the product with this id. Nothing else
//! is stored, and no other service is asked: `atoll events rebuild sales` makes all of it again.

pub mod sales;

atoll_guest::service!(
    sales::Sales<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/orders-events", "../../wit/sales"],
    world: "shop:sales/service",
);
