//! The bindings of the world `shop:sales/service`, generated from `wit/`, and the exports of the component.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/state", "../../wit/orders-events", "../../wit/sales"],
    world: "shop:sales/service",
    additional_derives: [PartialEq, Eq],
    with: {
        "atoll:state/transactions@0.1.0": platform::transactions,
        "wasi:config/store@0.2.0-rc.1": platform::config,
    },
    generate_all,
});

// Only a component has exports. As symbols of a native library their names would not be valid.
#[cfg(target_arch = "wasm32")]
type Component = crate::sales::Sales<platform::Host>;
#[cfg(target_arch = "wasm32")]
export!(Component);
