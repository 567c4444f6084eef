//! Types and functions as text, nearly as WIT writes them. `{:#}` shows the type behind an alias in place of the
//! alias's name.

use super::interface::Function;
use super::types::{Definition, Type};
use std::fmt::{self, Display, Formatter};

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(ty) => generic(f, "list", &[ty]),
            Self::FixedList(ty, length) => generic(f, "list", &[ty, length]),
            Self::Map(key, value) => generic(f, "map", &[key, value]),
            Self::Option(ty) => generic(f, "option", &[ty]),
            Self::Result { ok: Some(ok), err: Some(err) } => generic(f, "result", &[ok, err]),
            Self::Result { ok: Some(ok), err: None } => generic(f, "result", &[ok]),
            Self::Result { ok: None, err: Some(err) } => generic(f, "result", &[&"_", err]),
            Self::Tuple(types) => {
                let types: Vec<&dyn Display> = types.iter().map(|ty| ty as &dyn Display).collect();
                generic(f, "tuple", &types)
            }
            Self::Stream(Some(ty)) => generic(f, "stream", &[ty]),
            Self::Future(Some(ty)) => generic(f, "future", &[ty]),
            Self::Alias(alias) if f.alternate() => alias.ty.fmt(f),
            // The rest has no parts, or a name of its own that says enough.
            _ => f.write_str(self.word()),
        }
    }
}

/// A type in a sentence: keyword and name for a type that has a definition (``record `line` ``), others as WIT writes
/// them. An alias is described as the type that it stands for.
pub(crate) fn described(ty: Option<&Type>) -> String {
    let Some(ty) = ty.map(Type::resolved) else { return "nothing".to_owned() };
    match ty.definition() {
        Some(Definition { keyword, name }) => format!("{keyword} `{name}`"),
        None => format!("{ty:#}"),
    }
}

impl Type {
    /// The name of the type without its parts.
    fn word(&self) -> &str {
        match self {
            Self::Bool => "bool",
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::String => "string",
            Self::List(_) | Self::FixedList(..) => "list",
            Self::Map(..) => "map",
            Self::Option(_) => "option",
            Self::Result { .. } => "result",
            Self::Tuple(_) => "tuple",
            Self::Record(record) => &record.name,
            Self::Variant(variant) => &variant.name,
            Self::Enum(enumeration) => &enumeration.name,
            Self::Flags(flags) => &flags.name,
            Self::Alias(alias) => &alias.name,
            Self::Stream(_) => "stream",
            Self::Future(_) => "future",
            Self::Resource(name) => name,
            Self::ErrorContext => "error-context",
        }
    }
}

/// Writes `name<part, part>`. Each part is written with the formatter's own flags, so that `{:#}` reaches it.
fn generic(f: &mut Formatter<'_>, name: &str, parts: &[&dyn Display]) -> fmt::Result {
    f.write_str(name)?;
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "<" } else { ", " })?;
        part.fmt(f)?;
    }
    f.write_str(">")
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}func(", self.name, if self.asynchronous { "async " } else { "" })?;
        for (index, param) in self.params.iter().enumerate() {
            write!(f, "{}{}: ", if index == 0 { "" } else { ", " }, param.name)?;
            param.ty.fmt(f)?;
        }
        f.write_str(")")?;
        match &self.result {
            Some(ty) => {
                f.write_str(" -> ")?;
                ty.fmt(f)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::testing;

    #[test]
    fn a_function_is_shown_as_wit_writes_it() {
        let types = [
            "bool",
            "s8",
            "u8",
            "s16",
            "u16",
            "s32",
            "u32",
            "s64",
            "u64",
            "f32",
            "f64",
            "char",
            "string",
            "error-context",
            "list<u8>",
            "list<u8, 4>",
            "map<string, list<u8>>",
            "option<point>",
            "result",
            "result<_, e>",
            "result<id>",
            "result<id, e>",
            "tuple<u8, string>",
            "point",
            "e",
            "v",
            "fl",
            "ids",
            "stream",
            "stream<u8>",
            "future",
            "future<string>",
        ];
        for ty in types {
            let interface = testing::interface(&format!(
                "record point {{ x: u8 }} enum e {{ a }} variant v {{ a(u8) }} flags fl {{ a }} type id = u64;
                 type ids = list<id>; f: async func(a: {ty}, b: u8) -> {ty}; g: func();"
            ));
            assert_eq!(interface.functions["f"].to_string(), format!("f: async func(a: {ty}, b: u8) -> {ty}"));
            assert_eq!(interface.functions["g"].to_string(), "g: func()");
        }
    }

    #[test]
    fn the_alternate_form_shows_the_types_behind_aliases() {
        let interface =
            testing::interface("type id = u64; type ids = list<id>; f: func(a: ids) -> result<option<id>>;");
        assert_eq!(format!("{:#}", interface.functions["f"]), "f: func(a: list<u64>) -> result<option<u64>>");
        assert_eq!(interface.functions["f"].to_string(), "f: func(a: ids) -> result<option<id>>");
    }
}
