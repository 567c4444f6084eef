//! The bindings of `atoll:state/transactions` and `wasi:config/store`, generated from `wit/`.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/state", "../../wit/state-0.2"],
    inline: "
        package atoll:platform-bindings;
        world imports {
            import wasi:config/store@0.2.0-rc.1;
            import atoll:state/transactions@0.1.0;
            import atoll:state/transactions@0.2.0;
        }
    ",
    generate_all,
});
