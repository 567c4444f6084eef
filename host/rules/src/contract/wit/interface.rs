//! Interfaces and their functions, and the names by which they are found.

use super::types::Type;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a component exports and imports. Interfaces of WASI are not described: only their names are kept.
///
/// Functions of the world itself, outside of any interface, are filed under the interface with the empty path.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// The interfaces that others may call, by the names that the component gives them.
    pub exports: BTreeMap<InterfaceName, Interface>,
    /// The interfaces of other services that it calls, each with the functions that it uses and no others. An interface
    /// from which it takes types alone needs no provider and is not here.
    pub imports: BTreeMap<InterfaceName, Interface>,
    /// The interfaces of `atoll:state` that it imports, and `atoll:events/publisher`, each with the functions that it
    /// uses: the host answers them, when the disk has.
    pub state_imports: BTreeMap<InterfaceName, Interface>,
    /// The types that interfaces define, by the interface and the type's name; those of the host's interfaces left out.
    pub types: BTreeMap<InterfaceName, BTreeMap<String, Type>>,
    /// The names of all interfaces that it exports, WASI's and the host's included.
    pub export_names: BTreeSet<InterfaceName>,
    /// The names of all interfaces that it imports: WASI's and the host's included, and those from which it takes types
    /// alone.
    pub import_names: BTreeSet<InterfaceName>,
    /// The names of the resources that the interfaces in `exports` and `imports` define. The methods of resources are
    /// not among the functions, and a resource cannot be passed in a call between services.
    pub resources: BTreeMap<InterfaceName, Vec<String>>,
}

/// One interface.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// Its functions by name.
    pub functions: BTreeMap<String, Function>,
}

/// One function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name, in kebab-case.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// Whether it is an `async func`.
    pub asynchronous: bool,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// Its result, if it has one.
    pub result: Option<Type>,
}

/// A parameter of a function.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name, in kebab-case.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

impl Contract {
    /// The type of this name: `shop:orders/events#order-placed`, or with the version of its interface. Without a
    /// version it is that of the first interface that has the type.
    pub fn named_type(&self, name: &str) -> Option<&Type> {
        let (interface, ty) = name.split_once('#')?;
        let wanted = InterfaceName::new(interface);
        let fits = |own: &InterfaceName| own.path == wanted.path && (wanted.version.is_none() || *own == wanted);
        self.types.iter().filter(|(own, _)| fits(own)).find_map(|(_, types)| types.get(ty))
    }
}

/// The full name of an interface: `shop:products/products@1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    /// `shop:products/products`
    pub path: String,
    /// `1.0.0`; an interface may have none.
    pub version: Option<String>,
}

impl InterfaceName {
    /// Splits `shop:products/products@1.0.0` into path and version.
    pub fn new(text: &str) -> Self {
        match text.split_once('@') {
            Some((path, version)) => Self { path: path.into(), version: Some(version.into()) },
            None => Self { path: text.into(), version: None },
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// The case of an error by which a service reports that it, or a service that it needs, cannot answer now. The host
/// reports a call that got no answer at all by the same case.
pub const UNAVAILABLE: &str = "unavailable";
/// The case of a function's error for a caller that may not do this: by convention.
pub const FORBIDDEN: &str = "forbidden";

/// The full name of a function: `shop:products/products@1.0.0#get`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName {
    /// The interface.
    pub interface: InterfaceName,
    /// The function.
    pub function: String,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.interface, self.function)
    }
}
