//! The output of `inspect`.

use super::state_ends;
use crate::admin::{GrantView, TrialView};
use crate::app::{self, Inspection, ManifestTrial};
use crate::contract::{Contract, Interface, InterfaceName, uncallable};
use crate::rollout::Trial;
use crate::runtime::{Offer, is_state, offer_of};
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
    for GrantView { what, lines } in app::grant_views(spec, links) {
        section(text, &what, lines);
    }
    section(text, "refused", refusals.iter().map(|refusal| format!("it {refusal}")));
    section(text, "breaks", breaks.iter().cloned());
}

/// Describes what the running host at `admin` says of the component. `manifest` is the file from which that host would
/// start again, with what it grants the service now.
pub(super) fn describe_remote_trial(
    trial: &TrialView,
    admin: &str,
    manifest: Option<(&Path, Vec<GrantView>)>,
) -> String {
    let TrialView { service, revision, fits, refused, breaks, grants } = trial;
    let mut text = "\n".to_owned();
    section(&mut text, "service", [service.clone()]);
    section(&mut text, "compared with", [format!("revision {revision}, which the host at {admin} serves")]);
    for GrantView { what, lines } in grants {
        section(&mut text, what, lines.iter().cloned());
    }
    if let Some((path, manifest)) = manifest {
        section(&mut text, "differs", differences(grants, &manifest, path));
    }
    section(&mut text, "refused", refused.iter().map(|refusal| format!("it {refusal}")));
    section(&mut text, "breaks", breaks.iter().cloned());
    if *fits {
        text.push_str(FITS);
    }
    text
}

/// What the next start from the manifest would change.
fn differences(host: &[GrantView], manifest: &[GrantView], path: &Path) -> Vec<String> {
    let said = |view: &GrantView| {
        // Which imports a callee answers depends on the component, and is no matter of the manifest.
        let lines = view.lines.iter().map(|line| match view.what.as_str() {
            "calls" => line.split_once(": ").map_or(line.as_str(), |(callee, _)| callee),
            _ => line.as_str(),
        });
        lines.collect::<Vec<_>>().join(", ")
    };
    let differing = host.iter().filter_map(|own| {
        let other = manifest.iter().find(|view| view.what == own.what)?;
        let (what, other) = (&own.what, said(other));
        (other != said(own)).then(|| format!("{what}: from its next start on, by {}: {other}", path.display()))
    });
    differing.collect()
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
not by state   random: if a call uses wasi:random/random@0.3.0
cannot cross   `f` of shop:a/a@1.0.0: parameter `a` is resource `file`: a resource cannot leave its service
               shop:b/b@1.0.0 has the resource `handle`
",
            "ab".repeat(32)
        );
        assert_eq!(describe(Path::new("a.wasm"), &inspection), expected);
    }

    #[test]
    fn what_the_next_start_would_change_is_told_beside_what_the_host_grants() {
        let grants = |env: &str, calls: &[&str]| {
            let calls = calls.iter().map(|call| (*call).to_owned()).collect();
            vec![
                GrantView { what: "env".into(), lines: vec![env.into()] },
                GrantView { what: "calls".into(), lines: calls },
            ]
        };
        let trial = TrialView {
            service: "orders".into(),
            revision: "aaaaaaaaaaaa".into(),
            fits: true,
            refused: Vec::new(),
            breaks: Vec::new(),
            grants: grants("LOG", &["users: shop:users/users@1.0.0"]),
        };
        let text = |manifest| describe_remote_trial(&trial, "127.0.0.1:9090", manifest);
        let path = Path::new("atoll.toml");
        assert!(!text(Some((path, grants("LOG", &["users: only by HTTP"])))).contains("differs"));
        assert!(!text(None).contains("differs"));
        let told = text(Some((path, grants("LOG, CA", &["users: only by HTTP", "mail: only by HTTP"]))));
        let expected = "\
env            LOG
calls          users: shop:users/users@1.0.0
differs        env: from its next start on, by atoll.toml: LOG, CA
               calls: from its next start on, by atoll.toml: users, mail
";
        assert!(told.contains(expected), "{told}");
    }
}
