//! What of a component's imports ends the keeping of its answers by state (`cache = "state"`), as far as the imports
//! say.

use crate::cache::Unkept;
use crate::contract::Contract;

/// Interfaces, by their names without a version, and the reason that a call of them is. The library of a language
/// imports more than a component calls, so each line says what may be.
const INTERFACES: [(Unkept, &[&str]); 5] = [
    (Unkept::Clock, &["wasi:clocks/monotonic-clock", "wasi:clocks/system-clock", "wasi:clocks/wall-clock"]),
    (Unkept::Random, &["wasi:random/insecure", "wasi:random/random"]),
    (Unkept::Outside, &["wasi:http/client", "wasi:http/outgoing-handler"]),
    (Unkept::Write, &["atoll:events/publisher", "wasi:keyvalue/atomics"]),
    (Unkept::RequestId, &["atoll:platform/caller"]),
];

/// Functions of the store whose calls are such a reason, always or without a prefix.
const FUNCTIONS: [(Unkept, &str); 2] = [(Unkept::Write, "commit"), (Unkept::UnboundedScan, "scan")];

/// One line for each reason.
pub(super) fn lines(contract: &Contract) -> Vec<String> {
    if contract.exports.is_empty() {
        return Vec::new();
    }
    let interfaces = INTERFACES.iter().filter_map(|(reason, names)| {
        let found: Vec<String> =
            contract.import_names.iter().filter(|name| names.contains(&&*name.path)).map(ToString::to_string).collect();
        (!found.is_empty()).then(|| (*reason, found.join(", ")))
    });
    let functions = FUNCTIONS.iter().flat_map(|(reason, function)| {
        let used = contract.state_imports.iter().filter(|(_, used)| used.functions.contains_key(*function));
        used.map(move |(name, _)| (*reason, format!("`{function}` of {name}")))
    });
    let ends: Vec<_> = interfaces.chain(functions).collect();
    ends.into_iter().map(|(reason, what)| format!("{}: if a call uses {what}", reason.as_str())).collect()
}
