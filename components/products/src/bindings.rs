//! The bindings of the world `shop:products/service`, generated from `wit/`, and the exports of the component.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/state", "../../wit/products"],
    world: "shop:products/service",
    additional_derives: [PartialEq, Eq],
    with: {
        "atoll:state/transactions@0.1.0": atoll_guest::transactions,
        "wasi:config/store@0.2.0-rc.1": atoll_guest::config,
    },
});

// Only a component has exports. As symbols of a native library their names would not be valid.
#[cfg(target_arch = "wasm32")]
type Component = crate::products::Products<atoll_guest::Host>;
#[cfg(target_arch = "wasm32")]
export!(Component);
