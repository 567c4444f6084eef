//! The functions of a contract, as calls to and from other nodes know them.

use crate::base::Digest;
use crate::contract::wit::{Contract, Function, FunctionName, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// The functions that a component exports, each with what a call of it from another node needs.
#[derive(Debug)]
pub struct CrossingFunctions {
    contract: Arc<Contract>,
    functions: HashMap<FunctionName, CrossingFunction>,
}

/// A function, as a call of it from another node knows it.
#[derive(Debug)]
pub struct CrossingFunction {
    /// The types of its parameters, in order.
    pub params: Vec<Type>,
    /// The type of its result, if it has one.
    pub result: Option<Type>,
    /// The digest of these types ([`Function::signature`]).
    pub signature: Digest,
    /// What keeps its calls on one node, in words; `None`: nothing.
    pub uncrossable: Option<&'static str>,
}

impl CrossingFunctions {
    /// The functions that `contract` exports.
    pub fn of(contract: &Arc<Contract>) -> Self {
        let functions = contract.exports.iter().flat_map(|(interface, described)| {
            described.functions.values().map(|function| {
                let name = FunctionName { interface: interface.clone(), function: function.name.clone() };
                (name, CrossingFunction::of(function))
            })
        });
        Self { functions: functions.collect(), contract: Arc::clone(contract) }
    }

    /// The function that answers calls of `name`: by exactly this version of its interface, or else by a compatible
    /// one.
    pub fn find(&self, name: &FunctionName) -> Option<&CrossingFunction> {
        self.functions.get(name).or_else(|| {
            let (interface, _) = self.contract.export(&name.interface)?;
            self.functions.get(&FunctionName { interface: interface.clone(), function: name.function.clone() })
        })
    }
}

impl CrossingFunction {
    fn of(function: &Function) -> Self {
        Self {
            params: function.params.iter().map(|param| param.ty.clone()).collect(),
            result: function.result.clone(),
            signature: function.signature(),
            uncrossable: uncrossable(function),
        }
    }
}

/// The first type of a function that no call to another node carries, in words; `None` if it can cross.
pub fn uncrossable(function: &Function) -> Option<&'static str> {
    let types = function.params.iter().map(|param| &param.ty).chain(&function.result);
    types.into_iter().find_map(bound_to_store)
}

/// The first part of a type that belongs to the store of one instance.
fn bound_to_store(ty: &Type) -> Option<&'static str> {
    let mut found = match ty {
        Type::Stream(_) => Some("a stream"),
        Type::Future(_) => Some("a future"),
        Type::Resource(_) => Some("a resource"),
        Type::ErrorContext => Some("an error context"),
        _ => None,
    };
    if found.is_none() {
        ty.any_part(&mut |part| {
            found = bound_to_store(part);
            found.is_some()
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing::record;
    use crate::contract::wit::{Interface, InterfaceName, Param};

    fn function(param: Type, result: Option<Type>) -> Function {
        let params = vec![Param { name: "p".into(), ty: param }];
        Function { name: "f".into(), docs: None, asynchronous: true, params, result }
    }

    #[test]
    fn what_belongs_to_a_store_is_found_at_any_depth() {
        let deep = |ty: Type| Type::List(Arc::new(record("r", &[("a", Type::U8), ("b", Type::Option(Arc::new(ty)))])));
        assert_eq!(uncrossable(&function(deep(Type::String), Some(Type::F64))), None);
        for (ty, found) in [
            (Type::Stream(None), "a stream"),
            (Type::Future(Some(Arc::new(Type::U8))), "a future"),
            (Type::Resource("r".into()), "a resource"),
            (Type::ErrorContext, "an error context"),
        ] {
            assert_eq!(uncrossable(&function(deep(ty.clone()), None)), Some(found));
            assert_eq!(uncrossable(&function(Type::Bool, Some(ty))), Some(found));
        }
    }

    #[test]
    fn a_function_is_found_by_each_compatible_version_of_its_interface() {
        let functions = [("f".to_owned(), function(Type::U8, None))].into();
        let exports = [(InterfaceName::new("a:b/c@1.2.0"), Interface { docs: None, functions })].into();
        let all = CrossingFunctions::of(&Arc::new(Contract { exports, ..Contract::default() }));
        for (interface, name, found) in [
            ("a:b/c@1.2.0", "f", true),
            ("a:b/c@1.0.0", "f", true),
            ("a:b/c@2.0.0", "f", false),
            ("a:b/c@1.2.0", "g", false),
        ] {
            let name = FunctionName { interface: InterfaceName::new(interface), function: name.into() };
            assert_eq!(all.find(&name).is_some(), found, "{name}");
        }
    }
}
