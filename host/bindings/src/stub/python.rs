//! Stubs in Python, for the bindings of componentize-py 0.25.

use super::{definition, free, named, owner, pascal, unavailable};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// What Python has for itself (its keywords), and what the bindings call so; the tool appends `_`.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// A class for each interface, with what they import.
pub(super) fn python(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<String, String> {
    let mut printed = PythonTypes { resolve, modules: BTreeMap::new(), tools: BTreeSet::new() };
    let mut code = String::new();
    for id in interfaces {
        let (interface, name, _) = named(resolve, *id)?;
        let _ = writeln!(code, "\n\nclass {0}(exports.{0}):", pascal(name));
        let mut methods = Vec::new();
        for function in interface.functions.values() {
            let asynchronous = if free(function)? { "async " } else { "" };
            let mut params = vec!["self".to_owned()];
            for param in &function.params {
                params.push(format!("{}: {}", parameter(&param.name), printed.name(&param.ty)?));
            }
            let answer = match &function.result {
                Some(Type::Id(id)) => match &resolve.types[*id].kind {
                    TypeDefKind::Result(result) => printed.optional(result.ok.as_ref())?,
                    _ => printed.of_id(*id)?,
                },
                other => printed.optional(other.as_ref())?,
            };
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => {
                    printed.tools.insert("Err");
                    format!("raise Err({}_Unavailable(\"{text}\"))", printed.of_id(error)?)
                }
                None => format!("raise NotImplementedError(\"{text}\")"),
            };
            let (name, params) = (snake(&function.name), params.join(", "));
            methods.push(format!("    {asynchronous}def {name}({params}) -> {answer}:\n        {body}\n"));
        }
        code += &methods.join("\n");
    }
    let mut imports = String::new();
    if !printed.tools.is_empty() {
        let tools: Vec<_> = printed.tools.iter().copied().collect();
        let _ = writeln!(imports, "from componentize_py_types import {}", tools.join(", "));
    }
    imports += "from wit_world import exports\n";
    for side in ["exports", "imports"] {
        let is_export = side == "exports";
        let modules = printed.modules.iter().filter(|(_, id)| interfaces.contains(id) == is_export);
        let modules: Vec<_> = modules.map(|(module, _)| module.as_str()).collect();
        if !modules.is_empty() {
            let _ = writeln!(imports, "from wit_world.{side} import {}", modules.join(", "));
        }
    }
    Ok(imports + &code)
}

/// Types as componentize-py names them: by the module of the interface that has them first.
struct PythonTypes<'a> {
    resolve: &'a Resolve,
    /// The modules whose types are named.
    modules: BTreeMap<String, InterfaceId>,
    /// What is named of the types that Python does not have.
    tools: BTreeSet<&'static str>,
}

impl PythonTypes<'_> {
    fn name(&mut self, ty: &Type) -> Result<String, String> {
        Ok(match ty {
            Type::Bool => "bool",
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => "int",
            Type::F32 | Type::F64 => "float",
            Type::Char | Type::String => "str",
            Type::ErrorContext => return Err("there is no stub with an error-context".to_owned()),
            Type::Id(id) => return self.of_id(*id),
        }
        .to_owned())
    }

    fn optional(&mut self, ty: Option<&Type>) -> Result<String, String> {
        ty.map_or_else(|| Ok("None".to_owned()), |ty| self.name(ty))
    }

    fn of_id(&mut self, id: TypeId) -> Result<String, String> {
        let resolve = self.resolve;
        let ty = &resolve.types[id];
        Ok(match &ty.kind {
            TypeDefKind::Type(ty) => self.name(ty)?,
            TypeDefKind::Option(ty) => match definition(resolve, *ty) {
                Some(TypeDefKind::Option(_)) => {
                    self.tools.insert("Some");
                    format!("Some[{}] | None", self.name(ty)?)
                }
                _ => format!("{} | None", self.name(ty)?),
            },
            TypeDefKind::List(Type::U8) => "bytes".to_owned(),
            TypeDefKind::List(ty) => format!("list[{}]", self.name(ty)?),
            TypeDefKind::Tuple(tuple) => {
                let types: Result<Vec<_>, _> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("tuple[{}]", types?.join(", "))
            }
            TypeDefKind::Result(result) => {
                self.tools.insert("Result");
                format!("Result[{}, {}]", self.optional(result.ok.as_ref())?, self.optional(result.err.as_ref())?)
            }
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => {
                let interface = owner(resolve, id)?;
                let (_, module, _) = named(resolve, interface)?;
                let module = snake(module);
                if *self.modules.entry(module.clone()).or_insert(interface) != interface {
                    return Err(format!("two interfaces are called `{module}`, for which there is no stub"));
                }
                format!("{module}.{}", pascal(ty.name.as_deref().unwrap_or_default()))
            }
            other => return Err(format!("there is no stub with a {}", other.as_str())),
        })
    }
}

/// The name of a parameter, beside the object itself. Nobody calls these functions by the names of parameters.
fn parameter(name: &str) -> String {
    let name = snake(name);
    if name == "self" { name + "_" } else { name }
}

fn snake(name: &str) -> String {
    let name = name.to_lowercase().replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name }
}
