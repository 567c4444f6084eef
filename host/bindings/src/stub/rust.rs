//! Stubs in Rust, over `atoll-guest`.

use super::{free, named, pascal, unavailable};
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// What Rust has for itself, or may have one day; wit-bindgen appends `_`.
const KEYWORDS: [&str; 50] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// An implementation of each interface.
pub(super) fn rust(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<String, String> {
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
            // wit-bindgen has `Guest` for the functions.
            let name = if name == "guest" { "Guest_".to_owned() } else { pascal(name) };
            return Ok(format!("{}::{name}", self.module));
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

fn snake(name: &str) -> String {
    let name = name.to_lowercase().replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name }
}
