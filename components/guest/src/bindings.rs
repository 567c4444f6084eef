//! The bindings of what the crate imports from the host, generated from `wit/`.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]

wit_bindgen::generate!({
    path: "wit",
    world: "atoll:guest-bindings/imports",
    // Two versions of this crate in one component describe their imports side by side.
    type_section_suffix: "atoll-guest-0.1",
    generate_all,
});
