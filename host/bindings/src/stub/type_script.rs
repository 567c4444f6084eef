//! Stubs in TypeScript: the types of the contract, and functions that have them.

use super::java_script::{exported, variable};
use super::type_names::TypeNames;
use super::{camel, definition, free, named, owner, pascal, unavailable};
use std::collections::BTreeMap;
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{InterfaceId, Record, Resolve, Type, TypeDefKind, TypeId, Variant};

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
                params.push(format!("{}: {}", variable(&param.name), printed.name(param.ty)?));
            }
            let answer = match &function.result {
                Some(Type::Id(id)) => match &resolve.types[*id].kind {
                    TypeDefKind::Result(result) => printed.optional(result.ok)?,
                    _ => Some(printed.of(*id)?),
                },
                other => printed.optional(*other)?,
            };
            let answer = answer.unwrap_or_else(|| "void".to_owned());
            let text = format!("`{}` is not written yet", function.name);
            let body = match unavailable(resolve, function) {
                Some(error) => {
                    format!("failed<{}>({{ tag: \"unavailable\", val: \"{text}\" }})", printed.of(error)?)
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

impl<'a> TypeScriptTypes<'a> {
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
            let _ = writeln!(text, "  type {} = {};", pascal(name), self.kind(*ty)?);
        }
        if !interface.types.is_empty() {
            self.spaces.insert(space, (id, text + "}\n"));
        }
        Ok(())
    }

    fn record(&mut self, record: &'a Record) -> Result<String, String> {
        let mut fields = Vec::new();
        for field in &record.fields {
            fields.push(format!("{}: {}", camel(&field.name), self.name(field.ty)?));
        }
        Ok(format!("{{ {} }}", fields.join("; ")))
    }

    fn variant(&mut self, variant: &'a Variant) -> Result<String, String> {
        let mut cases = Vec::new();
        for one in &variant.cases {
            cases.push(case(&one.name, self.optional(one.ty)?));
        }
        Ok(cases.join(" | "))
    }
}

impl<'a> TypeNames<'a> for TypeScriptTypes<'a> {
    fn resolve(&self) -> &'a Resolve {
        self.resolve
    }

    fn scalar(&self, ty: Type) -> Option<&'static str> {
        Some(match ty {
            Type::Bool => "boolean",
            Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => "number",
            // Only componentize-js takes them.
            Type::U64 | Type::S64 => "bigint",
            Type::Char | Type::String => "string",
            Type::ErrorContext | Type::Id(_) => return None,
        })
    }

    fn by_name(&mut self, id: TypeId, name: &str) -> Result<Option<String>, String> {
        let interface = owner(self.resolve, id)?;
        self.open.push(interface);
        let (_, space, _) = named(self.resolve, interface)?;
        Ok(Some(format!("{}.{}", pascal(space), pascal(name))))
    }

    fn defined(&mut self, kind: &'a TypeDefKind) -> Option<Result<String, String>> {
        Some(match kind {
            TypeDefKind::Record(record) => self.record(record),
            TypeDefKind::Flags(flags) => {
                let flags: Vec<_> = flags.flags.iter().map(|flag| format!("{}: boolean", camel(&flag.name))).collect();
                Ok(format!("{{ {} }}", flags.join("; ")))
            }
            TypeDefKind::Enum(cases) => {
                let cases: Vec<_> = cases.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                Ok(cases.join(" | "))
            }
            TypeDefKind::Variant(variant) => self.variant(variant),
            _ => return None,
        })
    }

    fn option(&mut self, inner: Type, name: &str) -> String {
        match definition(self.resolve, inner) {
            Some(TypeDefKind::Option(_)) => {
                format!("({} | {})", case("some", Some(name.to_owned())), case("none", None))
            }
            _ => format!("({name} | {})", self.none),
        }
    }

    fn list(&mut self, item: Type, name: &str) -> String {
        match (item, name) {
            (Type::U8, _) => "Uint8Array".to_owned(),
            // One tool has typed arrays for lists of numbers, the other arrays.
            (_, "number" | "bigint") => format!("ArrayLike<{name}>"),
            _ => format!("Array<{name}>"),
        }
    }

    fn tuple(&mut self, names: &[String]) -> String {
        format!("[{}]", names.join(", "))
    }

    fn result(&mut self, ok: Option<String>, error: Option<String>) -> String {
        format!("({} | {})", case("ok", ok), case("err", error))
    }
}

/// A case of a variant, an option or a result.
fn case(name: &str, val: Option<String>) -> String {
    match val {
        Some(val) => format!("{{ tag: \"{name}\"; val: {val} }}"),
        None => format!("{{ tag: \"{name}\" }}"),
    }
}
