//! The functions of the host that wait for the disk, for components that import them as `func`: the contracts say
//! `async func`, and a service of WASI 0.2 cannot.

use super::{publisher, transactions, transactions_0_2};
use crate::contract::{Contract, Interface};
use crate::runtime::context::context::Context;
use wasmtime::component::Linker;

/// Whether a component with this contract imports one of the functions as `func`.
pub(crate) fn is_blocking(contract: &Contract) -> bool {
    contract.state_imports.values().any(|used| blocking(used).next().is_some())
}

/// The names of the functions that a component imports as `func`.
fn blocking(used: &Interface) -> impl Iterator<Item = &str> {
    used.functions.values().filter(|function| !function.asynchronous).map(|function| function.name.as_str())
}

/// Defines in `linker`, in place of the `async func`s, each function that a component with this contract imports as
/// `func`.
pub(crate) fn define_blocking(linker: &mut Linker<Context>, contract: &Contract) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for (interface, used) in &contract.state_imports {
        let mut instance = linker.instance(&interface.to_string())?;
        let newer = interface.version.as_deref().is_some_and(|version| version.starts_with("0.2."));
        for function in blocking(used) {
            match interface.path.as_str() {
                "atoll:events/publisher" => publisher::define_blocking(&mut instance, function)?,
                "atoll:state/transactions" if newer => transactions_0_2::define_blocking(&mut instance, function)?,
                _ => transactions::define_blocking(&mut instance, function)?,
            }
        }
    }
    Ok(())
}
