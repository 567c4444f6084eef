//! Stubs in Go, for the bindings of `atoll wit bindings`: a package for each interface.

use super::type_names::TypeNames;
use super::{camel, escaped, free, named, pascal, snake, unavailable};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use wit_bindgen_core::wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// What Go has for itself, and what a stub imports as.
#[rustfmt::skip]
const KEYWORDS: [&str; 27] = [
    "break", "case", "chan", "const", "continue", "contract", "default", "defer", "else", "fallthrough", "for", "func",
    "go", "goto", "if", "import", "interface", "map", "package", "range", "return", "select", "struct", "switch",
    "type", "types", "var",
];

/// The packages, by their paths in the folder of the service.
pub(super) fn go(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let mut packages = BTreeMap::new();
    for id in interfaces {
        let (interface, name, package) = named(resolve, *id)?;
        let bindings = [package.namespace.as_str(), package.name.as_str(), name].map(snake).join("_");
        let mut code = String::new();
        for function in interface.functions.values() {
            free(function)?;
            let mut printed = GoTypes { resolve };
            let mut params = Vec::new();
            for param in &function.params {
                params.push(format!("{} {}", variable(&param.name), printed.name(param.ty)?));
            }
            let (name, params) = (pascal(&function.name), params.join(", "));
            let answer = match &function.result {
                Some(ty) => format!("{} ", printed.name(*ty)?),
                None => String::new(),
            };
            let text = format!("\"`{}` is not written yet\"", function.name);
            let body = match (unavailable(resolve, function), function.result) {
                (Some(error), Some(Type::Id(id))) => {
                    let TypeDefKind::Result(result) = &resolve.types[id].kind else { unreachable!("it has an error") };
                    let error = printed.of(error)?;
                    let make = error.replacen("contract.", "contract.Make", 1);
                    let ok = printed.optional(result.ok)?.unwrap_or_else(unit);
                    format!("return types.Err[{ok}]({make}Unavailable({text}))")
                }
                _ => format!("panic({text})"),
            };
            let _ = write!(code, "\n// {name} is not written yet.\nfunc {name}({params}) {answer}{{\n\t{body}\n}}\n");
        }
        let imports = [
            ("types.", "types \"go.bytecodealliance.org/pkg/wit/types\"".to_owned()),
            ("contract.", format!("contract \"wit_component/{bindings}\"")),
        ];
        let imports = imports.iter().filter(|(used, _)| code.contains(used));
        let imports: String = imports.map(|(_, import)| format!("\t{import}\n")).collect();
        let imports = if imports.is_empty() { imports } else { format!("\nimport (\n{imports})\n") };
        let text = format!(
            "// Package export_{bindings} is the service. There is no HTTP here: the host makes HTTP from the\n\
             // contract in wit/.\npackage export_{bindings}\n{imports}{code}"
        );
        packages.insert(PathBuf::from(format!("export_{bindings}/service.go")), text.into_bytes());
    }
    Ok(packages)
}

/// Types as wit-bindgen names them. The package of an interface has names for the types that it uses of others.
struct GoTypes<'a> {
    resolve: &'a Resolve,
}

impl<'a> TypeNames<'a> for GoTypes<'a> {
    fn resolve(&self) -> &'a Resolve {
        self.resolve
    }

    fn scalar(&self, ty: Type) -> Option<&'static str> {
        Some(match ty {
            Type::Bool => "bool",
            Type::U8 => "uint8",
            Type::U16 => "uint16",
            Type::U32 => "uint32",
            Type::U64 => "uint64",
            Type::S8 => "int8",
            Type::S16 => "int16",
            Type::S32 => "int32",
            Type::S64 => "int64",
            Type::F32 => "float32",
            Type::F64 => "float64",
            Type::Char => "rune",
            Type::String => "string",
            Type::ErrorContext | Type::Id(_) => return None,
        })
    }

    fn by_name(&mut self, _: TypeId, name: &str) -> Result<Option<String>, String> {
        Ok(Some(format!("contract.{}", pascal(name))))
    }

    fn option(&mut self, _: Type, name: &str) -> String {
        format!("types.Option[{name}]")
    }

    fn list(&mut self, _: Type, name: &str) -> String {
        format!("[]{name}")
    }

    fn tuple(&mut self, names: &[String]) -> String {
        format!("types.Tuple{}[{}]", names.len(), names.join(", "))
    }

    fn result(&mut self, ok: Option<String>, error: Option<String>) -> String {
        let [ok, error] = [ok, error].map(|name| name.unwrap_or_else(unit));
        format!("types.Result[{ok}, {error}]")
    }
}

/// What stands for no type.
fn unit() -> String {
    "types.Unit".to_owned()
}

fn variable(name: &str) -> String {
    escaped(camel(name), &KEYWORDS)
}
