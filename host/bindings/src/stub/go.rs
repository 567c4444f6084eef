//! Stubs in Go, for the bindings of `atoll wit bindings`: a package for each interface.

use super::{camel, free, named, pascal, unavailable};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use wit_bindgen_core::wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// What Go has for itself, and what a stub imports as.
const KEYWORDS: [&str; 27] = [
    "break",
    "case",
    "chan",
    "const",
    "continue",
    "contract",
    "default",
    "defer",
    "else",
    "fallthrough",
    "for",
    "func",
    "go",
    "goto",
    "if",
    "import",
    "interface",
    "map",
    "package",
    "range",
    "return",
    "select",
    "struct",
    "switch",
    "type",
    "types",
    "var",
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
            let printed = GoTypes { resolve };
            let mut params = Vec::new();
            for param in &function.params {
                params.push(format!("{} {}", variable(&param.name), printed.name(&param.ty)?));
            }
            let (name, params) = (pascal(&function.name), params.join(", "));
            let answer = match &function.result {
                Some(ty) => format!("{} ", printed.name(ty)?),
                None => String::new(),
            };
            let text = format!("\"`{}` is not written yet\"", function.name);
            let body = match (unavailable(resolve, function), function.result) {
                (Some(error), Some(Type::Id(id))) => {
                    let TypeDefKind::Result(result) = &resolve.types[id].kind else { unreachable!("it has an error") };
                    let error = printed.of_id(error)?;
                    let make = error.replacen("contract.", "contract.Make", 1);
                    format!("return types.Err[{}]({make}Unavailable({text}))", printed.optional(result.ok.as_ref())?)
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

impl GoTypes<'_> {
    fn name(&self, ty: &Type) -> Result<String, String> {
        Ok(match ty {
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
            Type::ErrorContext => return Err("there is no stub with an error-context".to_owned()),
            Type::Id(id) => return self.of_id(*id),
        }
        .to_owned())
    }

    fn optional(&self, ty: Option<&Type>) -> Result<String, String> {
        ty.map_or_else(|| Ok("types.Unit".to_owned()), |ty| self.name(ty))
    }

    fn of_id(&self, id: TypeId) -> Result<String, String> {
        let ty = &self.resolve.types[id];
        if let Some(name) = &ty.name {
            return Ok(format!("contract.{}", pascal(name)));
        }
        Ok(match &ty.kind {
            TypeDefKind::Option(ty) => format!("types.Option[{}]", self.name(ty)?),
            TypeDefKind::List(ty) => format!("[]{}", self.name(ty)?),
            TypeDefKind::Result(result) => {
                let (ok, error) = (self.optional(result.ok.as_ref())?, self.optional(result.err.as_ref())?);
                format!("types.Result[{ok}, {error}]")
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Result<Vec<_>, _> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("types.Tuple{}[{}]", tuple.types.len(), types?.join(", "))
            }
            TypeDefKind::Type(ty) => self.name(ty)?,
            other => return Err(format!("there is no stub with a {}", other.as_str())),
        })
    }
}

fn snake(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

fn variable(name: &str) -> String {
    let name = camel(name);
    if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name }
}
