//! From the bytes of a component to its contract.

use super::interface::{Contract, Function, Interface, InterfaceName, Param};
use super::types::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
use std::collections::HashMap;
use std::ops::Index;
use std::sync::Arc;
use wit_parser::decoding::DecodedWasm;
use wit_parser::{self as wit, Handle, Resolve, TypeDef, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey};

/// The packages that the host itself provides, as the beginnings of their interfaces' names.
pub const HOST_PACKAGES: [&str; 2] = ["wasi:", "atoll:state/"];

/// Why a component cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are something else.
    #[error("it does not begin as WebAssembly does")]
    Foreign,
    /// The bytes are those of a broken component.
    #[error("it is broken: {0}")]
    Malformed(String),
    /// The bytes are a core module: the linker's output without `wasm-component-ld` or `wasm-tools component new`.
    #[error("it is a core module; build it for the target wasm32-wasip2")]
    Module,
    /// The bytes are a WIT package in its binary form.
    #[error("it is a WIT package, which has types and no code")]
    Package,
}

impl InterfaceName {
    /// Whether the host itself provides it: it is WASI's or Atoll's.
    pub fn is_of_host(&self) -> bool {
        HOST_PACKAGES.iter().any(|package| self.path.starts_with(package))
    }
}

impl Contract {
    /// Reads what a component exports and imports. The code in it is checked on the way but not compiled.
    ///
    /// # Errors
    /// When the bytes are not those of a valid component.
    pub fn decode(component: &[u8]) -> Result<Self, DecodeError> {
        if !component.starts_with(b"\0asm") {
            return Err(DecodeError::Foreign);
        }
        // Both kinds begin with `\0asm`; then comes the version, 1 for modules (core specification, §5.5.16).
        if component.starts_with(b"\0asm\x01\0\0\0") {
            return Err(DecodeError::Module);
        }
        // First the structure alone. `wit::decoding` (0.262) allocates as many bytes as a section or a function claims to
        // have before it looks whether they are there, so a file of 30 bytes could cost the host 4 GiB.
        for payload in wasmparser::Parser::new(0).parse_all(component) {
            payload.map_err(|error| DecodeError::Malformed(format!("{error:#}")))?;
        }
        let decoded = wit::decoding::decode(component).map_err(|error| DecodeError::Malformed(format!("{error:#}")))?;
        let DecodedWasm::Component(resolve, world) = decoded else { return Err(DecodeError::Package) };
        let mut reader =
            WorldReader { resolve: &resolve, types: Types::new(&resolve.types), contract: Self::default() };
        for (key, item) in &resolve.worlds[world].exports {
            reader.export(key, item);
        }
        for (key, item) in &resolve.worlds[world].imports {
            reader.import(key, item);
        }
        Ok(reader.contract)
    }
}

/// Reads the items of one world.
struct WorldReader<'a> {
    resolve: &'a Resolve,
    types: Types<'a>,
    contract: Contract,
}

impl WorldReader<'_> {
    fn export(&mut self, key: &WorldKey, item: &WorldItem) {
        let Some(Item { name, interface, resources }) = self.item(key, item) else { return };
        self.contract.export_names.insert(name.clone());
        if !name.is_of_host() {
            self.keep(&name, resources);
            self.contract.exports.entry(name).or_default().functions.extend(interface.functions);
        }
    }

    fn import(&mut self, key: &WorldKey, item: &WorldItem) {
        let Some(Item { name, interface, resources }) = self.item(key, item) else { return };
        self.contract.import_names.insert(name.clone());
        let types_alone = interface.functions.is_empty() && resources.is_empty();
        if !name.is_of_host() && !types_alone {
            self.keep(&name, resources);
            self.contract.imports.entry(name).or_default().functions.extend(interface.functions);
        }
    }

    fn keep(&mut self, name: &InterfaceName, resources: Vec<String>) {
        if !resources.is_empty() {
            self.contract.resources.insert(name.clone(), resources);
        }
    }

    /// The interface, or the one function of the world itself; nothing for a type of the world itself.
    fn item(&mut self, key: &WorldKey, item: &WorldItem) -> Option<Item> {
        match item {
            WorldItem::Interface { id, .. } => {
                let described = &self.resolve.interfaces[*id];
                let is_resource = |id: &TypeId| matches!(self.resolve.types[*id].kind, TypeDefKind::Resource);
                let resources = described.types.iter().filter(|(_, id)| is_resource(id)).map(|(name, _)| name.clone());
                Some(Item {
                    name: InterfaceName::new(&self.resolve.name_world_key(key)),
                    resources: resources.collect(),
                    interface: self.types.interface(described),
                })
            }
            WorldItem::Function(function) => {
                let function = self.types.function(function).map(|function| (function.name.clone(), function));
                let interface = Interface { docs: None, functions: function.into_iter().collect() };
                Some(Item { name: InterfaceName::new(""), resources: Vec::new(), interface })
            }
            WorldItem::Type { .. } => None,
        }
    }
}

/// An interface of a world.
struct Item {
    name: InterfaceName,
    interface: Interface,
    /// Those that it defines; others it only uses.
    resources: Vec<String>,
}

/// Describes interfaces, functions and types in the words of this room. What is the same type there is one shared type here.
pub(super) struct Types<'a> {
    definitions: &'a dyn Index<TypeId, Output = TypeDef>,
    made: HashMap<TypeId, Type>,
}

impl<'a> Types<'a> {
    pub(super) fn new(definitions: &'a dyn Index<TypeId, Output = TypeDef>) -> Self {
        Self { definitions, made: HashMap::new() }
    }

    pub(super) fn interface(&mut self, interface: &wit::Interface) -> Interface {
        let functions = interface.functions.values().filter_map(|function| self.function(function));
        let functions = functions.map(|function| (function.name.clone(), function)).collect();
        Interface { docs: docs(&interface.docs), functions }
    }

    /// Nothing for what belongs to a resource: its constructor, its methods, its static functions.
    fn function(&mut self, function: &wit::Function) -> Option<Function> {
        let (wit::FunctionKind::Freestanding | wit::FunctionKind::AsyncFreestanding) = function.kind else {
            return None;
        };
        let params = function.params.iter().map(|param| Param { name: param.name.clone(), ty: self.ty(param.ty) });
        Some(Function {
            name: function.name.clone(),
            docs: docs(&function.docs),
            asynchronous: function.kind.is_async(),
            params: params.collect(),
            result: function.result.map(|ty| self.ty(ty)),
        })
    }

    fn ty(&mut self, ty: wit::Type) -> Type {
        match ty {
            wit::Type::Bool => Type::Bool,
            wit::Type::U8 => Type::U8,
            wit::Type::U16 => Type::U16,
            wit::Type::U32 => Type::U32,
            wit::Type::U64 => Type::U64,
            wit::Type::S8 => Type::S8,
            wit::Type::S16 => Type::S16,
            wit::Type::S32 => Type::S32,
            wit::Type::S64 => Type::S64,
            wit::Type::F32 => Type::F32,
            wit::Type::F64 => Type::F64,
            wit::Type::Char => Type::Char,
            wit::Type::String => Type::String,
            wit::Type::ErrorContext => Type::ErrorContext,
            wit::Type::Id(id) => {
                if let Some(made) = self.made.get(&id) {
                    return made.clone();
                }
                let made = self.definition(&self.definitions[id]);
                self.made.insert(id, made.clone());
                made
            }
        }
    }

    fn definition(&mut self, definition: &TypeDef) -> Type {
        let name = definition.name.clone().unwrap_or_default();
        let docs = docs(&definition.docs);
        let ty = match &definition.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| self.field(field)).collect();
                return Type::Record(Arc::new(Record { name, docs, fields }));
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| self.case(case)).collect();
                return Type::Variant(Arc::new(Variant { name, docs, cases }));
            }
            TypeDefKind::Enum(enumeration) => {
                let cases = enumeration.cases.iter().map(enum_case).collect();
                return Type::Enum(Arc::new(Enum { name, docs, cases }));
            }
            TypeDefKind::Flags(flags) => {
                let flags = flags.flags.iter().map(|flag| flag.name.clone()).collect();
                return Type::Flags(Arc::new(Flags { name, docs, flags }));
            }
            // What a package that is not at hand defines is as opaque as a resource. Only sources have such types, components none.
            TypeDefKind::Resource | TypeDefKind::Unknown => return Type::Resource(name.into()),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => self.ty(wit::Type::Id(*id)).resolved().clone(),
            TypeDefKind::Type(ty) if self.is_use(definition, *ty) => return self.ty(*ty),
            TypeDefKind::Type(ty) => self.ty(*ty),
            TypeDefKind::List(ty) => Type::List(self.shared(*ty)),
            TypeDefKind::FixedLengthList(ty, length) => Type::FixedList(self.shared(*ty), *length),
            TypeDefKind::Map(key, value) => Type::Map(self.shared(*key), self.shared(*value)),
            TypeDefKind::Option(ty) => Type::Option(self.shared(*ty)),
            TypeDefKind::Result(result) => {
                Type::Result { ok: result.ok.map(|ty| self.shared(ty)), err: result.err.map(|ty| self.shared(ty)) }
            }
            TypeDefKind::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(|ty| self.ty(*ty)).collect()),
            TypeDefKind::Stream(ty) => Type::Stream(ty.map(|ty| self.shared(ty))),
            TypeDefKind::Future(ty) => Type::Future(ty.map(|ty| self.shared(ty))),
        };
        if definition.name.is_some() { Type::Alias(Arc::new(Alias { name, docs, ty })) } else { ty }
    }

    /// Whether a definition is what `use` makes of a type of another interface. An alias is of the interface of its own type.
    fn is_use(&self, definition: &TypeDef, ty: wit::Type) -> bool {
        let wit::Type::Id(id) = ty else { return false };
        let owner = self.definitions[id].owner;
        owner != TypeOwner::None && owner != definition.owner
    }

    fn shared(&mut self, ty: wit::Type) -> Arc<Type> {
        Arc::new(self.ty(ty))
    }

    fn field(&mut self, field: &wit::Field) -> Field {
        Field { name: field.name.clone(), docs: docs(&field.docs), ty: self.ty(field.ty) }
    }

    fn case(&mut self, case: &wit::Case) -> Case {
        Case { name: case.name.clone(), docs: docs(&case.docs), ty: case.ty.map(|ty| self.ty(ty)) }
    }
}

fn enum_case(case: &wit::EnumCase) -> Case {
    Case { name: case.name.clone(), docs: docs(&case.docs), ty: None }
}

fn docs(docs: &wit::Docs) -> Option<String> {
    let text = docs.contents.as_deref()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    fn names<'a>(names: impl IntoIterator<Item = &'a InterfaceName>) -> Vec<String> {
        names.into_iter().map(ToString::to_string).collect()
    }

    fn texts(interface: &Interface) -> Vec<String> {
        interface.functions.values().map(ToString::to_string).collect()
    }

    #[test]
    fn a_component_is_described_without_what_is_of_the_host() {
        let contract = specimen::contract(
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
        // Types alone need nobody who answers.
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
        let users = &contract.imports[&InterfaceName::new("shop:users/users@1.0.0")];
        assert_eq!(texts(users), ["get: async func() -> user", "other: func()"]);
        let Some(Type::Record(user)) = &users.functions["get"].result else { panic!("a used type is what it is") };
        assert_eq!(user.fields[0].name, "name");
    }

    #[test]
    fn functions_of_the_world_itself_are_not_lost() {
        let contract = specimen::contract(
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
    fn resources_are_named_and_their_methods_are_no_functions() {
        let contract = specimen::contract(
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
        // Nothing but a resource is not nothing: somebody has to provide it.
        assert!(contract.imports[&name("a:b/db")].functions.is_empty());
        let f = &contract.exports[&name("a:b/both")].functions["f"];
        assert_eq!(f.to_string(), "f: func(a: conn, b: conn, c: list<cursor>)");
        assert!(f.params[..2].iter().all(|param| matches!(param.ty.resolved(), Type::Resource(_))));
    }

    #[test]
    fn a_type_is_one_shared_type_and_an_alias_keeps_its_name() {
        let interface = specimen::interface(
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
    fn what_is_no_component_is_an_error() {
        let told = |bytes: &[u8]| Contract::decode(bytes).unwrap_err().to_string();
        assert_eq!(told(b"\0asm\x01\0\0\0"), "it is a core module; build it for the target wasm32-wasip2");
        let mut resolve = Resolve::default();
        let package = resolve.push_source("a.wit", "package a:b; interface i {}").unwrap();
        let binary = wit_component::encode(&resolve, package, false).unwrap();
        assert_eq!(told(&binary), "it is a WIT package, which has types and no code");
        let whole = specimen::component("package a:b; world w { export f: func(); }");
        assert_eq!(told(b""), "it does not begin as WebAssembly does");
        assert_eq!(told(b"(component)"), "it does not begin as WebAssembly does");
        // A section that claims 4 GiB, and a function of a core module that claims 2 GiB.
        let huge_section = [&whole[..8], b"\x01\xff\xff\xff\xff\x0f\0"].concat();
        let huge_function = [&whole[..8], b"\x01\x10\0asm\x01\0\0\0\x0a\x06\x01\xff\xff\xff\xff\x07"].concat();
        for claims in [huge_section, huge_function] {
            let text = told(&claims);
            assert!(text.starts_with("it is broken: unexpected end-of-file"), "{text}");
        }
        for end in [5, 8, whole.len() / 2, whole.len() - 1] {
            let Err(error) = Contract::decode(&whole[..end]) else { continue };
            let text = error.to_string();
            assert!(text.starts_with("it is broken: "), "{text}");
        }
    }
}
