//! Which imports a component cannot call without a trap, because none of its exports may wait.
//!
//! The component model's rule: a task of an exported `func` may not block before it has returned (Canonical ABI,
//! `may_block`), and to call an imported `async func` and get its result is to block. It does not matter how either
//! side is lifted or lowered. A call of an imported `func` never blocks by that rule, however long it takes.

use crate::contract::wit::{Contract, FunctionName, InterfaceName};

/// The functions of other services, and of `atoll:state`, that a component with this contract imports as `async func`
/// although all that it exports are `func`s, as the HTTP handler of WASI 0.2 is. Each call of one of them traps.
///
/// The imports of WASI 0.3 do not count: a standard library brings them along, whether or not anything calls them.
pub fn never_callable(contract: &Contract) -> Vec<FunctionName> {
    if may_wait(contract) {
        return Vec::new();
    }
    let imports = contract.imports.iter().chain(&contract.state_imports);
    let waiting = imports.flat_map(|(interface, used)| {
        let functions = used.functions.values().filter(|function| function.asynchronous);
        functions.map(|function| FunctionName { interface: interface.clone(), function: function.name.clone() })
    });
    waiting.collect()
}

/// Whether some export is an `async func`.
fn may_wait(contract: &Contract) -> bool {
    let mut own = contract.exports.values().flat_map(|interface| interface.functions.values());
    own.any(|function| function.asynchronous) || contract.export_names.iter().any(is_of_wasi_03)
}

/// Whether it is one of WASI 0.3's exports: its `handle` and its `run` are `async func`s. In 0.2 there are none.
fn is_of_wasi_03(name: &InterfaceName) -> bool {
    name.path.starts_with("wasi:") && !name.version.as_deref().is_some_and(|version| version.starts_with("0.2."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing;

    /// What a component cannot call that imports `f` and `g` of `a:callee/i`, and exports `exports`.
    fn uncalled(f: &str, exports: &str) -> Vec<String> {
        let contract = testing::contract(&format!(
            "package a:b;
            world w {{ import a:callee/i@1.0.0; import atoll:state/transactions@0.1.0; {exports} }}
            package a:callee@1.0.0 {{ interface i {{ f: {f}(); g: func(); }} }}
            package atoll:state@0.1.0 {{ interface transactions {{ get-many: {f}(); }} }}
            package wasi:http@0.2.0 {{ interface incoming-handler {{ handle: func(); }} }}
            package wasi:cli@0.3.0 {{ interface run {{ run: async func(); }} }}"
        ));
        never_callable(&contract).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_async_func_cannot_be_called_where_all_exports_are_funcs() {
        let both = ["a:callee/i@1.0.0#f", "atoll:state/transactions@0.1.0#get-many"];
        for exports in ["export wasi:http/incoming-handler@0.2.0;", "export h: func();", ""] {
            assert_eq!(uncalled("async func", exports), both, "{exports}");
            assert_eq!(uncalled("func", exports), [""; 0], "{exports}");
        }
        for exports in [
            "export h: async func();",
            "export wasi:http/incoming-handler@0.2.0; export h: async func();",
            "export wasi:cli/run@0.3.0;",
        ] {
            assert_eq!(uncalled("async func", exports), [""; 0], "{exports}");
        }
    }
}
