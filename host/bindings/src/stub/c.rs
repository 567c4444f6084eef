//! Stubs in C and Zig, by the prototypes that the bindings for C declare.

use super::{behind, definition, free, named, snake, unavailable};
use std::fmt::Write;
use wit_bindgen_core::wit_parser::{Function, InterfaceId, Resolve, TypeDefKind, TypeId};

/// What Zig has for itself: its keywords, and its own types and values, which nothing may be called like. Those with a
/// number of bits are not among them.
#[rustfmt::skip]
const ZIG_WORDS: [&str; 73] = [
    "addrspace", "align", "allowzero", "and", "anyerror", "anyframe", "anyopaque", "anytype", "asm", "async", "await",
    "bool", "break", "c_char", "c_int", "c_long", "c_longdouble", "c_longlong", "c_short", "c_uint", "c_ulong",
    "c_ulonglong", "c_ushort", "callconv", "catch", "comptime", "comptime_float", "comptime_int", "const", "continue",
    "defer", "else", "enum", "errdefer", "error", "export", "extern", "false", "fn", "for", "if", "inline", "isize",
    "linksection", "noalias", "noinline", "noreturn", "nosuspend", "null", "opaque", "or", "orelse", "packed", "pub",
    "resume", "return", "struct", "suspend", "switch", "test", "threadlocal", "true", "try", "type", "undefined",
    "union", "unreachable", "usingnamespace", "usize", "var", "void", "volatile", "while",
];

/// What a stub in C calls. The stream that it writes to, `stderr`, is escaped in the header already.
const C_CALLED: [&str; 2] = ["abort", "fputs"];
/// What a stub in Zig has of its own.
const ZIG_OWN: [&str; 2] = ["contract", "given"];

/// A function of the header, with what it is of the contract.
struct Prototype<'a> {
    function: &'a Function,
    answer: &'a str,
    name: String,
    /// Types and names, with the places for the answer and the error.
    params: Vec<(&'a str, &'a str)>,
    /// Whether the parameter may be no pointer.
    optional: Vec<bool>,
    /// The function that frees what the service has been given, for each parameter that needs it.
    frees: Vec<Option<String>>,
    /// The case `unavailable` of its error.
    case: Option<String>,
}

/// The functions of the header, which the bindings of a world with these interfaces have.
fn prototypes<'a>(
    resolve: &'a Resolve,
    interfaces: &[InterfaceId],
    header: &'a str,
) -> Result<Vec<Prototype<'a>>, String> {
    let mut found = Vec::new();
    for id in interfaces {
        let (interface, name, package) = named(resolve, *id)?;
        let prefix = ["exports", package.namespace.as_str(), package.name.as_str(), name].map(snake).join("_");
        for function in interface.functions.values() {
            free(function)?;
            let name = format!("{prefix}_{}", snake(&function.name));
            let lacks = || format!("the bindings for C do not declare {name}");
            let call = format!(" {name}(");
            let declared = |line: &&str| !line.starts_with("//") && line.contains(&call) && line.ends_with(");");
            let line = header.lines().find(declared).ok_or_else(lacks)?;
            let (answer, rest) = line.split_once(&call).ok_or_else(lacks)?;
            let params = rest.trim_end_matches(");").split(", ").filter(|param| *param != "void");
            let params: Option<Vec<_>> = params.map(|param| param.rsplit_once(' ')).collect();
            let params = params.ok_or_else(lacks)?;
            let given = function.params.len();
            if params.len() < given {
                return Err(lacks());
            }
            let frees = params.iter().enumerate().map(|(at, (ty, name))| {
                let free = format!("{}_free", ty.strip_suffix("_t")?);
                let is_given = at < given && name.starts_with('*');
                (is_given && header.contains(&format!("void {free}("))).then_some(free)
            });
            let frees = frees.collect();
            let is_option = |at: usize| {
                let ty = function.params.get(at).and_then(|param| definition(resolve, param.ty));
                matches!(ty, Some(TypeDefKind::Option(_))) && params[at].1.starts_with("*maybe_")
            };
            let optional = (0..params.len()).map(is_option).collect();
            let case = unavailable(resolve, function).and_then(|error| case_of(resolve, header, error));
            found.push(Prototype { function, answer, name, params, optional, frees, case });
        }
    }
    Ok(found)
}

/// The tag of the case `unavailable`: of the error, or of the one that it is another name of.
fn case_of(resolve: &Resolve, header: &str, error: TypeId) -> Option<String> {
    let id = behind(resolve, error);
    let interface = super::owner(resolve, id).ok()?;
    let (_, interface, package) = named(resolve, interface).ok()?;
    let error = snake(resolve.types[id].name.as_deref()?);
    let path = [package.namespace.as_str(), package.name.as_str(), interface].map(snake).join("_");
    let names = [format!("exports_{path}_{error}_unavailable"), format!("{path}_{error}_unavailable")];
    names.into_iter().map(|name| name.to_uppercase()).find(|name| header.contains(&format!("#define {name} ")))
}

/// The functions in C.
pub(super) fn c(resolve: &Resolve, interfaces: &[InterfaceId], header: &str) -> Result<String, String> {
    let mut code = String::new();
    for Prototype { function, answer, name, params, optional, frees, case } in prototypes(resolve, interfaces, header)?
    {
        // A definition may call its parameters as it likes.
        let hides = |name: &str| C_CALLED.contains(&name.trim_start_matches('*'));
        let apart = |name: &str| if hides(name) { format!("{name}_") } else { name.to_owned() };
        let params: Vec<_> = params.iter().map(|(ty, name)| (ty, apart(name))).collect();
        let declared: Vec<_> = params.iter().map(|(ty, name)| format!("{ty} {name}")).collect();
        let declared = if declared.is_empty() { "void".to_owned() } else { declared.join(", ") };
        let _ = writeln!(code, "\n{answer} {name}({declared}) {{");
        for (at, (_, param)) in params.iter().enumerate() {
            let param = param.trim_start_matches('*');
            match &frees[at] {
                Some(free) if optional[at] => {
                    let _ = writeln!(code, "    if ({param} != NULL) {{\n        {free}({param});\n    }}");
                }
                Some(free) => {
                    let _ = writeln!(code, "    {free}({param});");
                }
                None if case.is_some() && param == "err" => {}
                None => {
                    let _ = writeln!(code, "    (void){param};");
                }
            }
        }
        let text = format!("`{}` is not written yet", function.name);
        let _ = match case {
            Some(case) => writeln!(
                code,
                "    err->tag = {case};\n    service_string_dup(&err->val.unavailable, \"{text}\");\n    \
                 return false;\n}}"
            ),
            None => writeln!(code, "    fputs(\"{text}\\n\", stderr);\n    abort();\n}}"),
        };
    }
    Ok(code)
}

/// The functions in Zig.
pub(super) fn zig(resolve: &Resolve, interfaces: &[InterfaceId], header: &str) -> Result<String, String> {
    let mut code = String::new();
    for Prototype { function, answer, name, params, optional, frees, case } in prototypes(resolve, interfaces, header)?
    {
        let mut declared = Vec::new();
        let mut body = String::new();
        for (at, (ty, param)) in params.iter().enumerate() {
            let bare = param.trim_start_matches('*');
            let used = frees[at].is_some() || case.is_some() && bare == "err";
            let quoted = zig_name(bare);
            let pointer = match (param.starts_with('*'), optional[at]) {
                (true, true) => "?*",
                (true, false) => "*",
                (false, _) => "",
            };
            declared.push(format!("{}: {pointer}{}", if used { &quoted } else { "_" }, zig_type(ty)));
            let _ = match &frees[at] {
                Some(free) if optional[at] => writeln!(body, "    if ({quoted}) |given| contract.{free}(given);"),
                Some(free) => writeln!(body, "    contract.{free}({quoted});"),
                None => Ok(()),
            };
        }
        let text = format!("`{}` is not written yet", function.name);
        body += &match case {
            Some(case) => format!(
                "    err.tag = contract.{case};\n    \
                 contract.service_string_dup(&err.val.unavailable, \"{text}\");\n    return false;\n"
            ),
            None => format!("    @panic(\"{text}\");\n"),
        };
        let (declared, answer) = (declared.join(", "), zig_type(answer));
        let _ = write!(code, "\nexport fn {name}({declared}) {answer} {{\n{body}}}\n");
    }
    Ok(code)
}

/// The name of a parameter, apart from what the language and the stub have.
fn zig_name(name: &str) -> String {
    let bits = name.strip_prefix(['u', 'i', 'f']).unwrap_or_default();
    let is_number = !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit());
    match name {
        own if ZIG_OWN.contains(&own) => format!("{own}_"),
        word if is_number || ZIG_WORDS.contains(&word) => format!("@\"{word}\""),
        name => name.to_owned(),
    }
}

fn zig_type(ty: &str) -> String {
    match ty {
        "bool" | "void" => ty,
        "uint8_t" => "u8",
        "uint16_t" => "u16",
        "uint32_t" => "u32",
        "uint64_t" => "u64",
        "int8_t" => "i8",
        "int16_t" => "i16",
        "int32_t" => "i32",
        "int64_t" => "i64",
        "float" => "f32",
        "double" => "f64",
        named => return format!("contract.{named}"),
    }
    .to_owned()
}
