//! Why no host would run a component, whatever the manifest says: what its contract alone shows.

use super::handler::answers_http;
use crate::contract::{Contract, FunctionName, InterfaceName, never_callable, uncallable};
use crate::runtime::error::LoadError;
use crate::runtime::offer;

/// Every reason that the contract of a component gives to refuse it, in the order in which they are reported.
pub fn refusals(contract: &Contract) -> Vec<LoadError> {
    let unwaiting: Vec<_> = never_callable(contract).iter().map(FunctionName::to_string).collect();
    let found = [
        unknown_imports(contract),
        uncallable_function(contract),
        nothing_to_call(contract),
        (!unwaiting.is_empty()).then_some(LoadError::CannotWait(unwaiting)),
    ];
    found.into_iter().flatten().collect()
}

/// The imports that neither the host nor a service can answer.
fn unknown_imports(contract: &Contract) -> Option<LoadError> {
    let missing = |name: &InterfaceName| match name {
        // A function outside of any interface, which no service can export.
        name if name.path.is_empty() => {
            let functions = contract.imports.get(name)?.functions.keys().cloned().collect::<Vec<_>>();
            Some(functions.join(", "))
        }
        name if !name.path.contains(':') => Some(name.to_string()),
        name if name.is_of_host() => offer::missing(name),
        _ => None,
    };
    let unknown: Vec<_> = contract.import_names.iter().filter_map(missing).collect();
    (!unknown.is_empty()).then_some(LoadError::UnknownImports(unknown))
}

/// The first function or interface that cannot be used from one service to another.
fn uncallable_function(contract: &Contract) -> Option<LoadError> {
    for (name, interface) in contract.imports.iter().chain(&contract.exports) {
        let wrong = interface.functions.values().find_map(|function| Some((function, uncallable(function)?)));
        if let Some((function, why)) = wrong {
            return Some(LoadError::Uncallable(format!("`{}` of {name}: {why}", function.name)));
        }
    }
    let (name, resources) = contract.resources.iter().find(|(name, _)| contract.imports.contains_key(name))?;
    let resources = resources.join("`, `");
    Some(LoadError::Uncallable(format!("{name} has the resource `{resources}`, which belongs to one instance")))
}

fn nothing_to_call(contract: &Contract) -> Option<LoadError> {
    if !contract.exports.is_empty() || answers_http(contract) {
        return None;
    }
    let exports: Vec<_> = contract.export_names.iter().map(ToString::to_string).collect();
    Some(LoadError::NothingToCall(if exports.is_empty() { "nothing".into() } else { exports.join(", ") }))
}
