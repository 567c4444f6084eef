//! Sets `cfg(loom)` for this crate alone: the breaker's `sync.rs` then takes loom's types.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(loom)");
    println!("cargo:rustc-cfg=loom");
    println!("cargo:rerun-if-changed=build.rs");
}
