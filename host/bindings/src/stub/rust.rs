//! Stubs in Rust, over `atoll-guest`.

use super::type_names::TypeNames;
use super::{escaped, free, named, pascal, snake, unavailable};
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
        let module = word(name);
        let _ =
            writeln!(uses, "use bindings::exports::{}::{}::{module};", word(&package.namespace), word(&package.name));
        let _ = writeln!(code, "\nimpl {module}::Guest for Service {{");
        for function in interface.functions.values() {
            let asynchronous = if free(function)? { "async " } else { "" };
            let mut printed = RustTypes { resolve, module: &module };
            let mut params = Vec::new();
            for param in &function.params {
                params.push(format!("_{}: {}", word(&param.name).trim_end_matches('_'), printed.name(param.ty)?));
            }
            let answer = match &function.result {
                Some(ty) => format!(" -> {}", printed.name(*ty)?),
                None => String::new(),
            };
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => format!("Err({}::Unavailable(\"{text}\".to_owned()))", printed.of(error)?),
                None => format!("panic!(\"{text}\")"),
            };
            let params = params.join(", ");
            let name = word(&function.name);
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

impl<'a> TypeNames<'a> for RustTypes<'a> {
    fn resolve(&self) -> &'a Resolve {
        self.resolve
    }

    fn scalar(&self, ty: Type) -> Option<&'static str> {
        Some(match ty {
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
            Type::ErrorContext | Type::Id(_) => return None,
        })
    }

    fn by_name(&mut self, _: TypeId, name: &str) -> Result<Option<String>, String> {
        // wit-bindgen has `Guest` for the functions.
        let name = if name == "guest" { "Guest_".to_owned() } else { pascal(name) };
        Ok(Some(format!("{}::{name}", self.module)))
    }

    fn defined(&mut self, kind: &'a TypeDefKind) -> Option<Result<String, String>> {
        let TypeDefKind::Handle(Handle::Own(resource)) = kind else { return None };
        Some(self.of(*resource))
    }

    fn option(&mut self, _: Type, name: &str) -> String {
        format!("Option<{name}>")
    }

    fn list(&mut self, _: Type, name: &str) -> String {
        format!("Vec<{name}>")
    }

    fn tuple(&mut self, names: &[String]) -> String {
        if let [name] = names { format!("({name},)") } else { format!("({})", names.join(", ")) }
    }

    fn result(&mut self, ok: Option<String>, error: Option<String>) -> String {
        let [ok, error] = [ok, error].map(|name| name.unwrap_or_else(|| "()".to_owned()));
        format!("Result<{ok}, {error}>")
    }
}

fn word(name: &str) -> String {
    escaped(snake(name), &KEYWORDS)
}
