//! The bindings of the world `shop:payments/service`, generated from `wit/`, and the exports of the component.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/state", "../../wit/payments"],
    world: "shop:payments/service",
    additional_derives: [PartialEq, Eq],
    with: {
        "atoll:state/transactions@0.1.0": platform::transactions,
        "wasi:config/store@0.2.0-rc.1": platform::config,
    },
});

// Only a component has exports. As symbols of a native library their names would not be valid.
#[cfg(target_arch = "wasm32")]
type Component = crate::payments::Payments<platform::Host>;
#[cfg(target_arch = "wasm32")]
export!(Component);
