//! The code of a new service that implements a contract which is there: each function says that it is not written yet.

mod c;
mod go;
mod java_script;
mod python;
mod rust;
mod type_names;
mod type_script;

use crate::binding_gap::{binding_gap, excess};
use crate::view::{self, ComponentTool};
use crate::world::{BindingLanguage, BindingsError, ContractWorld, written};
use crate::world_part::WorldPart;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wit_bindgen_core::wit_parser::{
    Function, FunctionKind, Interface, InterfaceId, PackageName, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldId,
};

/// A language that services are begun in from a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StubLanguage {
    /// Rust, over `atoll-guest`.
    Rust,
    /// JavaScript, as componentize-js and componentize-qjs both take it.
    JavaScript,
    /// The same, with the types of the contract.
    TypeScript,
    /// Python, for the bindings of componentize-py.
    Python,
    /// C, for the bindings that are made here.
    C,
    /// Zig, for the bindings for C.
    Zig,
    /// Go, for the bindings that are made here.
    Go,
}

impl StubLanguage {
    /// The bindings that are made here and that a service in this language is built with. Those of the other languages
    /// come from their own tools.
    fn bound(self) -> Option<BindingLanguage> {
        match self {
            Self::C | Self::Zig => Some(BindingLanguage::C),
            Self::Go => Some(BindingLanguage::Go),
            Self::Rust | Self::JavaScript | Self::TypeScript | Self::Python => None,
        }
    }
}

/// What a new service begins with.
#[derive(Debug, Clone)]
pub struct ServiceStub {
    /// The world of the service and the contract, by their paths in the folder `wit`.
    pub wit: BTreeMap<PathBuf, Vec<u8>>,
    /// The functions of the contract. Of Go there are none here.
    pub code: String,
    /// The packages that Go wants, one for each interface, by their paths in the folder of the service.
    pub packages: BTreeMap<PathBuf, Vec<u8>>,
    /// Whether the contract has integers of 64 bits, which componentize-qjs cannot take.
    pub wide: bool,
}

impl ServiceStub {
    /// The service `name`, which exports every interface with functions of the contract at `path`.
    ///
    /// # Errors
    /// [`BindingsError::Wit`] and [`BindingsError::Stub`].
    pub fn of(path: &Path, name: &str, language: StubLanguage) -> Result<Self, BindingsError> {
        let wit = |reason| BindingsError::Wit { wit: path.to_owned(), reason };
        let lacks = |reason: String| BindingsError::Stub { wit: path.to_owned(), reason };
        let (mut resolve, package) = ContractWorld::packages(path)?;
        let with_functions = |id: &InterfaceId| !resolve.interfaces[*id].functions.is_empty();
        let interfaces: Vec<_> =
            resolve.packages[package].interfaces.values().copied().filter(with_functions).collect();
        if interfaces.is_empty() {
            return Err(lacks("no interface of it has a function".to_owned()));
        }
        let mut world = format!("package example:{}@0.1.0;\n\nworld service {{\n", written(name));
        for id in &interfaces {
            let (_, interface, PackageName { namespace, name, version }) = named(&resolve, *id).map_err(lacks)?;
            let [namespace, name, interface] = [namespace, name, interface].map(written);
            let version = version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
            let _ = writeln!(world, "  export {namespace}:{name}/{interface}{version};");
        }
        world += "}\n";
        let main = resolve.push_source(&format!("{name}.wit"), &world).map_err(wit)?;
        let selected = resolve.select_world(&[main], Some("service")).map_err(wit)?;
        let gap = match language.bound() {
            Some(bound) => {
                binding_gap(&resolve, selected, bound).map(|gap| format!("the bindings for {bound:?} {gap}"))
            }
            None => excess(&resolve, &WorldPart::all(&resolve, selected)),
        };
        if let Some(reason) = gap {
            return Err(lacks(reason));
        }
        let printed = view::view(&resolve, selected, ComponentTool::ComponentizePy).map_err(lacks)?;
        let own = PathBuf::from(format!("{name}.wit"));
        let unmarked =
            |bytes: Vec<u8>| bytes.strip_prefix(view::VIEW_MARK.as_bytes()).map_or_else(|| bytes.clone(), Vec::from);
        let wit = printed.into_iter().map(|(path, bytes)| match path.to_str() {
            Some("world.wit") => (own.clone(), world.clone().into_bytes()),
            _ => (path, unmarked(bytes)),
        });
        let wide = view::wide_integer(&resolve, selected).is_some();
        let mut packages = BTreeMap::new();
        let code = match language {
            StubLanguage::Rust => rust::rust(&resolve, &interfaces),
            StubLanguage::JavaScript => java_script::java_script(&resolve, &interfaces),
            StubLanguage::TypeScript => type_script::type_script(&resolve, &interfaces, wide),
            StubLanguage::Python => python::python(&resolve, &interfaces),
            StubLanguage::C => c::c(&resolve, &interfaces, &header(&resolve, selected)?),
            StubLanguage::Zig => c::zig(&resolve, &interfaces, &header(&resolve, selected)?),
            StubLanguage::Go => go::go(&resolve, &interfaces).map(|found| {
                packages = found;
                String::new()
            }),
        };
        Ok(Self { wit: wit.collect(), code: code.map_err(lacks)?, packages, wide })
    }
}

/// The header that the bindings for C have.
fn header(resolve: &Resolve, world: WorldId) -> Result<String, BindingsError> {
    let files = ContractWorld::new(resolve.clone(), world).bindings(BindingLanguage::C)?;
    let header = files.get(Path::new("service.h")).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Ok(header.unwrap_or_default())
}

/// An interface with its name and its package.
fn named(resolve: &Resolve, id: InterfaceId) -> Result<(&Interface, &str, &PackageName), String> {
    let interface = &resolve.interfaces[id];
    match (&interface.name, interface.package) {
        (Some(name), Some(package)) => Ok((interface, name.as_str(), &resolve.packages[package].name)),
        _ => Err("an interface has no name".to_owned()),
    }
}

/// Whether the function is an `async func`. Methods of resources are refused.
fn free(function: &Function) -> Result<bool, String> {
    match function.kind {
        FunctionKind::Freestanding => Ok(false),
        FunctionKind::AsyncFreestanding => Ok(true),
        _ => Err(format!("`{}` is a function of a resource, for which there is no stub", function.name)),
    }
}

/// The error type of the function, if it has the case `unavailable(string)`.
fn unavailable(resolve: &Resolve, function: &Function) -> Option<TypeId> {
    let Some(Type::Id(id)) = function.result else { return None };
    let TypeDefKind::Result(result) = &resolve.types[id].kind else { return None };
    let Some(Type::Id(error)) = result.err else { return None };
    let TypeDefKind::Variant(variant) = &resolve.types[behind(resolve, error)].kind else { return None };
    let case = variant.cases.iter().find(|case| case.name == "unavailable")?;
    (case.ty == Some(Type::String)).then_some(error)
}

/// The type behind its other names, as far as these are names of types of a contract.
fn behind(resolve: &Resolve, mut id: TypeId) -> TypeId {
    while let TypeDefKind::Type(Type::Id(used)) = resolve.types[id].kind {
        id = used;
    }
    id
}

/// What a type is, behind its other names.
fn definition(resolve: &Resolve, ty: Type) -> Option<&TypeDefKind> {
    let Type::Id(id) = ty else { return None };
    Some(&resolve.types[behind(resolve, id)].kind)
}

/// The interface that has a type.
fn owner(resolve: &Resolve, id: TypeId) -> Result<InterfaceId, String> {
    match resolve.types[id].owner {
        TypeOwner::Interface(interface) => Ok(interface),
        _ => Err("a type is of no interface".to_owned()),
    }
}

/// A name, apart from the words that the language or the stub has.
fn escaped(name: String, words: &[&str]) -> String {
    if words.contains(&name.as_str()) { name + "_" } else { name }
}

fn snake(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split('-')
}

fn pascal(name: &str) -> String {
    words(name).map(|word| word[..1].to_uppercase() + &word[1..].to_lowercase()).collect()
}

fn camel(name: &str) -> String {
    let pascal = pascal(name);
    pascal[..1].to_lowercase() + &pascal[1..]
}
