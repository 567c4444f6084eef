//! The code of a new service that implements a contract which is there: each function says that it is not written yet.

use crate::view::{self, ComponentTool};
use crate::world::{BindingsError, ContractWorld};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wit_bindgen_core::wit_parser::{
    Function, FunctionKind, Handle, Interface, InterfaceId, PackageName, Resolve, Type, TypeDefKind, TypeId,
};

/// A language that services are begun in from a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StubLanguage {
    /// Rust, over `atoll-guest`.
    Rust,
    /// JavaScript, as componentize-js and componentize-qjs both take it.
    JavaScript,
}

/// What a new service begins with.
#[derive(Debug, Clone)]
pub struct ServiceStub {
    /// The world of the service and the contract, by their paths in the folder `wit`.
    pub wit: BTreeMap<PathBuf, Vec<u8>>,
    /// The functions of the contract.
    pub code: String,
    /// Whether the contract has integers of 64 bits, which componentize-qjs cannot take.
    pub wide: bool,
}

/// What Rust has for itself; wit-bindgen appends `_`.
const KEYWORDS: [&str; 21] = [
    "as", "async", "await", "box", "crate", "dyn", "enum", "fn", "impl", "in", "loop", "match", "mod", "move", "pub",
    "ref", "self", "super", "type", "use", "where",
];

/// What no variable of a module in JavaScript may be called, of what WIT takes for a name.
const RESERVED: [&str; 48] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
    "null",
    "true",
    "false",
];

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
        let mut world = format!("package example:{name}@0.1.0;\n\nworld service {{\n");
        for id in &interfaces {
            let name = resolve.id_of(*id).ok_or_else(|| lacks("an interface has no name".to_owned()))?;
            let _ = writeln!(world, "  export {name};");
        }
        world += "}\n";
        let main = resolve.push_source(&format!("{name}.wit"), &world).map_err(wit)?;
        let selected = resolve.select_world(&[main], Some("service")).map_err(wit)?;
        let printed = view::view(&resolve, selected, ComponentTool::ComponentizePy).map_err(lacks)?;
        let own = PathBuf::from(format!("{name}.wit"));
        let unmarked =
            |bytes: Vec<u8>| bytes.strip_prefix(view::VIEW_MARK.as_bytes()).map_or_else(|| bytes.clone(), Vec::from);
        let wit = printed.into_iter().map(|(path, bytes)| match path.to_str() {
            Some("world.wit") => (own.clone(), world.clone().into_bytes()),
            _ => (path, unmarked(bytes)),
        });
        let code = match language {
            StubLanguage::Rust => rust(&resolve, &interfaces).map_err(lacks)?,
            StubLanguage::JavaScript => java_script(&resolve, &interfaces).map_err(lacks)?,
        };
        Ok(Self { wit: wit.collect(), code, wide: view::wide_integer(&resolve, selected).is_some() })
    }
}

/// The functions of each interface, with what stands for it in the code.
fn java_script(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<String, String> {
    let mut code = String::new();
    for id in interfaces {
        let (interface, name, _) = named(resolve, *id)?;
        let _ = writeln!(code, "\nexport const {} = {{", camel(name));
        for function in interface.functions.values() {
            free(function)?;
            let names: Vec<_> = function.params.iter().map(|param| variable(&param.name)).collect();
            let text = format!("`{}` is not written yet", function.name);
            let thrown = match unavailable(resolve, function) {
                Some(_) => format!("{{ tag: \"unavailable\", val: \"{text}\" }}"),
                None => format!("new Error(\"{text}\")"),
            };
            let _ = write!(
                code,
                "  async {}({}) {{\n    throw {thrown};\n  }},\n",
                camel(&function.name),
                names.join(", ")
            );
        }
        code += "};\n";
    }
    Ok(code)
}

fn rust(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<String, String> {
    let (mut uses, mut code) = (String::new(), String::new());
    for id in interfaces {
        let (interface, name, package) = named(resolve, *id)?;
        let module = snake(name);
        let _ =
            writeln!(uses, "use bindings::exports::{}::{}::{module};", snake(&package.namespace), snake(&package.name));
        let _ = writeln!(code, "\nimpl {module}::Guest for Service {{");
        for function in interface.functions.values() {
            let asynchronous = if free(function)? { "async " } else { "" };
            let printed = RustTypes { resolve, module: &module };
            let mut params = Vec::new();
            for param in &function.params {
                params.push(format!("_{}: {}", snake(&param.name).trim_end_matches('_'), printed.name(&param.ty)?));
            }
            let answer = match &function.result {
                Some(ty) => format!(" -> {}", printed.name(ty)?),
                None => String::new(),
            };
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => format!("Err({}::Unavailable(\"{text}\".to_owned()))", printed.of_id(error)?),
                None => format!("panic!(\"{text}\")"),
            };
            let params = params.join(", ");
            let name = snake(&function.name);
            let _ = write!(code, "    {asynchronous}fn {name}({params}){answer} {{\n        {body}\n    }}\n\n");
        }
        code = code.trim_end().to_owned() + "\n}\n";
    }
    Ok(format!("{uses}\nstruct Service;\n{code}"))
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
    let mut definition = error;
    while let TypeDefKind::Type(Type::Id(used)) = resolve.types[definition].kind {
        definition = used;
    }
    let TypeDefKind::Variant(variant) = &resolve.types[definition].kind else { return None };
    let case = variant.cases.iter().find(|case| case.name == "unavailable")?;
    (case.ty == Some(Type::String)).then_some(error)
}

/// Types as wit-bindgen names them, in the module of an interface.
struct RustTypes<'a> {
    resolve: &'a Resolve,
    module: &'a str,
}

impl RustTypes<'_> {
    fn name(&self, ty: &Type) -> Result<String, String> {
        Ok(match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "i8",
            Type::S16 => "i16",
            Type::S32 => "i32",
            Type::S64 => "i64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Char => "char",
            Type::String => "String",
            Type::ErrorContext => return Err("there is no stub with an error-context".to_owned()),
            Type::Id(id) => return self.of_id(*id),
        }
        .to_owned())
    }

    fn of_id(&self, id: TypeId) -> Result<String, String> {
        let ty = &self.resolve.types[id];
        if let Some(name) = &ty.name {
            return Ok(format!("{}::{}", self.module, pascal(name)));
        }
        let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| Ok("()".to_owned()), |ty| self.name(ty));
        match &ty.kind {
            TypeDefKind::Option(ty) => Ok(format!("Option<{}>", self.name(ty)?)),
            TypeDefKind::List(ty) => Ok(format!("Vec<{}>", self.name(ty)?)),
            TypeDefKind::Result(result) => Ok(format!("Result<{}, {}>", optional(&result.ok)?, optional(&result.err)?)),
            TypeDefKind::Tuple(tuple) => {
                let types: Result<Vec<_>, _> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                let types = types?;
                Ok(if types.len() == 1 { format!("({},)", types[0]) } else { format!("({})", types.join(", ")) })
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.of_id(*id),
            TypeDefKind::Type(ty) => self.name(ty),
            other => Err(format!("there is no stub with a {}", other.as_str())),
        }
    }
}

/// The name of a parameter of JavaScript, where a word like `in` or `default` is none.
fn variable(name: &str) -> String {
    let name = camel(name);
    if RESERVED.contains(&name.as_str()) { name + "_" } else { name }
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split('-')
}

fn snake(name: &str) -> String {
    let name = name.to_lowercase().replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name }
}

fn pascal(name: &str) -> String {
    words(name).map(|word| word[..1].to_uppercase() + &word[1..].to_lowercase()).collect()
}

fn camel(name: &str) -> String {
    let pascal = pascal(name);
    pascal[..1].to_lowercase() + &pascal[1..]
}
