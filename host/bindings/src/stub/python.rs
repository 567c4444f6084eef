//! Stubs in Python, for the bindings of componentize-py 0.25.

use super::type_names::TypeNames;
use super::{definition, escaped, free, named, owner, pascal, snake, unavailable};
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
                params.push(format!("{}: {}", parameter(&param.name), printed.name(param.ty)?));
            }
            let answer = match &function.result {
                Some(Type::Id(id)) => match &resolve.types[*id].kind {
                    TypeDefKind::Result(result) => printed.optional(result.ok)?,
                    _ => Some(printed.of(*id)?),
                },
                other => printed.optional(*other)?,
            };
            let answer = answer.unwrap_or_else(none);
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => {
                    printed.tools.insert("Err");
                    format!("raise Err({}_Unavailable(\"{text}\"))", printed.of(error)?)
                }
                None => format!("raise NotImplementedError(\"{text}\")"),
            };
            let (name, params) = (word(&function.name), params.join(", "));
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

impl<'a> TypeNames<'a> for PythonTypes<'a> {
    fn resolve(&self) -> &'a Resolve {
        self.resolve
    }

    fn scalar(&self, ty: Type) -> Option<&'static str> {
        Some(match ty {
            Type::Bool => "bool",
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => "int",
            Type::F32 | Type::F64 => "float",
            Type::Char | Type::String => "str",
            Type::ErrorContext | Type::Id(_) => return None,
        })
    }

    /// Other names of a type, and names of lists and the like, are none in Python.
    fn by_name(&mut self, id: TypeId, name: &str) -> Result<Option<String>, String> {
        let resolve = self.resolve;
        let (TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_)) =
            &resolve.types[id].kind
        else {
            return Ok(None);
        };
        let interface = owner(resolve, id)?;
        let (_, module, _) = named(resolve, interface)?;
        let module = word(module);
        if *self.modules.entry(module.clone()).or_insert(interface) != interface {
            return Err(format!("two interfaces are called `{module}`, for which there is no stub"));
        }
        Ok(Some(format!("{module}.{}", pascal(name))))
    }

    fn option(&mut self, inner: Type, name: &str) -> String {
        match definition(self.resolve, inner) {
            Some(TypeDefKind::Option(_)) => {
                self.tools.insert("Some");
                format!("Some[{name}] | None")
            }
            _ => format!("{name} | None"),
        }
    }

    fn list(&mut self, item: Type, name: &str) -> String {
        if item == Type::U8 { "bytes".to_owned() } else { format!("list[{name}]") }
    }

    fn tuple(&mut self, names: &[String]) -> String {
        format!("tuple[{}]", names.join(", "))
    }

    fn result(&mut self, ok: Option<String>, error: Option<String>) -> String {
        self.tools.insert("Result");
        let [ok, error] = [ok, error].map(|name| name.unwrap_or_else(none));
        format!("Result[{ok}, {error}]")
    }
}

/// What stands for no type.
fn none() -> String {
    "None".to_owned()
}

/// The name of a parameter, beside the object itself. Nobody calls these functions by the names of parameters.
fn parameter(name: &str) -> String {
    escaped(word(name), &["self"])
}

fn word(name: &str) -> String {
    escaped(snake(name), &KEYWORDS)
}
