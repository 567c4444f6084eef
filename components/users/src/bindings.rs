//! The bindings of the world `shop:users/service`, generated from `wit/`, and the exports of the component.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/state", "../../wit/users"],
    world: "shop:users/service",
    additional_derives: [PartialEq, Eq],
    with: {
        "atoll:state/transactions@0.1.0": atoll_guest::transactions,
        "wasi:clocks/types@0.3.2": wasip3::clocks::types,
        "wasi:config/store@0.2.0-rc.1": atoll_guest::config,
        "wasi:http/types@0.3.2": wasip3::http::types,
    },
});

// Only a component has exports. As symbols of a native library their names would not be valid.
#[cfg(target_arch = "wasm32")]
type Component = crate::users::Users<atoll_guest::Host>;
#[cfg(target_arch = "wasm32")]
export!(Component);
