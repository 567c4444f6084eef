//! Reads the contract of a component from its bytes.

use super::interface::{Contract, Interface, InterfaceName};
use super::type_reader::TypeReader;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{UnwindSafe, catch_unwind};
use wit_parser::decoding::DecodedWasm;
use wit_parser::{self as wit, Resolve, TypeDefKind, TypeId, WorldItem, WorldKey};

/// The packages that the host itself provides: the names of their interfaces begin with these.
pub const HOST_PACKAGES: [&str; 4] = ["wasi:", "atoll:state/", "atoll:events/", "atoll:platform/"];
/// The interfaces of the host whose functions wait for the disk: the names begin with these.
const WAITING: [&str; 2] = ["atoll:state/", "atoll:events/publisher"];

/// How a component is made, whatever the language: the help for a file that is none.
pub const HOW_TO_BUILD: &str = "a component is made of a core module by `wasm-tools component new`, of JavaScript by \
    `componentize-js` or `jco`, of Python by `componentize-py`; Rust builds one for the target wasm32-wasip2";

/// Why a component cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not WebAssembly.
    #[error("it is not WebAssembly")]
    Foreign,
    /// The bytes begin as WebAssembly and are no valid component.
    #[error("it is not a valid component: {0}")]
    Malformed(String),
    /// The bytes are a core module: what the linker gives without `wasm-component-ld` or `wasm-tools component new`.
    #[error("it is a core module and not a component")]
    Module,
    /// The bytes are a WIT package in its binary form.
    #[error("it is a WIT package, which has types but no code")]
    Package,
}

impl InterfaceName {
    /// Whether the host itself provides the interface: it is WASI's or Atoll's.
    pub fn is_of_host(&self) -> bool {
        HOST_PACKAGES.iter().any(|package| self.path.starts_with(package))
    }
}

impl Contract {
    /// Reads what a component exports and imports. Its code is validated but not compiled.
    ///
    /// # Errors
    /// The bytes are not a valid component.
    pub fn decode(component: &[u8]) -> Result<Self, DecodeError> {
        if !component.starts_with(b"\0asm") {
            return Err(DecodeError::Foreign);
        }
        // Both kinds begin with `\0asm`; then comes the version, 1 for modules (core specification, §5.5.16).
        if component.starts_with(b"\0asm\x01\0\0\0") {
            return Err(DecodeError::Module);
        }
        check_structure(component)?;
        let decoded = guarded(|| wit::decoding::decode(component))?;
        let DecodedWasm::Component(resolve, world) = decoded else { return Err(DecodeError::Package) };
        let mut reader =
            WorldReader { resolve: &resolve, types: TypeReader::new(&resolve.types), contract: Self::default() };
        for (key, item) in &resolve.worlds[world].exports {
            reader.export(key, item);
        }
        for (key, item) in &resolve.worlds[world].imports {
            reader.import(key, item);
        }
        Ok(reader.contract)
    }
}

/// Runs the decoder: `wit_parser::decoding` (0.262) panics at some malformed components. A component is an input, so
/// that is its fault, and no reason for the host to stop.
fn guarded<T, E: Display>(decode: impl FnOnce() -> Result<T, E> + UnwindSafe) -> Result<T, DecodeError> {
    let malformed = |reason: String| DecodeError::Malformed(reason);
    match catch_unwind(decode) {
        Ok(decoded) => decoded.map_err(|error| malformed(format!("{error:#}"))),
        Err(_) => Err(malformed("its types cannot be read".to_owned())),
    }
}

/// Reads the structure alone, before anything is allocated for its parts: `wit_parser::decoding` (0.262) trusts the
/// sizes that a file states, and a malformed file could cost far more memory than it is long.
fn check_structure(component: &[u8]) -> Result<(), DecodeError> {
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        payload.map_err(|error| DecodeError::Malformed(format!("{error:#}")))?;
    }
    Ok(())
}

/// Reads the items of one world.
struct WorldReader<'a> {
    resolve: &'a Resolve,
    types: TypeReader<'a>,
    contract: Contract,
}

impl WorldReader<'_> {
    fn export(&mut self, key: &WorldKey, item: &WorldItem) {
        let Some(WorldInterface { name, interface, resources }) = self.item(key, item) else { return };
        self.contract.export_names.insert(name.clone());
        if !name.is_of_host() {
            self.keep_types(&name, item);
            self.keep_resources(&name, resources);
            self.contract.exports.entry(name).or_default().functions.extend(interface.functions);
        }
    }

    fn import(&mut self, key: &WorldKey, item: &WorldItem) {
        let Some(WorldInterface { name, interface, resources }) = self.item(key, item) else { return };
        self.contract.import_names.insert(name.clone());
        if !name.is_of_host() {
            self.keep_types(&name, item);
        }
        let only_types = interface.functions.is_empty() && resources.is_empty();
        if WAITING.iter().any(|waiting| name.path.starts_with(waiting)) {
            self.contract.state_imports.insert(name, interface);
        } else if !name.is_of_host() && !only_types {
            self.keep_resources(&name, resources);
            self.contract.imports.entry(name).or_default().functions.extend(interface.functions);
        }
    }

    /// Keeps the types that the interface defines. The functions that use them share them.
    fn keep_types(&mut self, name: &InterfaceName, item: &WorldItem) {
        let WorldItem::Interface { id, .. } = item else { return };
        let types = self.resolve.interfaces[*id].types.iter();
        let types: BTreeMap<_, _> = types.map(|(name, id)| (name.clone(), self.types.named(*id))).collect();
        if !types.is_empty() {
            self.contract.types.entry(name.clone()).or_default().extend(types);
        }
    }

    fn keep_resources(&mut self, name: &InterfaceName, resources: Vec<String>) {
        if !resources.is_empty() {
            self.contract.resources.insert(name.clone(), resources);
        }
    }

    /// An interface of the world, or one function of the world itself; `None` for a type of the world itself.
    fn item(&mut self, key: &WorldKey, item: &WorldItem) -> Option<WorldInterface> {
        match item {
            WorldItem::Interface { id, .. } => {
                let described = &self.resolve.interfaces[*id];
                let is_resource = |id: &TypeId| matches!(self.resolve.types[*id].kind, TypeDefKind::Resource);
                let resources = described.types.iter().filter(|(_, id)| is_resource(id)).map(|(name, _)| name.clone());
                Some(WorldInterface {
                    name: InterfaceName::new(&self.resolve.name_world_key(key)),
                    resources: resources.collect(),
                    interface: self.types.interface(described),
                })
            }
            WorldItem::Function(function) => {
                let function = self.types.function(function).map(|function| (function.name.clone(), function));
                let interface = Interface { docs: None, functions: function.into_iter().collect() };
                Some(WorldInterface { name: InterfaceName::new(""), resources: Vec::new(), interface })
            }
            WorldItem::Type { .. } => None,
        }
    }
}

/// One export or import of a world.
struct WorldInterface {
    name: InterfaceName,
    interface: Interface,
    /// The resources that it defines; it may use others, which do not count.
    resources: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::super::types::Type;
    use super::*;
    use crate::contract::testing;
    use std::sync::Arc;

    fn names<'a>(names: impl IntoIterator<Item = &'a InterfaceName>) -> Vec<String> {
        names.into_iter().map(ToString::to_string).collect()
    }

    fn texts(interface: &Interface) -> Vec<String> {
        interface.functions.values().map(ToString::to_string).collect()
    }

    #[test]
    fn a_decoder_that_panics_makes_a_malformed_component_and_no_panic() {
        let panics = || -> Result<(), String> { panic!("an index out of bounds") };
        assert!(matches!(guarded(panics), Err(DecodeError::Malformed(_))));
        assert!(matches!(guarded(|| Err::<(), _>("no")), Err(DecodeError::Malformed(reason)) if reason == "no"));
        assert_eq!(guarded(|| Ok::<_, String>(7)).ok(), Some(7));
    }

    #[test]
    fn of_the_hosts_own_interfaces_only_those_of_the_state_are_described() {
        let contract = testing::contract(
            "package shop:orders@1.0.0;
            interface orders { get: async func(id: u64) -> string; }
            world w {
                import wasi:io/poll@0.2.6;
                import atoll:state/transactions@0.1.0;
                import atoll:statement/prints@0.1.0;
                import shop:users/users@1.0.0;
                import shop:users/shapes@1.0.0;
                export wasi:cli/run@0.2.6;
                export orders;
            }
            package wasi:io@0.2.6 { interface poll { resource pollable {} poll: func(); } }
            package wasi:cli@0.2.6 { interface run { run: func() -> result; } }
            package atoll:state@0.1.0 { interface transactions { get: func(); } }
            package atoll:statement@0.1.0 { interface prints { print: func(); } }
            package shop:users@1.0.0 {
                interface shapes { record user { name: string } }
                interface users { use shapes.{user}; get: async func() -> user; other: func(); }
            }",
        );
        assert_eq!(names(contract.exports.keys()), ["shop:orders/orders@1.0.0"]);
        assert_eq!(names(&contract.export_names), ["shop:orders/orders@1.0.0", "wasi:cli/run@0.2.6"]);
        // An interface that gives types alone needs no provider.
        assert_eq!(names(contract.imports.keys()), ["atoll:statement/prints@0.1.0", "shop:users/users@1.0.0"]);
        assert_eq!(
            names(&contract.import_names),
            [
                "atoll:state/transactions@0.1.0",
                "atoll:statement/prints@0.1.0",
                "shop:users/shapes@1.0.0",
                "shop:users/users@1.0.0",
                "wasi:io/poll@0.2.6",
            ]
        );
        assert!(contract.resources.is_empty());
        let state = &contract.state_imports[&InterfaceName::new("atoll:state/transactions@0.1.0")];
        assert_eq!((contract.state_imports.len(), texts(state)), (1, vec!["get: func()".to_owned()]));
        let users = &contract.imports[&InterfaceName::new("shop:users/users@1.0.0")];
        assert_eq!(texts(users), ["get: async func() -> user", "other: func()"]);
        let Some(Type::Record(user)) = &users.functions["get"].result else {
            panic!("`use` gives the type itself and no alias")
        };
        assert_eq!(user.fields[0].name, "name");
    }

    #[test]
    fn functions_of_the_world_itself_are_described() {
        let contract = testing::contract(
            "package a:b; world w {
                import log: func(text: string);
                import inline: interface { f: func(); }
                export run: async func() -> u8;
                export stop: func();
            }",
        );
        let world = InterfaceName::new("");
        assert_eq!(texts(&contract.exports[&world]), ["run: async func() -> u8", "stop: func()"]);
        assert_eq!(texts(&contract.imports[&world]), ["log: func(text: string)"]);
        assert_eq!(names(&contract.import_names), ["", "inline"]);
    }

    #[test]
    fn resources_are_named_and_their_methods_are_not_among_the_functions() {
        let contract = testing::contract(
            "package a:b;
            interface db { resource conn { constructor(); query: func(); open: static func() -> conn; } }
            interface both {
                use db.{conn as link};
                type alias = link;
                resource cursor {}
                f: func(a: borrow<link>, b: alias, c: list<cursor>);
            }
            world w { import db; export both; }",
        );
        let name = InterfaceName::new;
        assert_eq!(contract.resources[&name("a:b/db")], ["conn"]);
        assert_eq!(contract.resources[&name("a:b/both")], ["cursor"]);
        // An interface with a resource needs a provider, even without a function.
        assert!(contract.imports[&name("a:b/db")].functions.is_empty());
        let f = &contract.exports[&name("a:b/both")].functions["f"];
        assert_eq!(f.to_string(), "f: func(a: conn, b: conn, c: list<cursor>)");
        assert!(f.params[..2].iter().all(|param| matches!(param.ty.resolved(), Type::Resource(_))));
    }

    #[test]
    fn a_type_is_one_shared_type_and_an_alias_keeps_its_name() {
        let interface = testing::interface(
            "type id = u64; type item = line; record line { id: id } variant error { gone, other(line) }
             f: func(a: item, b: line, c: list<line>) -> result<line, error>;",
        );
        let f = &interface.functions["f"];
        let Type::Alias(item) = &f.params[0].ty else { panic!("{f}") };
        assert_eq!(item.name, "item");
        let record = |ty: &Type| match ty.resolved() {
            Type::Record(record) => Arc::clone(record),
            other => panic!("{other}"),
        };
        let line = record(&item.ty);
        assert!(Arc::ptr_eq(&line, &record(&f.params[1].ty)));
        let (Type::List(listed), Some(Type::Result { ok: Some(ok), err: Some(err) })) = (&f.params[2].ty, &f.result)
        else {
            panic!("{f}")
        };
        let Type::Variant(error) = &**err else { panic!("{err}") };
        let carried = error.cases[1].ty.as_ref().expect("it carries a line");
        assert!([&**listed, &**ok, carried].into_iter().all(|ty| Arc::ptr_eq(&line, &record(ty))));
        assert_eq!(line.fields[0].ty.to_string(), "id");
        assert!(matches!(line.fields[0].ty.resolved(), Type::U64));
    }

    #[test]
    fn bytes_that_are_no_component_are_refused_with_the_reason() {
        let error = |bytes: &[u8]| Contract::decode(bytes).unwrap_err().to_string();
        assert_eq!(error(b"\0asm\x01\0\0\0"), "it is a core module and not a component");
        let mut resolve = Resolve::default();
        let package = resolve.push_source("a.wit", "package a:b; interface i {}").unwrap();
        let binary = wit_component::encode(&resolve, package, false).unwrap();
        assert_eq!(error(&binary), "it is a WIT package, which has types but no code");
        let whole = testing::component("package a:b; world w { export f: func(); }");
        assert_eq!(error(b""), "it is not WebAssembly");
        assert_eq!(error(b"(component)"), "it is not WebAssembly");
        assert!(check_structure(&whole).is_ok());
        for end in [9, whole.len() / 2, whole.len() - 1] {
            assert!(check_structure(&whole[..end]).is_err(), "a file that ends early must fail the structural pass");
        }
        for end in [5, 8, whole.len() / 2, whole.len() - 1] {
            let Err(error) = Contract::decode(&whole[..end]) else { continue };
            let text = error.to_string();
            assert!(text.starts_with("it is not a valid component: "), "{text}");
        }
    }
}
