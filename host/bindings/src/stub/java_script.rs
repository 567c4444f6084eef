//! Stubs in JavaScript, as componentize-js and componentize-qjs both take it.

use super::{camel, escaped, free, named, unavailable};
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{InterfaceId, Resolve};

/// What no variable of a module in JavaScript may be called, of what WIT takes for a name.
#[rustfmt::skip]
const RESERVED: [&str; 48] = [
    "arguments", "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete",
    "do", "else", "enum", "eval", "export", "extends", "finally", "for", "function", "if", "implements", "import",
    "in", "instanceof", "interface", "let", "new", "package", "private", "protected", "public", "return", "static",
    "super", "switch", "this", "throw", "try", "typeof", "var", "void", "while", "with", "yield", "null", "true",
    "false",
];

/// The functions of each interface, with what stands for it in the code.
pub(super) fn java_script(resolve: &Resolve, interfaces: &[InterfaceId]) -> Result<String, String> {
    let mut code = String::new();
    for id in interfaces {
        let (interface, name, _) = named(resolve, *id)?;
        let (beginning, end) = exported(name);
        let _ = writeln!(code, "\n{beginning}");
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
        code += &end;
    }
    Ok(code)
}

/// The beginning and the end of what stands for an interface. A module may export a word under its name, though nothing
/// in it can have that.
pub(super) fn exported(name: &str) -> (String, String) {
    let (name, constant) = (camel(name), variable(name));
    if name == constant {
        return (format!("export const {name} = {{"), "};\n".to_owned());
    }
    (format!("const {constant} = {{"), format!("}};\n\nexport {{ {constant} as {name} }};\n"))
}

/// The name of a parameter of JavaScript, where a word like `in` or `default` is none.
pub(super) fn variable(name: &str) -> String {
    escaped(camel(name), &RESERVED)
}
