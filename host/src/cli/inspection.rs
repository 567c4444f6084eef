//! The output of `inspect`.

use super::state_ends;
use crate::admin::TrialView;
use crate::app::{Inspection, ManifestTrial};
use crate::contract::{Contract, Interface, InterfaceName, uncallable};
use crate::rollout::Trial;
use crate::runtime::{Isolation, Offer, is_state, offer_of};
use std::collections::BTreeSet;
use std::path::Path;

/// The width of the column of titles.
const TITLES: usize = 15;

/// The last line about a component that could be swapped in.
const FITS: &str = "\nfits: nothing would break\n";

/// Describes the component in `file`.
pub(super) fn describe(file: &Path, inspection: &Inspection) -> String {
    let Inspection { digest, size, contract, refusals, trial } = inspection;
    let mut text = String::new();
    section(&mut text, "file", [file.display().to_string()]);
    section(&mut text, "digest", [digest.to_string()]);
    section(&mut text, "size", [format!("{size} bytes")]);
    section(&mut text, "http", http(contract));
    section(&mut text, "exports", contract.exports.iter().flat_map(|(name, it)| interface(name.to_string(), it)));
    section(&mut text, "imports", imports(contract));
    section(&mut text, "waits", waits(contract));
    section(&mut text, "not by state", state_ends::lines(contract));
    section(&mut text, "cannot cross", not_passable(contract));
    section(&mut text, "refused", refusals.iter().flat_map(|refusal| [format!("it {refusal}"), refusal.help()]));
    if let Some(trial) = trial {
        text.push('\n');
        describe_trial(&mut text, trial);
        if inspection.is_good() {
            text.push_str(FITS);
        }
    }
    text
}

/// Writes lines with a title before the first of them; nothing if there are no lines.
fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut title = title;
    for line in lines {
        text.push_str(&format!("{title:<TITLES$}{line}\n"));
        title = "";
    }
}

/// The component's HTTP handlers.
fn http(contract: &Contract) -> Vec<String> {
    let handlers = contract.export_names.iter().filter(|name| name.path.starts_with("wasi:http/"));
    let handlers: Vec<_> = handlers.map(ToString::to_string).collect();
    if !handlers.is_empty() {
        handlers
    } else if contract.exports.is_empty() {
        vec!["none, and no function that a route or a service could call".into()]
    } else {
        vec!["none: its functions are called by typed routes and by services".into()]
    }
}

/// What the calls of other services and of the state cost, by whether they are imported as `func` or as `async func`.
fn waits(contract: &Contract) -> Vec<String> {
    let mut lines = Vec::new();
    let own = || contract.exports.values().flat_map(|interface| interface.functions.values());
    let cannot_wait = own().any(|function| !function.asynchronous)
        || contract.export_names.iter().any(|name| name.path == "wasi:http/incoming-handler");
    for (name, used) in contract.imports.iter().chain(&contract.state_imports) {
        let of = |asynchronous: bool| {
            let functions = used.functions.values().filter(|function| function.asynchronous == asynchronous);
            functions.map(|function| function.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (blocking, concurrent) = (of(false), of(true));
        if !blocking.is_empty() {
            lines.push(format!("a `func` of {name} ({blocking}) holds its whole instance until the answer is there"));
        }
        if !concurrent.is_empty() && cannot_wait {
            lines.push(format!("an `async func` of {name} ({concurrent}) traps in a call of an exported `func`"));
        }
    }
    lines
}

/// An interface with its functions.
fn interface(title: String, interface: &Interface) -> Vec<String> {
    let functions = interface.functions.values().map(|function| format!("  {function}"));
    std::iter::once(title).chain(functions).collect()
}

fn imports(contract: &Contract) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, used) in &contract.imports {
        lines.extend(interface(format!("{name}: needs `calls` with a service that exports it"), used));
    }
    let mut wasi = BTreeSet::new();
    for name in contract.import_names.iter().filter(|name| !contract.imports.contains_key(name)) {
        match name.to_string() {
            text if !name.is_of_host() => lines.push(format!("{text}: only types")),
            text => match offer_of(name) {
                Offer::Others(there) => lines.push(format!("{text}: there is {} of it", there.join(" and "))),
                Offer::Absent => lines.push(format!("{text}: this host does not offer it")),
                Offer::There { .. } if is_state(&text) => lines.push(format!("{text}: needs `state = true`")),
                Offer::There { older } => {
                    let newer = older.map(|older| format!(" (newer than {older}, which is there)"));
                    wasi.insert(format!("{}{}", package(name), newer.unwrap_or_default()));
                }
            },
        }
    }
    if !wasi.is_empty() {
        lines.push(wasi.into_iter().collect::<Vec<_>>().join(", "));
    }
    lines
}

/// The package of an interface: `wasi:cli@0.2.6` of `wasi:cli/stdout@0.2.6`.
fn package(name: &InterfaceName) -> String {
    let package = name.path.split_once('/').map_or(name.path.as_str(), |(package, _)| package).to_owned();
    InterfaceName { path: package, version: name.version.clone() }.to_string()
}

/// What cannot be passed from one service to another. The host refuses a component that exports or imports it.
fn not_passable(contract: &Contract) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, interface) in contract.exports.iter().chain(&contract.imports) {
        let functions = interface.functions.values();
        lines.extend(
            functions.filter_map(|function| Some(format!("`{}` of {name}: {}", function.name, uncallable(function)?))),
        );
    }
    let resources = contract.resources.iter().filter(|(name, _)| contract.imports.contains_key(name));
    lines.extend(resources.map(|(name, resources)| format!("{name} has the resource `{}`", resources.join("`, `"))));
    lines
}

/// Describes what the manifest grants the component, and what the component would break.
fn describe_trial(text: &mut String, trial: &ManifestTrial) {
    let ManifestTrial { service, manifest, trial } = trial;
    let Trial { links, refusals, breaks } = trial;
    let spec = &service.spec;
    section(text, "service", [spec.name.to_string()]);
    let compared = format!("the component that {} names, since no host of it is known to run", manifest.display());
    section(text, "compared with", [compared]);
    let (limits, bulkhead) = (&spec.replicas.limits, &spec.traffic.bulkhead);
    section(
        text,
        "limits",
        [format!(
            "{} for each instance, {:?} for each call; {} replicas, each with {} at a time; {} may wait, for {:?}",
            bytes(limits.memory),
            limits.timeout,
            spec.replicas.count,
            limits.concurrency,
            bulkhead.waiting,
            bulkhead.wait
        )],
    );
    section(text, "isolation", [isolation(&spec.replicas.isolation)]);
    section(text, "state", [if spec.grants.state { "its own data" } else { "none" }.to_owned()]);
    let keys: Vec<_> = spec.grants.config.keys().map(String::as_str).collect();
    section(text, "config", [if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }]);
    let names: Vec<_> = spec.grants.secrets.names().collect();
    section(text, "secrets", [if names.is_empty() { "none".to_owned() } else { names.join(", ") }]);
    let names: Vec<_> = spec.grants.env.names().collect();
    section(text, "env", [if names.is_empty() { "none".to_owned() } else { names.join(", ") }]);
    let calls = spec.grants.calls.iter().map(|callee| {
        let linked = links.iter().filter(|link| link.service == *callee).map(|link| link.import.to_string());
        let linked: Vec<_> = linked.collect();
        format!("{callee}: {}", if linked.is_empty() { "only by HTTP".to_owned() } else { linked.join(", ") })
    });
    let calls: Vec<_> = calls.collect();
    section(text, "calls", if calls.is_empty() { vec!["none".to_owned()] } else { calls });
    section(text, "refused", refusals.iter().map(|refusal| format!("it {refusal}")));
    section(text, "breaks", breaks.iter().cloned());
}

/// Describes what the running host at `admin` says of the component.
pub(super) fn describe_remote_trial(trial: &TrialView, admin: &str) -> String {
    let TrialView { service, revision, fits, refused, breaks } = trial;
    let mut text = "\n".to_owned();
    section(&mut text, "service", [service.clone()]);
    section(&mut text, "compared with", [format!("revision {revision}, which the host at {admin} serves")]);
    section(&mut text, "refused", refused.iter().map(|refusal| format!("it {refusal}")));
    section(&mut text, "breaks", breaks.iter().cloned());
    if *fits {
        text.push_str(FITS);
    }
    text
}

fn isolation(isolation: &Isolation) -> String {
    match isolation {
        Isolation::Request => "request: each call has an instance of its own".to_owned(),
        Isolation::Reuse(reuse) => format!(
            "reuse: an instance serves up to {} calls, {} at a time, and is idle for {:?} at most",
            reuse.max_requests, reuse.max_concurrent, reuse.idle_timeout
        ),
    }
}

/// A size in the largest unit that divides it.
fn bytes(size: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = UNITS.iter().find(|(unit, _)| size >= *unit && size.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{size} B"), |(unit, name)| format!("{} {name}", size / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::contract::{Function, Param, Type};

    fn one(name: &str, ty: Type) -> Interface {
        let params = vec![Param { name: "a".into(), ty }];
        let function = Function { name: name.into(), docs: None, asynchronous: true, params, result: Some(Type::U8) };
        Interface { docs: None, functions: [(name.to_owned(), function)].into() }
    }

    #[test]
    fn a_component_is_described_in_titled_sections() {
        let mut contract = Contract::default();
        contract.exports.insert(InterfaceName::new("shop:a/a@1.0.0"), one("f", Type::Resource("file".into())));
        contract.imports.insert(InterfaceName::new("shop:b/b@1.0.0"), one("g", Type::String));
        contract.resources.insert(InterfaceName::new("shop:b/b@1.0.0"), vec!["handle".into()]);
        for import in [
            "shop:b/b@1.0.0",
            "shop:c/types",
            "wasi:cli/exit@0.2.6",
            "wasi:cli/stdout@0.2.6",
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/watcher@0.2.0-draft",
            "wasi:random/random@0.3.0",
        ] {
            contract.import_names.insert(InterfaceName::new(import));
        }
        let inspection =
            Inspection { digest: Digest([0xab; 32]), size: 7, contract, refusals: Vec::new(), trial: None };
        let expected = format!(
            "\
file           a.wasm
digest         {}
size           7 bytes
http           none: its functions are called by typed routes and by services
exports        shop:a/a@1.0.0
                 f: async func(a: file) -> u8
imports        shop:b/b@1.0.0: needs `calls` with a service that exports it
                 g: async func(a: string) -> u8
               shop:c/types: only types
               wasi:keyvalue/store@0.2.0-draft: needs `state = true`
               wasi:keyvalue/watcher@0.2.0-draft: this host does not offer it
               wasi:cli@0.2.6, wasi:random@0.3.0
cannot cross   `f` of shop:a/a@1.0.0: parameter `a` is resource `file`: a resource cannot leave its service
               shop:b/b@1.0.0 has the resource `handle`
",
            "ab".repeat(32)
        );
        assert_eq!(describe(Path::new("a.wasm"), &inspection), expected);
    }

    #[test]
    fn a_size_is_in_the_largest_unit_that_divides_it() {
        for (size, text) in
            [(0, "0 B"), (1000, "1000 B"), (1 << 16, "64 KiB"), (1536 << 20, "1536 MiB"), (2 << 30, "2 GiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
