//! Which interfaces the host offers itself, and in which versions: for errors that name both.
//!
//! The linker knows the same, but cannot be asked. The test of `imports/linker.rs` holds the table against it.

use crate::contract::InterfaceName;

/// A package, the version of it that the host has (empty: it has none), and its interfaces.
pub(super) type Package = (&'static str, &'static str, &'static [&'static str]);

/// All packages. Of one package several versions may be there. Interfaces of types alone are listed too: they are
/// imported like others.
pub(super) const PACKAGES: [Package; 22] = [
    ("atoll:events", "0.1.0", &["delivery", "publisher"]),
    ("atoll:platform", "0.1.1", &["caller"]),
    ("atoll:state", "0.1.0", &["transactions"]),
    ("atoll:state", "0.2.0", &["transactions"]),
    (
        "wasi:cli",
        "0.2.12",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    (
        "wasi:cli",
        "0.3.0",
        &[
            "types",
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", "0.2.12", &["monotonic-clock", "wall-clock"]),
    ("wasi:clocks", "0.3.0", &["types", "monotonic-clock", "system-clock"]),
    ("wasi:config", "0.2.0-rc.1", &["store"]),
    ("wasi:filesystem", "0.2.12", &["types", "preopens"]),
    ("wasi:filesystem", "0.3.0", &["types", "preopens"]),
    ("wasi:http", "0.2.12", &["types", "outgoing-handler"]),
    ("wasi:http", "0.3.0", &["types", "client"]),
    ("wasi:io", "0.2.12", &["error", "poll", "streams"]),
    ("wasi:keyvalue", "0.2.0-draft", &["store", "atomics", "batch"]),
    ("wasi:logging", "0.1.0-draft", &["logging"]),
    ("wasi:logging", "", &["logging"]),
    ("wasi:otel", "0.2.0-rc.2", &["types", "tracing", "metrics", "logs"]),
    ("wasi:random", "0.2.12", &["random", "insecure", "insecure-seed"]),
    ("wasi:random", "0.3.0", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        "0.2.12",
        &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
    ("wasi:sockets", "0.3.0", &["types", "ip-name-lookup"]),
];

/// What the host has of an interface that a component imports.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// A version that may answer the import.
    There {
        /// That version, if the import is of a newer one: it may expect functions that the host's does not have.
        older: Option<&'static str>,
    },
    /// Other versions, none of which may answer it.
    Others(Vec<&'static str>),
    /// Nothing by that name.
    Absent,
}

/// What the host has of `import`.
pub fn offer_of(import: &InterfaceName) -> Offer {
    let versions = || PACKAGES.iter().filter_map(|package| Some((version_of(package, &import.path)?, package.1)));
    if let Some((own, version)) = versions().find(|(own, _)| import.compatible(own)) {
        let newer = numbers(import.version.as_deref()) > numbers(own.version.as_deref());
        return Offer::There { older: newer.then_some(version) };
    }
    let others: Vec<_> = versions().map(|(_, version)| version).collect();
    if others.is_empty() { Offer::Absent } else { Offer::Others(others) }
}

/// The host's own name of the interface `path`, if `package` has it.
fn version_of((package, version, interfaces): &Package, path: &str) -> Option<InterfaceName> {
    let (of, interface) = path.split_once('/')?;
    let there = of == *package && interfaces.contains(&interface);
    let version = (!version.is_empty()).then(|| (*version).to_owned());
    there.then(|| InterfaceName { path: path.to_owned(), version })
}

/// The numbers of a version. On one track these decide which of two versions is newer.
fn numbers(version: Option<&str>) -> Vec<u64> {
    let numbers = version.into_iter().flat_map(|version| version.split('.'));
    numbers.map(|number| number.parse().unwrap_or(0)).collect()
}

/// `import` with what the host has in its place, for an error.
pub(crate) fn missing(import: &InterfaceName) -> Option<String> {
    match offer_of(import) {
        Offer::There { .. } => None,
        Offer::Others(there) => {
            let there =
                there.into_iter().map(|version| if version.is_empty() { "one without a version" } else { version });
            Some(format!("{import} (there is {})", there.collect::<Vec<_>>().join(" and ")))
        }
        Offer::Absent => Some(import.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_answered_by_the_version_on_its_track() {
        let cases = [
            ("atoll:platform/caller@0.1.0", Offer::There { older: None }),
            ("wasi:cli/stdout@0.2.0", Offer::There { older: None }),
            ("wasi:cli/stdout@0.2.12", Offer::There { older: None }),
            ("wasi:cli/stdout@0.2.99", Offer::There { older: Some("0.2.12") }),
            ("wasi:http/types@0.3.2", Offer::There { older: Some("0.3.0") }),
            ("wasi:http/types@0.3.0-rc-2026-03-15", Offer::Others(vec!["0.2.12", "0.3.0"])),
            ("wasi:io/poll@0.3.0", Offer::Others(vec!["0.2.12"])),
            ("wasi:io/poll", Offer::Others(vec!["0.2.12"])),
            ("wasi:keyvalue/store@0.2.0-draft2", Offer::Others(vec!["0.2.0-draft"])),
            ("atoll:state/transactions@1.0.0", Offer::Others(vec!["0.1.0", "0.2.0"])),
            ("wasi:logging/logging@0.1.0-draft", Offer::There { older: None }),
            ("wasi:logging/logging", Offer::There { older: None }),
            ("wasi:otel/tracing@0.2.0-rc.2", Offer::There { older: None }),
            ("wasi:otel/tracing@0.2.0-rc.1", Offer::Others(vec!["0.2.0-rc.2"])),
            ("wasi:keyvalue/watcher@0.2.0-draft", Offer::Absent),
            ("wasi:cli/run@0.2.6", Offer::Absent),
            ("wasi:nn/tensor@0.2.0", Offer::Absent),
            ("shop:users/users@1.0.0", Offer::Absent),
            ("", Offer::Absent),
        ];
        for (import, expected) in cases {
            assert_eq!(offer_of(&InterfaceName::new(import)), expected, "{import}");
        }
    }
}
