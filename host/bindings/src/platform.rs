//! The contracts that the host itself offers: whoever names one in a world needs no copy of it.

use wit_bindgen_core::wit_parser::{PackageName, Resolve, SourceMap};

const NAMESPACES: [&str; 2] = ["atoll", "wasi"];

/// A package: its files, with the names that errors show.
type Package = &'static [(&'static str, &'static str)];

macro_rules! wit {
    ($($file:literal),+) => { &[$(($file, include_str!(concat!("../../../wit/", $file)))),+] };
}

/// WASI 0.2.12, for tools and bindings that are synchronous: vendored from the crate `wasip2` 1.0.4, and never edited.
macro_rules! wasi_0_2 {
    ($file:literal) => {
        &[($file, include_str!(concat!("../wasi-0.2/", $file)))]
    };
}

/// In an order in which each refers only to those before it.
const PACKAGES: [Package; 20] = [
    wasi_0_2!("io.wit"),
    wasi_0_2!("clocks.wit"),
    wasi_0_2!("random.wit"),
    wasi_0_2!("filesystem.wit"),
    wasi_0_2!("sockets.wit"),
    wasi_0_2!("cli.wit"),
    wasi_0_2!("http.wit"),
    wit!("deps/clocks.wit"),
    wit!("deps/random.wit"),
    wit!("deps/filesystem.wit"),
    wit!("deps/sockets.wit"),
    wit!("deps/cli.wit"),
    wit!("deps/http.wit"),
    wit!("deps/config/store.wit", "deps/config/world.wit"),
    wit!(
        "deps/keyvalue/atomic.wit",
        "deps/keyvalue/batch.wit",
        "deps/keyvalue/store.wit",
        "deps/keyvalue/watch.wit",
        "deps/keyvalue/world.wit"
    ),
    wit!("events/events.wit"),
    wit!("state/transactions.wit"),
    wit!("state-0.2/transactions.wit"),
    wit!("platform/caller.wit"),
    wit!("platform-0.1.1/caller.wit"),
];

/// Whether a package of this name may be one of them, in whatever version.
pub(crate) fn offers(name: &PackageName) -> bool {
    NAMESPACES.contains(&name.namespace.as_str())
}

/// All of them. What the packages of a service refer to is found here, if they do not bring it themselves.
pub(crate) fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        let mut files = SourceMap::default();
        for (name, text) in package {
            files.push_str(name, *text);
        }
        let group = files.parse().unwrap_or_else(|(_, error)| panic!("{}: {error}", package[0].0));
        resolve.push_group(group).unwrap_or_else(|error| panic!("{}: {error}", package[0].0));
    }
    resolve
}
