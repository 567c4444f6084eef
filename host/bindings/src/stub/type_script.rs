//! Stubs in TypeScript: the types of the contract, and functions that have them.

use super::java_script::{exported, variable};
use super::{camel, definition, free, named, owner, pascal, unavailable};
use std::collections::BTreeMap;
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, TypeId};

/// The types of all interfaces that these refer to, and the functions of these. With `wide` the tool is
/// componentize-js, else componentize-qjs: what they have for an option without a value differs.
pub(super) fn type_script(resolve: &Resolve, interfaces: &[InterfaceId], wide: bool) -> Result<String, String> {
    let none = if wide { "undefined" } else { "null" };
    let mut printed = TypeScriptTypes { resolve, none, spaces: BTreeMap::new(), open: interfaces.to_vec() };
    let mut code = String::new();
    for id in interfaces {
        let (interface, name, _) = named(resolve, *id)?;
        let (beginning, end) = exported(name);
        let _ = writeln!(code, "\n{beginning}");
        for function in interface.functions.values() {
            free(function)?;
            let mut params = Vec::new();
            for param in &function.params {
                params.push(format!("{}: {}", variable(&param.name), printed.name(&param.ty)?));
            }
            let answer = match &function.result {
                Some(Type::Id(id)) => match &resolve.types[*id].kind {
                    TypeDefKind::Result(result) => result.ok.map_or(Ok("void".to_owned()), |ok| printed.name(&ok))?,
                    _ => printed.of_id(*id)?,
                },
                Some(ty) => printed.name(ty)?,
                None => "void".to_owned(),
            };
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => {
                    format!("failed<{}>({{ tag: \"unavailable\", val: \"{text}\" }})", printed.of_id(error)?)
                }
                None => format!("throw new Error(\"{text}\")"),
            };
            let (name, params) = (camel(&function.name), params.join(", "));
            let _ = write!(code, "  async {name}({params}): Promise<{answer}> {{\n    {body};\n  }},\n");
        }
        code += &end;
    }
    // What a type refers to may be in an interface that was not met before.
    while let Some(id) = printed.open.pop() {
        printed.space(id)?;
    }
    let spaces: String = printed.spaces.values().map(|(_, space)| space.as_str()).collect();
    Ok(spaces + &code)
}

/// Types as the tools for JavaScript have them, in a namespace for each interface.
struct TypeScriptTypes<'a> {
    resolve: &'a Resolve,
    none: &'static str,
    /// The namespaces, by their names.
    spaces: BTreeMap<String, (InterfaceId, String)>,
    /// Interfaces that are referred to.
    open: Vec<InterfaceId>,
}

impl TypeScriptTypes<'_> {
    /// Writes the namespace of an interface, if it is not there and has types.
    fn space(&mut self, id: InterfaceId) -> Result<(), String> {
        let (interface, name, _) = named(self.resolve, id)?;
        let space = pascal(name);
        if let Some((other, _)) = self.spaces.get(&space) {
            let same = format!("two interfaces are called `{name}`, for which there is no stub");
            return if *other == id { Ok(()) } else { Err(same) };
        }
        self.spaces.insert(space.clone(), (id, String::new()));
        let mut text = format!("\n/** The types of `{name}`. */\ndeclare namespace {space} {{\n");
        for (name, ty) in &interface.types {
            let _ = writeln!(text, "  type {} = {};", pascal(name), self.of_kind(*ty)?);
        }
        if !interface.types.is_empty() {
            self.spaces.insert(space, (id, text + "}\n"));
        }
        Ok(())
    }

    fn name(&mut self, ty: &Type) -> Result<String, String> {
        Ok(match ty {
            Type::Bool => "boolean",
            Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => "number",
            // Only componentize-js takes them.
            Type::U64 | Type::S64 => "bigint",
            Type::Char | Type::String => "string",
            Type::ErrorContext => return Err("there is no stub with an error-context".to_owned()),
            Type::Id(id) => return self.of_id(*id),
        }
        .to_owned())
    }

    fn of_id(&mut self, id: TypeId) -> Result<String, String> {
        let Some(name) = &self.resolve.types[id].name else { return self.of_kind(id) };
        let interface = owner(self.resolve, id)?;
        self.open.push(interface);
        let (_, space, _) = named(self.resolve, interface)?;
        Ok(format!("{}.{}", pascal(space), pascal(name)))
    }

    fn of_kind(&mut self, id: TypeId) -> Result<String, String> {
        let resolve = self.resolve;
        let case = |name: &str, val: Option<String>| match val {
            Some(val) => format!("{{ tag: \"{name}\"; val: {val} }}"),
            None => format!("{{ tag: \"{name}\" }}"),
        };
        Ok(match &resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let mut fields = Vec::new();
                for field in &record.fields {
                    fields.push(format!("{}: {}", camel(&field.name), self.name(&field.ty)?));
                }
                format!("{{ {} }}", fields.join("; "))
            }
            TypeDefKind::Flags(flags) => {
                let flags: Vec<_> = flags.flags.iter().map(|flag| format!("{}: boolean", camel(&flag.name))).collect();
                format!("{{ {} }}", flags.join("; "))
            }
            TypeDefKind::Enum(cases) => {
                let cases: Vec<_> = cases.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                cases.join(" | ")
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = Vec::new();
                for one in &variant.cases {
                    let val = one.ty.map(|ty| self.name(&ty)).transpose()?;
                    cases.push(case(&one.name, val));
                }
                cases.join(" | ")
            }
            TypeDefKind::Result(result) => {
                let ok = result.ok.map(|ty| self.name(&ty)).transpose()?;
                let error = result.err.map(|ty| self.name(&ty)).transpose()?;
                format!("({} | {})", case("ok", ok), case("err", error))
            }
            TypeDefKind::Option(ty) => match definition(resolve, *ty) {
                Some(TypeDefKind::Option(_)) => {
                    format!("({} | {})", case("some", Some(self.name(ty)?)), case("none", None))
                }
                _ => format!("({} | {})", self.name(ty)?, self.none),
            },
            TypeDefKind::Tuple(tuple) => {
                let types: Result<Vec<_>, _> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("[{}]", types?.join(", "))
            }
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            // One tool has typed arrays for lists of numbers, the other arrays.
            TypeDefKind::List(ty) => {
                let element = self.name(ty)?;
                let list = if matches!(element.as_str(), "number" | "bigint") { "ArrayLike" } else { "Array" };
                format!("{list}<{element}>")
            }
            TypeDefKind::Type(ty) => self.name(ty)?,
            other => return Err(format!("there is no stub with a {}", other.as_str())),
        })
    }
}
